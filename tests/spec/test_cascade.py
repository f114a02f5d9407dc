"""A route that cascades: the cheap deployment's answer stands if its gates accept it, else the strong one answers.

Each test has a key of its own. Prices per token are such that asking the cheap one first is always worth it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import chunks

CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
  gone: {kind: openai_compatible, base_url: "http://127.0.0.1:9/v1", api_key: sk-up}
deployments:
  - {name: cheap, provider: up, model: cheap, price: {input: 1, output: 2}, quality: 0.8}
  - {name: middle, provider: up, model: middle, price: {input: 5, output: 10}, quality: 0.85}
  - {name: strong, provider: up, model: strong, price: {input: 100, output: 200}, quality: 0.95}
  - {name: kind, provider: up, model: grades-high~spec, price: {input: 3, output: 3}}
  - {name: harsh, provider: up, model: grades-low~spec, price: {input: 3, output: 3}}
  - {name: vague, provider: up, model: vague, price: {input: 3, output: 3}}
  - {name: dead, provider: gone, model: x, price: {input: 3, output: 3}}
  - {name: dear, provider: up, model: dear, price: {input: 0, output: 500}}
routes:
  sure: {deployments: [cheap, strong], baseline: strong, policy: cascade, cascade: {gate: {logprob_min: 0.8}}}
  alike: {deployments: [cheap, strong], baseline: strong, policy: cascade, cascade: {gate: {logprob_min: 0.8}}}
  form: {deployments: [cheap, strong], baseline: strong, policy: cascade, cascade: {gate: {schema: true}}}
  agreed:
    {deployments: [cheap, strong], baseline: strong, policy: cascade,
     cascade: {gate: {agreement: {samples: 3, share_min: 0.67}}}}
  three:
    {deployments: [cheap, middle, strong], baseline: strong, policy: cascade,
     cascade: {gate: {logprob_min: 0.8}, steps_max: 3}}
VERIFIED
"""
VERIFIED = """\
  by-NAME:
    {deployments: [cheap, strong], baseline: strong, policy: cascade,
     cascade: {gate: {verifier: {deployment: NAME, score_min: 0.7}}}}
"""
JUDGES = ("kind", "harsh", "vague", "dead", "dear")
RATES_NUSD = {"cheap": (1000, 2000), "middle": (5000, 10000), "strong": (100_000, 200_000)}
CERTAIN, DOUBTFUL = {"text": "A cheap answer.", "logprob": -0.1}, {"text": "A cheap answer.", "logprob": -0.5}
STRONG = {"text": "A strong answer."}
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
ASKED_PERSON = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": PERSON}}


@pytest.fixture(scope="module")
def cascading(
    gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of its own on the stores of the first."""
    judged = "".join(VERIFIED.replace("NAME", name) for name in JUDGES)
    catalog = CATALOG.replace("UPSTREAM", upstream.base_url).replace("VERIFIED", judged)
    with Gateway.running(tmp_path_factory.mktemp("cascading"), catalog, **gateway.store_urls) as running:
        yield running


class Client:
    """A key, and what came of its questions."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.key = gateway.make_key()
        self.headers = {"authorization": f"Bearer {self.key['key']}"}
        self.sdk = openai.OpenAI(base_url=gateway.base_url, api_key=self.key["key"], max_retries=0)

    def ask(self, model: str, cheap: Any = None, strong: Any = STRONG, **options: Any) -> tuple[Any, Any]:
        """The answer and its headers."""
        raw = self.sdk.chat.completions.with_raw_response.create(**question(model, cheap, strong), **options)
        return raw.parse(), raw.headers

    def entries(self, count: int) -> list[dict[str, Any]]:
        """All of the key, by attempt."""
        until(lambda: len(self.gateway.ledger(key=self.key["id"])) >= count, f"{count} calls are charged")
        found = sorted(self.gateway.ledger(key=self.key["id"]), key=lambda entry: entry["attempt"])
        assert len({entry["request_id"] for entry in found}) == 1
        return found


def question(model: str, cheap: Any = None, strong: Any = STRONG) -> dict[str, Any]:
    scripts = {"cheap": cheap or CERTAIN, "strong": strong, "middle": {"text": "So so.", "logprob": -0.05}}
    return {
        "model": model,
        "messages": [{"role": "user", "content": "What now?"}],
        "extra_body": {"scripts": scripts},
    }


@pytest.fixture
def client(cascading: Gateway) -> Iterator[Client]:
    made = Client(cascading)
    with made.sdk:
        yield made


def told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str, str | None]]:
    return [(one["deployment"], one["purpose"], one["status"], one["error_code"]) for one in entries]


