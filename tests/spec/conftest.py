"""One running gateway, one scripted upstream and official SDK clients for all of the specification."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import anthropic
import httpx
import openai
import pytest
from caching_parts import CACHING_CATALOG, Asker
from deflection_parts import DEFLECTING_CATALOG, Messenger
from money_parts import Purse
from running_gateway import Gateway, UpstreamProcess
from spec_parts import CATALOG, Beside, Books


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamProcess]:
    process = UpstreamProcess()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway.running(tmp_path_factory.mktemp("spec"), CATALOG.replace("UPSTREAM", upstream.base_url)) as running:
        yield running


@pytest.fixture(scope="session")
def second_gateway(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A replica: another process with a data folder of its own, on the stores of the first, with other choices."""
    choices = {"OBOL_CORS_ORIGINS": "https://chat.example", "OBOL_LOG_CONTENT": "1", "OBOL_BODY_BYTES_MAX": "4096"}
    choices["OBOL_TRUSTED_PROXIES"] = "127.0.0.0/8"
    catalog = gateway.catalog.read_text()
    with Gateway.running(tmp_path_factory.mktemp("second"), catalog, **gateway.store_urls, **choices) as running:
        yield running


@pytest.fixture(scope="session")
def beside(gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Beside:
    """One more gateway on the stores of the first, while it is needed."""

    def run(catalog: str) -> AbstractContextManager[Gateway]:
        folder = tmp_path_factory.mktemp("beside")
        return Gateway.running(folder, catalog.replace("UPSTREAM", upstream.base_url), **gateway.store_urls)

    return run


@pytest.fixture(scope="session")
def books(gateway: Gateway) -> Books:
    """Reads what the gateway wrote down."""
    return Books(gateway)


@pytest.fixture
def user() -> str:
    """A name for the ``user`` field of this test's calls, by which the upstream's records are found."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture
def model() -> str:
    """A deployment that no other test calls, so that none shares its circuit breaker. Input $1, output $2 per 1M."""
    return f"any/{uuid.uuid4().hex}"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """The official SDK, which must not hide an error by asking again."""
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.first_key, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.first_key, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    """Anthropic's SDK, which must not hide an error by asking again either."""
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.first_key, max_retries=0) as made:
        yield made


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    """Plain HTTP with a good key, for what no SDK would send."""
    headers = {"authorization": f"Bearer {gateway.first_key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=60) as made:
        yield made


@pytest.fixture
def make_purse(gateway: Gateway) -> Iterator[Callable[..., Purse]]:
    """Makes keys with a budget and a limit of their own; the arguments are those of Purse."""
    purses: list[Purse] = []

    def make(limit_nusd: int = 10**12, on_exhausted: str = "refuse") -> Purse:
        purses.append(Purse(gateway, limit_nusd, on_exhausted))
        return purses[-1]

    yield make
    for purse in purses:
        purse.http.close()


@pytest.fixture
def purse(make_purse: Callable[..., Purse]) -> Purse:
    """A key whose budget of $1,000 no test of one call can spend."""
    return make_purse()


@pytest.fixture(scope="session")
def caching(gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers on the stores of the first gateway."""
    folder = tmp_path_factory.mktemp("caching")
    with Gateway.running(
        folder, CACHING_CATALOG.replace("UPSTREAM", upstream.base_url), OBOL_WORKERS="2", **gateway.store_urls
    ) as running:
        yield running


@pytest.fixture
def caching_key(caching: Gateway) -> str:
    secret: str = caching.make_key()["key"]
    return secret


@pytest.fixture
def prompt() -> str:
    """What no other test asks."""
    return f"What of {uuid.uuid4().hex}?"


@pytest.fixture
def asker(caching: Gateway, upstream: UpstreamProcess, caching_key: str, prompt: str) -> Asker:
    return Asker(caching, upstream, caching_key, prompt)


@pytest.fixture(scope="session")
def deflecting(
    gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with routes that deflect, on the stores of the first one."""
    folder = tmp_path_factory.mktemp("deflecting")
    with Gateway.running(
        folder, DEFLECTING_CATALOG.replace("UPSTREAM", upstream.base_url), **gateway.store_urls
    ) as running:
        yield running


@pytest.fixture
def deflecting_key(deflecting: Gateway) -> dict[str, Any]:
    """A key of a new team."""
    return deflecting.make_key()


@pytest.fixture
def messenger(deflecting: Gateway, upstream: UpstreamProcess, deflecting_key: dict[str, Any]) -> Messenger:
    return Messenger(deflecting, upstream, deflecting_key["key"])
