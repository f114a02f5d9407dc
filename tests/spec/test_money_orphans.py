"""Calls whose process died: swept by whoever lives, and charged as the operator chose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from money_parts import Purse, chat_hold, facts
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import CATALOG, INPUT_NUSD, OUTPUT_NUSD, question


@pytest.fixture(scope="module")
def at_seen(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway.running(tmp_path_factory.mktemp("seen"), CATALOG.replace("UPSTREAM", upstream.base_url)) as running:
        yield running


@pytest.fixture(scope="module")
def at_hold(at_seen: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A replica that charges orphans at their hold."""
    catalog = CATALOG.replace("UPSTREAM", upstream.base_url)
    settings = {"OBOL_ORPHANED_CHARGE": "hold", **at_seen.store_urls}
    with Gateway.running(tmp_path_factory.mktemp("hold"), catalog, **settings) as running:
        yield running


def intent_of(gateway: Gateway, purse: Purse) -> dict[str, Any]:
    """The entry that stands if the call's process dies now."""
    with redis.Redis.from_url(gateway.store_urls["OBOL_REDIS_URL"]) as stored:
        for name in stored.scan_iter("obol:{org_default}:open:*"):
            for entry in map(json.loads, stored.hvals(name)):
                if entry["key_id"] == purse.key["id"]:
                    found: dict[str, Any] = entry
                    return found
    return {"output_tokens": 0}


def is_ready(gateway: Gateway) -> bool:
    try:
        return httpx.get(f"{gateway.url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_an_orphan_costs_what_was_seen_of_it_or_its_hold_and_frees_what_it_held(
    at_seen: Gateway, at_hold: Gateway, model: str
) -> None:
    seen, held = Purse(at_seen), Purse(at_hold)
    script = {"text": " ".join(["word"] * 80), "cut_after": 81, "hang": "mid_stream"}
    body = {**question(model), "max_tokens": 100, "stream": True, "script": script}
    with (
        seen.http.stream("POST", "/v1/chat/completions", json=body) as one,
        held.http.stream("POST", "/v1/chat/completions", json=body) as other,
    ):
        streams = one.iter_raw(), other.iter_raw()  # kept: an iterator that is gone has closed its stream
        for blocks in streams:
            said = b""
            while said.count(b"word") < 80:
                said += next(blocks)
        hold_nusd = chat_hold(one, 100, INPUT_NUSD, OUTPUT_NUSD)
        assert seen.balance()["held"] == held.balance()["held"] == hold_nusd
        until(lambda: intent_of(at_seen, seen)["output_tokens"] > 0, "the intent tells of what was seen")
        intent = intent_of(at_seen, seen)
        for gateway in (at_seen, at_hold):
            gateway.kill_workers()
    for gateway in (at_seen, at_hold):
        until(lambda: is_ready(gateway), "a new worker serves", 60)  # noqa: B023 - asked at once

    (entry,) = seen.entries(tokens=intent["input_tokens"])
    assert facts(entry) == ("orphaned", "orphaned", intent["cost_nusd"])
    assert entry["input_tokens"] == -(-len(one.request.content) // 4)
    assert 60 <= entry["output_tokens"] <= 100, "80 words and their spaces are 399 bytes, four to a token"
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + entry["output_tokens"] * OUTPUT_NUSD
    assert entry["held_nusd"] == hold_nusd

    (entry,) = held.entries(tokens=intent["input_tokens"])
    assert facts(entry) == ("orphaned", "orphaned", hold_nusd)
    for purse in (seen, held):
        purse.http.close()
