"""What a request went through, asked for afterwards: its stages and costs agree with the ledger, whoever answered."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from running_gateway import ADMIN_KEY, OBOL, Gateway, until
from spec_parts import Beside, Keyed

CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
deployments:
  - {name: "any/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: cheap, provider: up, model: cheap, price: {input: 1, output: 2}, quality: 0.8}
  - {name: strong, provider: up, model: strong, price: {input: 100, output: 200}, quality: 0.95}
  - {name: kind, provider: up, model: grades-high~stages, price: {input: 3, output: 3}}
  - {name: dear, provider: up, model: dear, price: {input: 5, output: 25}}
guards:
  no-words: {kind: patterns, mode: block, on_error: closed, deny: {banned: {words: [forbidden]}}}
  watching: {kind: patterns, mode: shadow, on_error: open, deny: {told: {words: [hello]}}, where: output}
routes:
  plain: {deployments: [any/good], baseline: dear}
  cached: {deployments: [any/good], baseline: dear, cache: {exact: {any_temperature: true}}}
  deflected: {deployments: [any/good], baseline: dear, deflect: {answerers: [arithmetic]}}
  second-is-good: {deployments: [any/error-503~stages, any/good]}
  guarded: {deployments: [any/good], guards: [no-words, watching]}
  judged:
    {deployments: [cheap, strong], baseline: strong, policy: cascade,
     cascade: {gate: {verifier: {deployment: kind, score_min: 0.7}}}}
"""


@pytest.fixture(scope="module")
def staged(beside: Beside) -> Iterator[Gateway]:
    with beside(CATALOG) as running:
        yield running


class Client(Keyed):
    """A key, and what became of its requests."""

    def ask(self, model: str, text: str = "What now?", **more: Any) -> str:
        """The id of a request that is answered."""
        messages: Any = [{"role": "user", "content": text}]
        raw = self.sdk.chat.completions.with_raw_response.create(model=model, messages=messages, **more)
        if more.get("stream"):
            for _ in raw.parse():
                pass
        return str(raw.headers["x-request-id"])

    def request(self, request_id: str) -> dict[str, Any]:
        """Agrees with the ledger, whatever came of it."""
        until(lambda: self.gateway.ledger(request=request_id), "the call is charged")
        found: dict[str, Any] = self.gateway.admin("GET", f"requests/{request_id}").raise_for_status().json()
        entries = self.gateway.ledger(request=request_id)
        assert sorted(one["id"] for one in found["entries"]) == sorted(one["id"] for one in entries)
        for amount in ("cost_nusd", "baseline_nusd"):
            assert found[amount] == sum(one[amount] for one in entries)
            assert found[amount] == sum(row[amount] for row in found["stages"])
        starts = [row["started_ms"] for row in found["stages"]]
        assert starts == sorted(starts)
        assert found["team_id"] == self.key["team"]
        return found


@pytest.fixture
def client(staged: Gateway) -> Iterator[Client]:
    made = Client(staged)
    with made.sdk:
        yield made


def names(found: dict[str, Any]) -> list[str]:
    return [row["stage"] for row in found["stages"]]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_a_model_goes_from_who_asks_to_its_call(client: Client, stream: bool) -> None:
    found = client.request(client.ask("plain", stream=stream))

    assert names(found) == ["auth", "parsing", "routing", "limits", "inference"]
    (entry,) = found["entries"]
    call = found["stages"][-1]
    assert (call["name"], call["entry_id"], call["cost_nusd"]) == ("any/good", entry["id"], entry["cost_nusd"])
    assert (call["tokens"]["input"], call["tokens"]["output"]) == (entry["input_tokens"], entry["output_tokens"])
    assert entry["stages"][-1] == ["inference", call["started_ms"], call["ms"], "any/good", entry["id"]]
    assert found["total_ms"] == pytest.approx(call["started_ms"] + call["ms"])
    assert found["arrived_at"] <= entry["created_at"]
    assert found["is_stream"] is stream


def test_a_fallback_is_a_second_call(client: Client) -> None:
    found = client.request(client.ask("second-is-good"))

    calls = [(row["name"], row["status"]) for row in found["stages"] if row["stage"] == "inference"]
    assert calls[-1] == ("any/good", "succeeded")
    assert calls[0] == ("any/error-503~stages", "failed")