def cost_of(entry: dict[str, Any], deployment: str | None = None) -> int:
    rate_in, rate_out = RATES_NUSD[deployment or entry["deployment"]]
    return int(entry["input_tokens"] * rate_in + entry["output_tokens"] * rate_out)


def dollars(amount_nusd: int) -> str:
    return f"{amount_nusd / 1e9:.9f}".rstrip("0")


def assert_escalated(entries: list[dict[str, Any]], headers: Any, why: str) -> None:
    """The strong one answered, the cheap one was rejected, everything was paid and the baseline counts once."""
    first, last = entries[0], entries[-1]
    assert told([first, last]) == [
        ("cheap", "answer", "rejected", why),
        ("strong", "answer", "succeeded", None),
    ]
    assert (first["cost_nusd"], last["cost_nusd"]) == (cost_of(first), cost_of(last))
    assert [entry["baseline_nusd"] for entry in entries] == [0] * (len(entries) - 1) + [cost_of(last, "strong")]
    assert sum(entry["baseline_nusd"] - entry["cost_nusd"] for entry in entries) < 0
    assert (headers["x-obol-deployment"], headers["x-obol-cascade"]) == ("strong", "2")
    assert headers["x-obol-cost-usd"] == dollars(sum(entry["cost_nusd"] for entry in entries))


def test_a_sure_answer_of_the_cheap_one_stands_and_saves(client: Client) -> None:
    answer, headers = client.ask("sure", CERTAIN)
    assert answer.choices[0].message.content == CERTAIN["text"]
    assert answer.choices[0].logprobs is None
    (entry,) = client.entries(1)
    assert told([entry]) == [("cheap", "answer", "succeeded", None)]
    assert (entry["cost_nusd"], entry["baseline_nusd"]) == (cost_of(entry), cost_of(entry, "strong"))
    assert (headers["x-obol-deployment"], headers["x-obol-cascade"]) == ("cheap", "1")
    assert headers["x-obol-cost-usd"] == dollars(entry["cost_nusd"])


def test_an_unsure_answer_of_the_cheap_one_is_paid_for_and_not_shown(client: Client) -> None:
    answer, headers = client.ask("sure", DOUBTFUL)
    assert answer.choices[0].message.content == STRONG["text"]
    assert_escalated(client.entries(2), headers, "gate_logprob")


def test_an_answer_whose_upstream_tells_no_probabilities_is_not_taken_for_a_sure_one(client: Client) -> None:
    _, headers = client.ask("alike", {"text": "Sure!"})
    assert_escalated(client.entries(2), headers, "gate_logprob_unmeasured")


def test_whoever_asks_for_probabilities_gets_them(client: Client) -> None:
    answer, _ = client.ask("sure", CERTAIN, logprobs=True)
    assert {token.logprob for token in answer.choices[0].logprobs.content} == {-0.1}


def test_a_stream_of_the_cheap_one_is_held_until_it_is_accepted(client: Client) -> None:
    usage = {"include_usage": True}
    stream = client.sdk.chat.completions.create(**question("sure", CERTAIN), stream=True, stream_options=usage)
    *said, last = list(stream)
    assert "".join(one.choices[0].delta.content or "" for one in said) == CERTAIN["text"]
    assert all(one.choices[0].logprobs is None for one in said)
    (entry,) = client.entries(1)
    assert told([entry]) == [("cheap", "answer", "succeeded", None)]
    assert last.usage.cost == entry["cost_nusd"] / 1e9


