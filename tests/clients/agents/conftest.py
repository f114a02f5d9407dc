"""A gateway before an upstream that plays a coding model, reached by each dialect under a name of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_parts import RATES_NUSD, Desk
from page import Elsewhere
from running_gateway import Gateway, UpstreamProcess

_PRICE = json.dumps({meter: rate_nusd / 1000 for meter, rate_nusd in RATES_NUSD.items()})
CATALOG = f"""
providers:
  speaks-responses: {{kind: openai, base_url: UPSTREAM, api_key: sk-upstream}}
  speaks-messages: {{kind: anthropic, base_url: UPSTREAM, api_key: sk-upstream}}
  speaks-chat: {{kind: openai_compatible, base_url: UPSTREAM, api_key: sk-upstream}}
deployments:
  - {{name: "responses/*", provider: speaks-responses, model: "*", price: {_PRICE}}}
  - {{name: "messages/*", provider: speaks-messages, model: "*", price: {_PRICE}}}
  - {{name: "chat/*", provider: speaks-chat, model: "*", price: {_PRICE}}}
routes:
  codex: {{deployments: [responses/gpt-5.5-down, chat/gpt-5.5]}}
  claude: {{deployments: [messages/claude-down, chat/claude-sonnet-5]}}
"""


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamProcess]:
    process = UpstreamProcess(Path(__file__).with_name("coding_upstream.py"))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway.running(tmp_path_factory.mktemp("agents"), CATALOG.replace("UPSTREAM", upstream.base_url)) as running:
        yield running


@pytest.fixture
def desk(gateway: Gateway, upstream: UpstreamProcess, tmp_path: Path) -> Iterator[Desk]:
    elsewhere = Elsewhere()
    yield Desk(gateway, upstream, elsewhere, tmp_path)
    elsewhere.close()
