"""A route that repairs: what was asked for as JSON is JSON of that form, or its client is told that it is not.

Each test has a key of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import Beside, Keyed, chunks

CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
  native: {kind: openai, base_url: "UPSTREAM", api_key: sk-up}
  claude: {kind: anthropic, base_url: "UPSTREAM", api_key: sk-up}
  sim: {kind: simulator}
deployments:
  - {name: plain, provider: up, model: plain, price: {input: 1, output: 2}}
  - {name: openai, provider: native, model: openai, price: {input: 1, output: 2}}
  - {name: sonnet, provider: claude, model: sonnet, price: {input: 1, output: 2}}
  - {name: sim, provider: sim, model: sim, price: {input: 1, output: 2}}
guards:
  private: {kind: pii, mode: redact, on_error: closed, timeout_s: 20}
  unsaid: {kind: patterns, mode: block, where: output, on_error: closed, timeout_s: 20, deny: {it: {words: [Rumpel]}}}
routes:
  guarded: {deployments: [plain], repair: {json: true}, guards: [private, unsaid]}
  mended: {deployments: [plain], repair: {json: true}}
  asked: {deployments: [plain], repair: {json: true, reask: true}}
  kept: {deployments: [plain], repair: {json: true, reask: true}, cache: {exact: {any_temperature: true}}}
  loose: {deployments: [plain], cache: {exact: {any_temperature: true}}}
  native: {deployments: [openai], repair: {json: true, reask: true}}
  claude: {deployments: [sonnet], repair: {json: true, reask: true}}
  simulated: {deployments: [sim], repair: {json: true}}
"""
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
ASKED = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": PERSON}}
FORCED = {"type": "function", "function": {"name": "find"}}
GOOD, BROKEN, HOPELESS = '{ "name": "Ada",\n "age": 36 }', "```json\n{'name': 'Ada', 'age': 36,}\n```", "I am Ada."
MENDED = '{"name":"Ada","age":36}'


@pytest.fixture(scope="module")
def repairing(beside: Beside) -> Iterator[Gateway]:
    with beside(CATALOG) as running:
        yield running


