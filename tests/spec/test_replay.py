"""A recorded day is replayed: under the same policies it costs to the nano-dollar what it did, under others by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from router_parts import a_track, prompts_of, word_table
from running_gateway import ADMIN_KEY, Gateway, UpstreamProcess, until

from gateway.cli import main
from gateway.router import artifact
from gateway.router.training import to_artifact, train

# Dollars per million tokens, in, cached and out.
PRICES = {
    "tiny": (0.1, 0.01, 0.2),
    "large": (8.0, 0.8, 16.0),
    "error-503": (1.0, 0.1, 2.0),
    "cut": (3.0, 0.3, 7.0),
    "late-start": (2.0, 0.2, 4.0),
}
POLICIES: dict[str, dict[str, Any]] = {
    "in-order": {"deployments": ["error-503", "cut", "large", "tiny"], "baseline": "large"},
    "shared-out": {
        "deployments": ["large", "tiny"],
        "policy": "weighted",
        "weights": {"large": 1, "tiny": 3},
        "baseline": "large",
    },
    "soonest": {
        "deployments": ["late-start", "tiny", "large"],
        "policy": "lowest_latency",
        "first_token_p95_s_max": 0.3,
    },
    "talk": {
        "deployments": ["large", "tiny"],
        "policy": "weighted",
        "conversations": {"sticky": True},
        "cost_max_usd": 0.5,
    },
    "world": {
        "deployments": ["large", "tiny"],
        "policy": "cheapest_adequate",
        "quality_loss_max": 0.1,
        "baseline": "large",
    },
}
WHOLE = {"prompt_tokens": 100, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 64}}


@pytest.fixture(scope="module")
def replaying(
    gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of its own on the stores of the first, with a router of its route ``world``."""
    folder = tmp_path_factory.mktemp("replaying")
    words = word_table()
    costs, rates = {"tiny": 1e-5, "large": 1e-3}, {"tiny": (0.9, 0.05), "large": (0.9, 0.95)}
    track = a_track(1500, words=words, track="world", costs=costs, rates=rates)
    artifact.write(to_artifact(train([track], words), {"world": 1500}), folder / "router.obol")
    deployments = [
        {
            "name": name,
            "provider": "up",
            "model": name,
            "price": {"input": asked, "cached_input": cached, "output": answered},
        }
        for name, (asked, cached, answered) in PRICES.items()
    ]
    provider = {"kind": "openai_compatible", "base_url": upstream.base_url, "api_key": "sk-up"}
    catalog = {"providers": {"up": provider}, "deployments": deployments, "routes": POLICIES}
    router = str(folder / "router.obol")
    with Gateway.running(folder, json.dumps(catalog), OBOL_ROUTER=router, **gateway.store_urls) as running:
        yield running


