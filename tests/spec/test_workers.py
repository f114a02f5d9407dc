"""Several workers are one gateway: whoever answers, metrics and ledger tell of all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from running_gateway import Gateway

CATALOG = """
providers:
  sim: {kind: simulator}
deployments:
  - {name: small, provider: sim, model: sim-small, price: {input: 1, output: 2}}
"""
CALLS = 24


@pytest.fixture(scope="module")
def two_workers(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """On the stores of the first gateway."""
    folder = tmp_path_factory.mktemp("workers")
    with Gateway.running(folder, CATALOG, OBOL_WORKERS="2", **gateway.store_urls) as running:
        yield running


@pytest.fixture
def key(two_workers: Gateway) -> str:
    secret: str = two_workers.make_key()["key"]
    return secret


def ask(gateway: Gateway, key: str) -> httpx.Response:
    """One question over a connection of its own, so that either worker may get it."""
    body = {"model": "small", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    return answer.raise_for_status()


def test_metrics_of_any_worker_count_the_calls_of_all(two_workers: Gateway, key: str) -> None:
    def counted() -> float:
        text = httpx.get(f"{two_workers.url}/metrics").text
        found = re.search(r'^obol_attempts_total\{deployment="small",status="succeeded"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = counted()
    for _ in range(CALLS):
        ask(two_workers, key)
    assert {counted() for _ in range(6)} == {before + CALLS}


def test_a_reader_of_the_ledger_finds_its_last_call_whichever_worker_served_it(two_workers: Gateway, key: str) -> None:
    for _ in range(CALLS // 2):
        request_id = ask(two_workers, key).headers["x-request-id"]
        (entry,) = two_workers.ledger(request=request_id)
        assert entry["status"] == "succeeded"