class Client(Keyed):
    """A key, and what came of its questions."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.headers = {"authorization": f"Bearer {self.key['key']}"}

    def ask(self, model: str, script: Any, **options: Any) -> tuple[Any, Any]:
        """The answer and its headers."""
        asked = {"response_format": ASKED, **options}
        raw = self.sdk.chat.completions.with_raw_response.create(**question(model, script), **asked)
        return raw.parse(), raw.headers

    def entries(self, count: int = 1) -> list[dict[str, Any]]:
        """All of the key, by attempt."""
        until(lambda: len(self.gateway.ledger(key=self.key["id"])) >= count, f"{count} calls are charged")
        found = sorted(self.gateway.ledger(key=self.key["id"]), key=lambda entry: entry["attempt"])
        assert len(found) == count
        return found


def question(model: str, script: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Who are you?"}]
    return {"model": model, "messages": messages, "extra_body": {"script": script}}


def told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str, str | None]]:
    return [(one["deployment"], one["purpose"], one["status"], one["error_code"]) for one in entries]


def dollars(amount_nusd: int) -> str:
    return f"{amount_nusd / 1e9:.9f}".rstrip("0")


def content(answer: Any) -> Any:
    return answer.choices[0].message.content


FIRST = ("plain", "answer", "succeeded", None)
REJECTED = ("plain", "answer", "rejected", "schema")


@pytest.fixture
def client(repairing: Gateway) -> Iterator[Client]:
    made = Client(repairing)
    with made.sdk:
        yield made


def test_an_answer_that_keeps_to_its_schema_goes_out_as_it_came(client: Client) -> None:
    answer, headers = client.ask("asked", {"text": GOOD})
    assert (content(answer), headers["x-obol-repair"]) == (GOOD, "none")
    assert told(client.entries()) == [FIRST]


def test_a_broken_answer_is_mended_and_paid_for_once(client: Client) -> None:
    answer, headers = client.ask("asked", {"text": BROKEN})
    assert (content(answer), headers["x-obol-repair"]) == (MENDED, "repaired")
    (entry,) = client.entries()
    assert told([entry]) == [FIRST]
    assert headers["x-obol-cost-usd"] == dollars(entry["cost_nusd"])
    assert "post_processing" in [stage for stage, *_ in entry["stages"]]


def test_what_cannot_be_mended_is_asked_once_more_and_told_what_was_wrong(
    client: Client, upstream: UpstreamProcess
) -> None:
    answer, headers = client.ask("asked", {"text": HOPELESS, "again": {"text": GOOD}}, user="asked-once-more")
    assert (content(answer), headers["x-obol-repair"]) == (GOOD, "reasked")
    first, second = client.entries(2)
    assert told([first, second]) == [REJECTED, FIRST]
    assert first["baseline_nusd"] == 0
    assert headers["x-obol-cost-usd"] == dollars(first["cost_nusd"] + second["cost_nusd"])
    *_, said, wrong = upstream.calls("asked-once-more")[-1]["body"]["messages"]
    assert said == {"role": "assistant", "content": HOPELESS}
    assert json.dumps(PERSON["required"]).replace(" ", "") in wrong["content"]


def test_the_second_answer_is_mended_as_well(client: Client) -> None:
    answer, headers = client.ask("asked", {"text": HOPELESS, "again": {"text": BROKEN}})
    assert (content(answer), headers["x-obol-repair"]) == (MENDED, "reasked")
    assert told(client.entries(2)) == [REJECTED, FIRST]


def test_where_the_second_answer_is_no_better_the_first_one_stands(client: Client) -> None:
    answer, headers = client.ask("asked", {"text": HOPELESS, "again": {"text": "No."}})
    assert (content(answer), headers["x-obol-repair"]) == (HOPELESS, "failed")
    assert told(client.entries(2)) == [FIRST, REJECTED]


def test_where_the_second_call_fails_the_first_answer_stands(client: Client) -> None:
    answer, headers = client.ask("asked", {"text": HOPELESS, "again": {"status": 400, "body": {"error": {}}}})
    assert (content(answer), headers["x-obol-repair"]) == (HOPELESS, "failed")
    assert told(client.entries(2))[0] == FIRST


def test_nobody_is_asked_again_on_a_route_that_does_not_say_so(client: Client) -> None:
    answer, headers = client.ask("mended", {"text": HOPELESS, "again": {"text": GOOD}})
    assert (content(answer), headers["x-obol-repair"]) == (HOPELESS, "failed")
    assert told(client.entries()) == [FIRST]


def test_an_answer_that_was_cut_off_is_not_made_to_look_whole(client: Client) -> None:
    cut = '{"name": "Ada", "age": 3'
    answer, headers = client.ask("asked", {"text": cut, "finish_reason": "length", "again": {"text": GOOD}})
    assert (content(answer), headers["x-obol-repair"]) == (cut, "failed")
    assert told(client.entries()) == [FIRST]


def test_a_refusal_is_an_answer(client: Client) -> None:
    answer, headers = client.ask("asked", {"refusal": "I will not say."})
    assert (answer.choices[0].message.refusal, headers["x-obol-repair"]) == ("I will not say.", "none")
    client.entries()


def test_who_asks_for_no_json_gets_what_was_said(client: Client) -> None:
    answer, headers = client.ask("asked", {"text": BROKEN}, response_format={"type": "text"})
    assert (content(answer), "x-obol-repair" in headers) == (BROKEN, False)
    client.entries()


def test_a_stream_is_mended_before_it_is_shown(client: Client) -> None:
    stream = client.sdk.chat.completions.create(
        **question("asked", {"text": BROKEN}),
        response_format=ASKED,
        stream=True,
        stream_options={"include_usage": True},
    )
    *said, last = list(stream)
    assert "".join(one.choices[0].delta.content or "" for one in said) == MENDED
    assert [one.choices[0].finish_reason for one in said if one.choices[0].finish_reason] == ["stop"]
    (entry,) = client.entries()
    assert last.usage.cost == entry["cost_nusd"] / 1e9


def test_a_stream_that_was_asked_once_more_shows_the_second_answer_alone(client: Client) -> None:
    body = question("asked", {"text": HOPELESS, "again": {"text": GOOD}})
    body |= {"stream": True, "response_format": ASKED, **body.pop("extra_body")}
    with httpx.Client(base_url=client.gateway.url, headers=client.headers, timeout=60) as http:
        answer = http.post("/v1/chat/completions", json=body)
    text = "".join(choice["delta"].get("content") or "" for one in chunks(answer.text) for choice in one["choices"])
    assert (text, answer.headers["x-obol-repair"]) == (GOOD, "reasked")
    assert answer.text.count("[DONE]") == 1
    assert told(client.entries(2)) == [REJECTED, FIRST]


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_tool_had_to_be_called_with_is_mended(client: Client, stream: bool) -> None:
    script = {"tool_calls": [{"name": "find", "arguments": "{'name': 'Ada', 'age': 36,}"}]}
    asked = {"tools": [TOOL], "tool_choice": FORCED, "response_format": {"type": "text"}}
    if stream:
        pieces = client.sdk.chat.completions.create(**question("asked", script), **asked, stream=True)
        calls = [call for one in pieces for choice in one.choices for call in choice.delta.tool_calls or ()]
        arguments = "".join(call.function.arguments or "" for call in calls)
    else:
        answer, headers = client.ask("asked", script, **asked)
        arguments = answer.choices[0].message.tool_calls[0].function.arguments
        assert headers["x-obol-repair"] == "repaired"
    assert arguments == MENDED
    assert told(client.entries()) == [FIRST]


def test_a_tool_that_had_to_be_called_and_was_not_is_asked_for_once_more(client: Client) -> None:
    again = {"tool_calls": [{"name": "find", "arguments": GOOD}]}
    asked = {"tools": [TOOL], "tool_choice": "required", "response_format": {"type": "text"}}
    answer, headers = client.ask("asked", {"text": HOPELESS, "again": again}, **asked)
    assert answer.choices[0].message.tool_calls[0].function.arguments == GOOD
    assert headers["x-obol-repair"] == "reasked"
    assert told(client.entries(2)) == [REJECTED, FIRST]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["native", "asked"])
def test_responses_are_mended_too(client: Client, model: str, stream: bool) -> None:
    text = {"format": {"type": "json_schema", "name": "person", "schema": PERSON}}
    asked = {"model": model, "input": "Who are you?", "text": text, "extra_body": {"script": {"text": BROKEN}}}
    if stream:
        events = list(client.sdk.responses.create(**asked, stream=True))
        said = "".join(one.delta for one in events if one.type == "response.output_text.delta")
        assert said == events[-1].response.output_text == MENDED
    else:
        raw = client.sdk.responses.with_raw_response.create(**asked)
        assert (raw.parse().output_text, raw.headers["x-obol-repair"]) == (MENDED, "repaired")
    client.entries()


def test_responses_are_asked_once_more(client: Client) -> None:
    text = {"format": {"type": "json_object"}}
    script = {"text": HOPELESS, "again": {"text": GOOD}}
    raw = client.sdk.responses.with_raw_response.create(
        model="native", input="Who are you?", text=text, extra_body={"script": script}
    )
    assert (raw.parse().output_text, raw.headers["x-obol-repair"]) == (GOOD, "reasked")
    assert [one["status"] for one in client.entries(2)] == ["rejected", "succeeded"]


@pytest.mark.parametrize("model", ["claude", "asked"])
def test_messages_are_mended_and_asked_once_more(client: Client, model: str) -> None:
    form = {"format": {"type": "json_schema", "schema": PERSON}}
    sdk = anthropic.Anthropic(base_url=client.gateway.url, auth_token=client.key["key"], max_retries=0)
    asked = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Who are you?"}]}
    with sdk:
        raw = sdk.messages.with_raw_response.create(
            **asked, extra_body={"output_config": form, "script": {"text": HOPELESS, "again": {"text": BROKEN}}}
        )
    assert (raw.parse().content[0].text, raw.headers["x-obol-repair"]) == (MENDED, "reasked")
    assert [one["status"] for one in client.entries(2)] == ["rejected", "succeeded"]


@pytest.mark.parametrize("stream", [False, True])
def test_guards_see_what_was_mended_and_originals_are_put_into_it(client: Client, stream: bool) -> None:
    said = "{'name': '\\u005bEMAIL_ADDRESS_1]',}"  # what stands in a request in plain is given to nobody
    body = question("guarded", {"text": said})
    body |= {"stream": stream, "response_format": ASKED, **body.pop("extra_body")}
    body["messages"] = [{"role": "user", "content": "I am ada@example.org. Who am I?"}]
    with httpx.Client(base_url=client.gateway.url, headers=client.headers, timeout=60) as http:
        answer = http.post("/v1/chat/completions", json=body)
    assert (answer.headers["x-obol-repair"], answer.headers["x-obol-guards"][:16]) == ("repaired", "private=redacted")
    choices = [choice for one in (chunks(answer.text) if stream else [answer.json()]) for choice in one["choices"]]
    text = "".join(choice["delta" if stream else "message"].get("content") or "" for choice in choices)
    assert json.loads(text) == {"name": "ada@example.org"}
    client.entries()


def test_a_guard_blocks_what_was_mended(client: Client) -> None:
    answer, _ = client.ask("guarded", {"text": "{'name': 'Rumpel',}"})
    assert answer.choices[0].finish_reason == "content_filter"
    assert told(client.entries()) == [("plain", "answer", "rejected", "content_filter")]


def test_what_is_given_again_is_mended_as_well(client: Client) -> None:
    client.ask("kept", {"text": BROKEN})
    until(lambda: client.ask("kept", {"text": BROKEN})[1]["x-obol-cache"] == "hit-exact", "it is kept")
    answer, headers = client.ask("kept", {"text": BROKEN})
    assert (content(answer), headers["x-obol-source"]) == (MENDED, "cache_exact")


def test_what_came_of_asking_once_more_is_given_again(client: Client) -> None:
    script = {"text": HOPELESS, "again": {"text": GOOD}}
    assert client.ask("kept", script)[1]["x-obol-repair"] == "reasked"
    until(lambda: client.ask("kept", script)[1]["x-obol-cache"] == "hit-exact", "it is kept")
    assert content(client.ask("kept", script)[0]) == GOOD


def test_what_failed_is_not_given_again_nor_is_what_a_route_without_repair_kept(client: Client) -> None:
    script = {"text": "Nothing of the kind."}
    until(lambda: client.ask("loose", script)[1]["x-obol-cache"] == "hit-exact", "the other route keeps it")
    for _ in range(3):
        assert client.ask("kept", script)[1]["x-obol-cache"] == "miss"


def test_metrics_count_what_became_of_answers_by_route(client: Client) -> None:
    before = counted(client.gateway)
    scripts = {"none": {"text": GOOD}, "repaired": {"text": BROKEN}, "failed": {"text": HOPELESS}}
    scripts["reasked"] = {"text": HOPELESS, "again": {"text": GOOD}}
    for outcome, script in scripts.items():
        assert client.ask("asked", script)[1]["x-obol-repair"] == outcome
    client.ask("asked", {"text": HOPELESS}, response_format=openai.omit)  # nobody asks for JSON
    for outcome in scripts:
        name = f'obol_repairs_total{{outcome="{outcome}",route="asked"}}'
        assert counted(client.gateway)[name] == before.get(name, 0) + 1
    assert {name for name in counted(client.gateway) if 'route="loose"' in name} == set()


def counted(gateway: Gateway) -> dict[str, float]:
    lines = httpx.get(f"{gateway.url}/metrics").text.splitlines()
    return {
        name: float(value) for name, _, value in (one.rpartition(" ") for one in lines if one.startswith("obol_rep"))
    }


def test_the_simulator_shows_it(client: Client) -> None:
    asked = {**question("simulated", None), "extra_body": {"simulate": {"text": BROKEN}}}
    raw = client.sdk.chat.completions.with_raw_response.create(**asked, response_format=ASKED)
    assert (content(raw.parse()), raw.headers["x-obol-repair"]) == (MENDED, "repaired")
    client.entries()