def test_a_kept_answer_ends_at_the_cache(client: Client) -> None:
    first, again = client.request(client.ask("cached")), client.request(client.ask("cached"))

    assert "inference" in names(first)
    assert names(again).count("inference") == 0
    (row,) = [row for row in again["stages"] if row["entry_id"]]
    assert (row["stage"], row["name"], row["cost_nusd"], again["source"]) == ("cache", "exact", 0, "cache_exact")
    assert again["baseline_nusd"] == first["baseline_nusd"] > 0


def test_what_is_computed_ends_at_its_deflector(client: Client) -> None:
    found = client.request(client.ask("deflected", "what is 12 times 7"))

    assert names(found) == ["auth", "parsing", "deflection", "limits"]
    row = found["stages"][2]
    assert (row["name"], row["entry_id"], found["source"]) == ("arithmetic", found["entries"][0]["id"], "deflected")


def test_a_cascades_judge_is_a_stage_of_routing_and_paid_for_there(client: Client) -> None:
    found = client.request(client.ask("judged"))

    costs = {(row["stage"], row["name"]): row["cost_nusd"] for row in found["stages"] if row["entry_id"]}
    by_purpose = {entry["purpose"]: entry["cost_nusd"] for entry in found["entries"]}
    assert costs == {("inference", "cheap"): by_purpose["answer"], ("routing", "kind"): by_purpose["judge"]}
    assert by_purpose["judge"] > 0


def test_what_a_guard_blocks_ends_there_and_costs_nothing(client: Client) -> None:
    with pytest.raises(openai.BadRequestError) as blocked:
        client.ask("guarded", "This is forbidden.")
    found = client.request(blocked.value.response.headers["x-request-id"])

    assert "inference" not in names(found)
    (row,) = [row for row in found["stages"] if row["stage"] == "prompt_moderation"]
    assert (row["name"], row["verdict"], row["entry_id"]) == ("no-words", "blocked", found["entries"][0]["id"])
    assert [(one["guard"], one["verdict"]) for one in found["guards"]] == [("no-words", "blocked")]
    assert (found["source"], found["cost_nusd"]) == ("guard", 0)


def test_guards_on_both_sides_of_an_answer_are_stages_with_their_verdicts(client: Client) -> None:
    found = client.request(client.ask("guarded"))

    said = [(row["stage"], row["name"], row["verdict"]) for row in found["stages"] if row["verdict"]]
    assert ("prompt_moderation", "no-words", "passed") in said
    assert [(stage, name) for stage, name, _ in said if name == "watching"] == [("output_moderation", "watching")]


def test_what_no_key_ever_asked_is_404(staged: Gateway) -> None:
    assert staged.admin("GET", "requests/req_0").status_code == 404


def run(gateway: Gateway, *arguments: str) -> str:
    url = gateway.base_url.removesuffix("/v1")
    command = [str(OBOL), *arguments, "--url", url, "--admin-key", ADMIN_KEY]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_command_draws_it(staged: Gateway, client: Client) -> None:
    request_id = client.ask("plain")
    found = client.request(request_id)

    shown = run(staged, "request", request_id)
    assert all(stage in shown for stage in names(found))
    assert "█" in shown
    assert json.loads(run(staged, "request", request_id, "--json"))["stages"] == found["stages"]


def test_a_report_by_stage_adds_up_to_the_ledger(staged: Gateway, client: Client) -> None:
    for asked in (client.ask("plain"), client.ask("judged"), client.ask("deflected", "what is 12 times 7")):
        client.request(asked)
    query = ("--key", client.key["id"], "--group-by", "stage", "--format", "json")
    report = json.loads(run(staged, "report", "costs", *query))

    entries = staged.ledger(key=client.key["id"])
    by_stage = {row["stage"]: (row["cost_nusd"], row["requests"]) for row in report["data"]}
    judged = sum(entry["cost_nusd"] for entry in entries if entry["purpose"] == "judge")
    total = sum(entry["cost_nusd"] for entry in entries)
    assert by_stage == {"routing": (judged, 1), "inference": (total - judged, 2), "deflection": (0, 1)}
    assert report["totals"]["cost_nusd"] == total
    assert report["totals"]["output_tokens"] == sum(entry["output_tokens"] for entry in entries)
