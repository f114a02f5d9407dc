"""Three gateways, whose route ``auto`` leads to an upstream of every dialect, of chat alone, of Anthropic's alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page import Elsewhere
from page_user import User
from running_gateway import Gateway, UpstreamProcess

HERE = Path(__file__).parent
CATALOG = """
providers:
  up: {{kind: {kind}, base_url: "{url}", api_key: sk-upstream, dialects: [{dialects}]}}
deployments:
  - {{name: only, provider: up, model: x, price: {{input: 1, cached_input: 0.1, cache_write: 1.25, output: 4}}}}
routes:
  auto: {{deployments: [only]}}
"""
UPSTREAMS = {
    "every dialect": ("openai_compatible", "chat, responses, messages"),
    "chat alone": ("openai_compatible", "chat"),
    "messages alone": ("anthropic", "messages"),
}


@pytest.fixture(scope="session")
def answering_upstream() -> Iterator[UpstreamProcess]:
    process = UpstreamProcess(HERE / "answering_upstream.py")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def gateway_to(
    answering_upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Gateway]]:
    """The gateway before an upstream that speaks these dialects; all have the stores of the first."""
    started: dict[str, Gateway] = {}
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Gateway:
            if name not in started:
                kind, dialects = UPSTREAMS[name]
                catalog = CATALOG.format(kind=kind, dialects=dialects, url=answering_upstream.base_url)
                stores = next(iter(started.values())).store_urls if started else {}
                folder = tmp_path_factory.mktemp("gateway")
                started[name] = stack.enter_context(Gateway.running(folder, catalog, **stores))
            return started[name]

        yield start


@pytest.fixture
def user_of(gateway_to: Callable[[str], Gateway], answering_upstream: UpstreamProcess) -> Callable[[str], User]:
    """A user with a key of their own at the gateway before the named upstream."""

    def make(upstream: str) -> User:
        gateway = gateway_to(upstream)
        return User(gateway, answering_upstream, gateway.make_key(), len(answering_upstream.calls()))

    return make


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    listener = Elsewhere()
    yield listener
    listener.close()