def test_a_stream_that_escalates_shows_the_strong_one_alone_and_tells_what_both_cost(client: Client) -> None:
    body = {**question("sure", DOUBTFUL), "stream": True, "stream_options": {"include_usage": True}}
    body |= body.pop("extra_body")
    with httpx.Client(base_url=client.gateway.url, headers=client.headers, timeout=60) as http:
        answer = http.post("/v1/chat/completions", json=body)
    shown = chunks(answer.text)
    text = "".join(choice["delta"].get("content") or "" for one in shown for choice in one["choices"])
    assert text == STRONG["text"]
    assert answer.headers["x-obol-cascade"] == "2"
    first, last = client.entries(2)
    assert told([first])[0][2:] == ("rejected", "gate_logprob")
    assert shown[-1]["usage"]["cost"] == (first["cost_nusd"] + last["cost_nusd"]) / 1e9
    assert (first["baseline_nusd"], last["baseline_nusd"]) == (0, cost_of(last, "strong"))


@pytest.mark.parametrize(
    ("cheap", "why"),
    [
        ({"text": '{"name": "Ada"}'}, None),
        ({"text": '{"nom": "Ada"}'}, "gate_schema"),
        ({"text": '{"name": "Ada"}', "finish_reason": "length"}, "gate_unfinished"),
        ({"refusal": "No."}, "gate_refusal"),
        ({"text": ""}, "gate_empty"),
    ],
)
def test_an_answer_in_the_form_that_was_asked_for_stands(client: Client, cheap: Any, why: str | None) -> None:
    _, headers = client.ask("form", cheap, {"text": '{"name": "Grace"}'}, response_format=ASKED_PERSON)
    if why is None:
        assert told(client.entries(1)) == [("cheap", "answer", "succeeded", None)]
    else:
        assert_escalated(client.entries(2), headers, why)


@pytest.mark.parametrize(
    ("arguments", "why"), [('{"name": "Ada"}', None), ('{"name": 1}', "gate_schema"), ('{"na', "gate_schema")]
)
def test_calls_of_tools_stand_if_their_arguments_are_good(client: Client, arguments: str, why: str | None) -> None:
    call = {"name": "find", "arguments": arguments}
    answer, headers = client.ask("form", {"tool_calls": [call]}, tools=[TOOL])
    if why is None:
        assert answer.choices[0].message.tool_calls[0].function.arguments == arguments
        assert told(client.entries(1)) == [("cheap", "answer", "succeeded", None)]
    else:
        assert_escalated(client.entries(2), headers, why)


def test_where_there_is_nothing_to_check_the_strong_one_is_asked_at_once(client: Client) -> None:
    _, headers = client.ask("form")
    assert told(client.entries(1)) == [("strong", "answer", "succeeded", None)]
    assert "x-obol-cascade" not in headers


def test_answers_that_agree_stand_and_all_are_paid_for(client: Client) -> None:
    answer, headers = client.ask("agreed", {"text": "The answer is 7.", "text_drawn": "So: the answer is 7"})
    assert answer.choices[0].message.content == "The answer is 7."
    first, sample = client.entries(2)  # two of three are enough
    assert told([first, sample]) == [
        ("cheap", "answer", "succeeded", None),
        ("cheap", "judge", "succeeded", None),
    ]
    assert (sample["cost_nusd"], sample["baseline_nusd"]) == (cost_of(sample), 0)
    assert headers["x-obol-cost-usd"] == dollars(first["cost_nusd"] + sample["cost_nusd"])


def test_answers_that_disagree_do_not(client: Client) -> None:
    _, headers = client.ask("agreed", {"text": "The answer is 7.", "text_drawn": "The answer is 8."})
    entries = client.entries(4)
    assert [entry["purpose"] for entry in entries] == ["answer", "judge", "judge", "answer"]
    assert_escalated(entries, headers, "gate_agreement")