class Day:
    """What one team asked, and what the books say of it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.team = gateway.admin("POST", "teams", json={"name": f"replay of {id(self)}"}).json()["id"]
        made = gateway.admin("POST", "keys", json={"team": self.team, "name": "k"}).json()
        self.key, self.key_id = made["key"], made["id"]
        self.ids: dict[str, list[str]] = {route: [] for route in POLICIES}

    def ask(self, route: str, text: str = "What now?", **options: Any) -> None:
        """One request, whatever becomes of it."""
        is_stream, script = options.get("stream", False), options.pop("script", {"usage": WHOLE})
        with openai.OpenAI(base_url=self.gateway.base_url, api_key=self.key, max_retries=0) as client:
            try:
                raw = client.chat.completions.with_raw_response.create(
                    model=route,
                    messages=[{"role": "user", "content": text}],
                    extra_body={"script": script} if script else {},
                    **options,
                )
                self.ids[route].append(raw.headers["x-request-id"])
                if is_stream:
                    list(raw.parse())
            except openai.APIStatusError as exc:
                self.ids[route].append(exc.response.headers["x-request-id"])
            except openai.APIError:
                pass  # the stream broke off; its id is known already

    def leave(self, route: str) -> None:
        """A client that goes away in the middle of a stream."""
        body = {"model": route, "stream": True, "messages": [{"role": "user", "content": "What now?"}]}
        body["script"] = {"text": "one two three " * 200, "chunk_ms": 20}
        headers = {"authorization": f"Bearer {self.key}"}
        with httpx.stream("POST", f"{self.gateway.base_url}/chat/completions", json=body, headers=headers) as answer:
            self.ids[route].append(answer.headers["x-request-id"])
            next(answer.iter_bytes())

    def entries(self, route: str) -> list[dict[str, Any]]:
        return self.gateway.ledger(key=self.key_id, route=route)

    def is_charged(self) -> bool:
        """Every request that was made has its last entry."""
        found = {entry["request_id"] for route in self.ids for entry in self.entries(route)}
        return found == {one for ids in self.ids.values() for one in ids}

    def replay(self, route: str, policy: dict[str, Any], **asked: Any) -> dict[str, Any]:
        body = {"route": route, "policy": policy, "last": "1h", "team": self.team} | asked
        answer = self.gateway.admin("POST", "replay", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture(scope="module")
def day(replaying: Gateway) -> Day:
    """Retries and fallbacks, streams that end and that break, clients that leave, and every policy."""
    day = Day(replaying)
    for number in range(8):
        day.ask("in-order", stream=bool(number % 2), script=None)
        day.ask("in-order", max_tokens=50)
        day.ask("shared-out", stream=bool(number % 2))
        day.ask("soonest", stream=True, script=None)
        day.ask("soonest")
    for number in range(12):
        day.ask("talk", extra_headers={"x-obol-conversation": f"{day.team}-{number % 3}"})
    day.ask("in-order", script={"status": 500})
    day.leave("shared-out")
    day.leave("in-order")
    for text in prompts_of(24, seed=11)[0]:
        day.ask("world", text)
    day.ask("world", "Which city is it?", extra_headers={"x-obol-quality": "best"})
    until(day.is_charged, "every request is charged")
    return day


@pytest.mark.parametrize("route", POLICIES)
def test_under_the_same_policy_a_day_costs_to_the_nano_dollar_what_it_did(day: Day, route: str) -> None:
    entries = day.entries(route)
    totals = day.replay(route, POLICIES[route])["totals"]
    assert totals["requests"] == len({entry["request_id"] for entry in entries}) == len(day.ids[route])
    assert (totals["changed"], totals["difference_nusd"]) == (0, 0)
    for which in ("recorded", "replayed"):
        assert totals[which]["cost_nusd"] == sum(entry["cost_nusd"] for entry in entries) > 0
        assert totals[which]["baseline_nusd"] == sum(entry["baseline_nusd"] for entry in entries)
    assert totals["recorded"]["router_nusd"] == totals["replayed"]["router_nusd"]
    assert (totals["recorded"]["router_nusd"] > 0) == (route == "world")


def test_the_day_had_all_that_can_go_wrong(day: Day) -> None:
    entries = [entry for route in POLICIES for entry in day.entries(route)]
    assert {"succeeded", "failed", "interrupted", "cancelled"} <= {entry["status"] for entry in entries}
    assert any(entry["is_stream"] for entry in entries)
    assert any(entry["attempt"] > 1 for entry in entries)
    assert len({entry["deployment"] for entry in day.entries("shared-out")}) == 2


def test_another_policy_costs_what_it_does_by_hand(day: Day) -> None:
    told = day.replay("shared-out", {"deployments": ["large", "tiny"], "baseline": "large"})
    asked, cached, answered = (Decimal(str(usd)) * 1000 for usd in PRICES["large"])
    expected, changed, lost = 0, 0, 0
    for entry in day.entries("shared-out"):
        if entry["deployment"] == "large":
            expected += entry["cost_nusd"]
            continue
        changed += 1
        expected += -(-(entry["input_tokens"] * asked + entry["output_tokens"] * answered) // 1)
        lost += -(-(entry["cached_input_tokens"] * (asked - cached)) // 1)
    totals = told["totals"]
    assert (totals["changed"], totals["replayed"]["cost_nusd"]) == (changed, expected)
    assert totals["replayed"]["lost_cache_nusd"] == lost > 0
    saving = totals["replayed"]["baseline_nusd"] - expected
    assert totals["replayed"]["saving_net_nusd"] == saving < 0, "negative is shown as negative"


def test_turns_of_a_conversation_stay_with_whom_the_other_policy_asks_first_and_keep_their_cache(day: Day) -> None:
    went: dict[str, str] = {}
    for request_id in day.ids["talk"]:
        record = day.gateway.admin("GET", f"decisions/{request_id}").json()
        assert went.setdefault(record["conversation"], record["chosen"]) == record["chosen"]
    assert len(went) == 3
    told = day.replay("talk", {"deployments": ["tiny", "large"], "conversations": {"sticky": True}})
    assert {name: firsts for name, firsts in told["replayed_firsts"].items() if firsts} == {"tiny": 12}
    lost = sum(name == "large" for name in went.values())  # of each such conversation the first turn
    asked, cached, _ = PRICES["tiny"]
    assert told["totals"]["replayed"]["lost_cache_nusd"] == lost * round(64 * (asked - cached) * 1000)


def test_a_stricter_target_asks_the_stronger_more_often_and_what_a_client_asked_for_stays(day: Day) -> None:
    same, strict = (
        day.replay("world", POLICIES["world"] | {"quality_loss_max": loss})["replayed_firsts"] for loss in (0.1, 0.0)
    )
    assert same["large"] < strict["large"] == len(day.ids["world"])


def test_a_policy_that_wants_a_router_is_not_tried_on_what_no_router_saw(day: Day) -> None:
    told = day.replay("shared-out", {"deployments": ["large", "tiny"], "policy": "cheapest_adequate"})
    assert told["kept"] == {"no_features": len(day.ids["shared-out"])}
    assert told["totals"]["difference_nusd"] == 0


def test_feedback_on_what_lots_were_drawn_for_tells_of_another_policy(replaying: Gateway) -> None:
    day = Day(replaying)
    for _ in range(30):
        day.ask("shared-out")
    until(day.is_charged, "every request is charged")
    went = {entry["request_id"]: entry["deployment"] for entry in day.entries("shared-out")}
    for request_id, deployment in went.items():
        body = {"request_id": request_id, "score": 1.0 if deployment == "large" else 0.25}
        headers = {"authorization": f"Bearer {day.key}"}
        httpx.post(f"{replaying.base_url}/feedback", json=body, headers=headers).raise_for_status()
    quality = day.replay("shared-out", {"deployments": ["large", "tiny"]})["totals"]["quality"]
    is_drawn = "large" in went.values()
    assert (quality["feedbacks"], quality["is_identified"]) == (30, is_drawn)
    if is_drawn:
        assert quality["replayed"]["value"] == pytest.approx(1.0)
        assert quality["difference"]["value"] > 0


def test_the_command_takes_a_route_or_a_catalog_and_prints_a_table_or_json(
    day: Day, replaying: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBOL_ADMIN_KEY", ADMIN_KEY)
    (tmp_path / "route.yaml").write_text("deployments: [tiny, large]\n")
    (tmp_path / "catalog.yaml").write_text(
        "providers: {x: {kind: openai, api_key: '${A_KEY_THAT_IS_NOT_SET}'}}\n"
        "routes:\n  shared-out: {deployments: [large, tiny], policy: weighted, weights: {large: 1, tiny: 3}}\n"
    )
    arguments = ["replay", "--route", "shared-out", "--url", replaying.url, "--team", day.team]
    assert main([*arguments, "--policy", str(tmp_path / "route.yaml"), "--last", "1h"]) == 0
    shown = capsys.readouterr().out
    assert "shared-out under ordered" in shown
    assert f"{len(day.ids['shared-out']):,}" in shown
    assert main([*arguments, "--policy", str(tmp_path / "catalog.yaml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["policy"], told["totals"]["difference_nusd"]) == ("weighted", 0)
    (tmp_path / "route.yaml").write_text("deployments: [tiny]\npolcy: ordered\n")
    assert main([*arguments, "--policy", str(tmp_path / "route.yaml")]) == 1
    assert "did you mean policy?" in capsys.readouterr().err