def test_a_verifiers_good_score_lets_an_answer_stand(client: Client, upstream: UpstreamProcess) -> None:
    answer, headers = client.ask("by-kind")
    assert answer.choices[0].message.content == CERTAIN["text"]
    first, judge = client.entries(2)
    assert told([first, judge]) == [
        ("cheap", "answer", "succeeded", None),
        ("kind", "judge", "succeeded", None),
    ]
    assert judge["cost_nusd"] == 3000 * (judge["input_tokens"] + judge["output_tokens"])
    assert (judge["baseline_nusd"], judge["route"], judge["model_asked"]) == (0, "by-kind", "by-kind")
    assert headers["x-obol-cost-usd"] == dollars(first["cost_nusd"] + judge["cost_nusd"])
    sent = upstream.calls_of("grades-high~spec")[-1]["body"]
    assert json.loads(sent["messages"][1]["content"])["answer"] == CERTAIN["text"]


@pytest.mark.parametrize(
    ("route", "why", "status"),
    [
        ("by-harsh", "gate_verifier", "succeeded"),
        ("by-vague", "gate_verifier_unmeasured", "succeeded"),
        ("by-dead", "gate_verifier_unmeasured", "failed"),
    ],
)
def test_a_verifier_that_is_not_satisfied_or_cannot_judge_sends_the_question_up(
    client: Client, route: str, why: str, status: str
) -> None:
    _, headers = client.ask(route)
    entries = client.entries(3)
    assert (entries[1]["purpose"], entries[1]["status"]) == ("judge", status)
    assert_escalated(entries, headers, why)


def test_there_may_be_three_steps(client: Client) -> None:
    answer, headers = client.ask("three", DOUBTFUL)
    assert answer.choices[0].message.content == "So so."
    entries = client.entries(2)
    assert told(entries) == [
        ("cheap", "answer", "rejected", "gate_logprob"),
        ("middle", "answer", "succeeded", None),
    ]
    assert [entry["baseline_nusd"] for entry in entries] == [0, cost_of(entries[1], "strong")]
    assert (headers["x-obol-deployment"], headers["x-obol-cascade"]) == ("middle", "2")


def test_a_cheap_upstream_that_fails_is_fallen_back_from_as_anywhere(client: Client) -> None:
    answer, _ = client.ask("alike", {"status": 500, "body": {"error": {"message": "oops"}}})
    assert answer.choices[0].message.content == STRONG["text"]
    entries = client.entries(2)
    assert told(entries)[-1] == ("strong", "answer", "succeeded", None)
    assert {(entry["deployment"], entry["status"]) for entry in entries[:-1]} == {("cheap", "failed")}


def test_a_deployment_that_is_asked_for_by_name_and_other_apis_do_not_cascade(client: Client) -> None:
    _, headers = client.ask("cheap", DOUBTFUL)
    assert told(client.entries(1)) == [("cheap", "answer", "succeeded", None)]
    assert "x-obol-cascade" not in headers
    with anthropic.Anthropic(base_url=client.gateway.url, api_key=client.key["key"], max_retries=0) as claude:
        asked: Any = {"model": "sure", "max_tokens": 9, "messages": [{"role": "user", "content": "What now?"}]}
        answer = claude.messages.with_raw_response.create(**asked)
    assert answer.headers["x-obol-deployment"] == "strong"
    assert "x-obol-cascade" not in answer.headers


def budget_of(client: Client, limit_usd: str) -> Callable[[], dict[str, Any]]:
    """Give the key a budget. Returns what reads its balance: a key is told of its organization's budgets too."""
    made = client.gateway.admin(
        "POST", "budgets", json={"scope": {"key": client.key["id"]}, "limit_usd": limit_usd, "window": "month"}
    ).raise_for_status().json()  # fmt: skip

    def found() -> dict[str, Any] | None:
        told = httpx.get(f"{client.gateway.url}/v1/me", headers=client.headers).raise_for_status().json()["budgets"]
        return next((one for one in told if one["id"] == made["id"]), None)

    until(found, "the budget is in force")

    def balance() -> dict[str, Any]:
        standing = found()
        assert standing is not None
        return standing

    return balance


def test_a_budget_without_room_for_the_next_step_leaves_the_client_the_answer_that_there_is(client: Client) -> None:
    balance_of = budget_of(client, "0.01")  # the cheap one's hold fits, not the strong one's
    answer, headers = client.ask("sure", DOUBTFUL, max_tokens=100)
    assert answer.choices[0].message.content == DOUBTFUL["text"]
    (entry,) = client.entries(1)
    assert told([entry]) == [("cheap", "answer", "succeeded", None)]
    assert headers["x-obol-cost-usd"] == dollars(entry["cost_nusd"])
    balance = balance_of()
    assert float(balance["held_usd"]) == 0
    assert round(float(balance["spent_usd"]) * 1e9) == entry["cost_nusd"]


def test_a_budget_without_room_for_the_verifier_sends_the_question_up_if_there_is_room_for_that(
    client: Client,
) -> None:
    budget_of(client, "0.2")  # the strong one's hold fits; the verifier may write 1,024 tokens at $500 per million
    _, headers = client.ask("by-dear", max_tokens=300)
    assert_escalated(client.entries(2), headers, "gate_verifier_unmeasured")


def test_what_was_decided_is_on_the_record_and_explained(client: Client) -> None:
    _answer, _ = client.ask("sure", DOUBTFUL)
    (request_id,) = {entry["request_id"] for entry in client.entries(2)}

    def found() -> dict[str, Any] | None:
        answer = client.gateway.admin("GET", f"decisions/{request_id}")
        record: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return record

    record = until(found, "the decision is recorded")
    assert (record["policy"], record["chosen"], record["quality_loss_max"]) == ("cascade", "strong", None)
    assert [(one["deployment"], one["place"], one["step"]) for one in record["candidates"]] == [
        ("cheap", 1, 1),
        ("strong", 2, 2),
    ]
    asked = {"model": "sure", "messages": [{"role": "user", "content": "What now?"}]}
    told = httpx.post(f"{client.gateway.url}/v1/route/explain", json=asked, headers=client.headers).json()
    assert told["cascade"] == {"steps": ["cheap", "strong"], "gates": ["logprob"]}
    assert "the answer of cheap stands if its gates (logprob) accept it; else strong answers" in told["text"]


@pytest.mark.parametrize("hangs", ["cheap", "strong"])
async def test_a_client_that_leaves_pays_once_for_each_call_that_was_made(
    cascading: Gateway, upstream: UpstreamProcess, hangs: str, user: str
) -> None:
    key = cascading.make_key()
    asked = question("sure", DOUBTFUL)
    asked["extra_body"]["scripts"][hangs] = {"hang": "mid_stream", "cut_after": 2}
    async with openai.AsyncOpenAI(base_url=cascading.base_url, api_key=key["key"], max_retries=0) as sdk:
        call = asyncio.create_task(sdk.chat.completions.create(**asked, user=user, stream=True))
        calls = {"cheap": 1, "strong": 2}[hangs]
        await asyncio.to_thread(until, lambda: len(upstream.calls(user)) == calls, "the upstream is asked")
        if hangs == "strong":
            stream = await call
            await stream.close()
        else:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    await asyncio.to_thread(until, lambda: len(cascading.ledger(key=key["id"])) == calls, "all calls are charged")
    entries = sorted(cascading.ledger(key=key["id"]), key=lambda entry: entry["attempt"])
    assert [entry["status"] for entry in entries] == (["cancelled"] if hangs == "cheap" else ["rejected", "cancelled"])
    assert [entry["deployment"] for entry in entries] == ["cheap", "strong"][:calls]
    assert all(entry["cost_nusd"] == cost_of(entry) for entry in entries)
