"""/v1/responses towards upstreams that speak it: verbatim both ways, and every answer ends in one ledger row."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import AGENT_RATES_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books, error_of

INPUT_NUSD, OUTPUT_NUSD = AGENT_RATES_NUSD["input"], AGENT_RATES_NUSD["output"]
COST_NUSD = INPUT_TOKENS * INPUT_NUSD + OUTPUT_TOKENS * OUTPUT_NUSD
AGENT_TURN = Path(__file__).parents[1] / "unit" / "data" / "responses" / "agent_turn.json"
USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 200},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 40},
    "total_tokens": 1050,
}
USAGE_NUSD = (
    100 * INPUT_NUSD
    + 700 * AGENT_RATES_NUSD["cached_input"]
    + 200 * AGENT_RATES_NUSD["cache_write"]
    + 10 * OUTPUT_NUSD
    + 40 * AGENT_RATES_NUSD["reasoning"]
)


@pytest.fixture
def model() -> str:
    """A deployment of the Responses API that no other test calls."""
    return f"responses/{uuid.uuid4().hex}"


def question(model: str, script: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    asked = {"model": model, "input": "What now?", **fields}
    return asked if script is None else {**asked, "extra_body": {"script": script}}


def events(stream: str) -> list[dict[str, Any]]:
    """The events of a stream: each named like its type, numbered without a gap, and no end mark of chat."""
    assert "\r" not in stream
    found = []
    for block in stream.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        fields = json.loads(data.removeprefix("data: "))
        assert name == f"event: {fields['type']}"
        found.append(fields)
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found


def test_a_whole_response_passes_and_is_charged(client: openai.OpenAI, books: Books, model: str, user: str) -> None:
    answer = client.responses.with_raw_response.create(**question(model, user=user))
    parsed = answer.parse()
    assert (parsed.output_text, parsed.status, parsed.id[:5]) == (TEXT, "completed", "resp_")
    assert answer.headers["x-obol-cost-usd"] == "0.000025"
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["endpoint"], entry["is_stream"], entry["end_user"]) == ("responses", False, user)
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert (entry["basis"], entry["status"], entry["finish_reason"]) == ("reported", "succeeded", "completed")
    assert (entry["cost_nusd"], entry["service_tier"]) == (COST_NUSD, "default")


def test_a_streamed_response_is_parsed_by_the_official_sdk_and_its_end_tells_the_cost(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    with client.responses.create(**question(model), stream=True) as stream:
        found = list(stream)
        request_id = stream.response.headers["x-request-id"]
    assert [one.sequence_number for one in found] == list(range(len(found)))
    text = "".join(one.delta for one in found if one.type == "response.output_text.delta")
    assert text == TEXT
    last = found[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == TEXT
    assert last.response.usage is not None
    assert last.response.usage.model_extra == {"cost": 0.000025}
    entry = books.entry(request_id)
    assert (entry["cost_nusd"], entry["is_stream"], entry["finish_reason"]) == (COST_NUSD, True, "completed")


@pytest.mark.parametrize("is_stream", [False, True])
def test_cached_written_and_reasoning_tokens_have_their_own_prices(
    http: httpx.Client, books: Books, model: str, is_stream: bool
) -> None:
    asked = {"model": model, "input": "What now?", "stream": is_stream, "script": {"usage": USAGE}}
    answer = http.post("/v1/responses", json=asked)
    entry = books.entry(answer.headers["x-request-id"])
    assert entry["cost_nusd"] == USAGE_NUSD
    assert (entry["input_tokens"], entry["cached_input_tokens"], entry["cache_write_tokens"]) == (1000, 700, 200)
    assert (entry["output_tokens"], entry["reasoning_tokens"]) == (50, 40)


def test_the_request_goes_up_verbatim_but_for_the_model_and_the_key(
    http: httpx.Client, upstream: UpstreamProcess, model: str, user: str
) -> None:
    asked = {
        "model": model, "user": user, "instructions": "You are an agent.", "store": False, "stream": True,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "thread-1", "parallel_tool_calls": False,
        "client_metadata": {"x-codex-installation-id": "1"}, "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low"}, "temperature": 1.0, "tool_choice": "auto", "vendor": {"b": 1, "a": [None]},
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAAB+/="},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
        ],
        "tools": [
            {"type": "function", "name": "shell", "parameters": {"z": 1, "a": 2}, "strict": False},
            {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark"}},
            {"type": "namespace", "name": "mcp__x", "tools": [{"type": "function", "name": "y"}]},
            {"type": "web_search", "external_web_access": False},
        ],
    }  # fmt: skip
    headers = {"session-id": "s-1", "thread-id": "t-1", "openai-beta": "responses=experimental", "cookie": "a=b"}
    http.post("/v1/responses", json=asked, headers=headers).raise_for_status()
    (call,) = upstream.calls(user)
    assert list(call["body"]) == list(asked)
    assert call["body"] == {**asked, "model": model.removeprefix("responses/")}
    assert json.dumps(call["body"]["tools"]) == json.dumps(asked["tools"])
    assert call["headers"]["openai-beta"] == "responses=experimental"
    assert (call["headers"]["session-id"], call["headers"]["thread-id"]) == ("s-1", "t-1")
    assert "cookie" not in call["headers"]


def test_a_turn_of_an_agent_passes_event_by_event(http: httpx.Client, books: Books, model: str) -> None:
    turn = json.loads(AGENT_TURN.read_text())
    answer = http.post("/v1/responses", json={"model": model, "input": [], "stream": True, "script": {"events": turn}})
    found = events(answer.text)
    assert found[:-1] == turn[:-1]
    cost = found[-1]["response"]["usage"].pop("cost")
    assert found[-1] == turn[-1]
    entry = books.entry(answer.headers["x-request-id"])
    assert round(cost * 1e9) == entry["cost_nusd"]
    assert entry["cost_nusd"] == (
        (12_345 - 11_904) * INPUT_NUSD + 11_904 * AGENT_RATES_NUSD["cached_input"]
        + (187 - 128) * OUTPUT_NUSD + 128 * AGENT_RATES_NUSD["reasoning"]
    )  # fmt: skip
    assert (entry["cached_input_tokens"], entry["reasoning_tokens"]) == (11_904, 128)
    assert entry["model_answered"] == "gpt-5-codex-2025-09-15"


def test_an_incomplete_response_is_charged_and_says_why(client: openai.OpenAI, books: Books, model: str) -> None:
    answer = client.responses.with_raw_response.create(**question(model, {"finish_reason": "max_output_tokens"}))
    assert answer.parse().status == "incomplete"
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["status"], entry["finish_reason"], entry["cost_nusd"]) == (
        "succeeded", "max_output_tokens", COST_NUSD,
    )  # fmt: skip


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("route", ["first-response-fails", "first-response-is-refused"])
def test_an_upstream_that_fails_before_it_says_anything_is_replaced(
    http: httpx.Client, books: Books, route: str, is_stream: bool
) -> None:
    answer = http.post("/v1/responses", json={"model": route, "input": "What now?", "stream": is_stream})
    assert answer.status_code == 200
    assert "failed" not in answer.text
    entries = books.entries(answer.headers["x-request-id"])
    assert [entry["status"] for entry in entries] == ["failed"] * (len(entries) - 1) + ["succeeded"]
    assert [entry["cost_nusd"] for entry in entries] == [0] * (len(entries) - 1) + [COST_NUSD]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_failure_that_nobody_can_replace_is_an_http_error_with_the_upstreams_words(
    http: httpx.Client, books: Books, model: str, is_stream: bool
) -> None:
    failure = {"code": "invalid_prompt", "message": "That is not allowed."}
    asked = {"model": model, "input": "?", "stream": is_stream, "script": {"failure": failure, "usage": USAGE}}
    answer = http.post("/v1/responses", json=asked)
    assert answer.status_code == 400
    assert (error_of(answer)["message"], error_of(answer)["code"]) == ("That is not allowed.", "invalid_prompt")
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("failed", "reported", USAGE_NUSD)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"cut_after": 8}, "upstream_interrupted"),
        ({"omit_done": True}, "upstream_interrupted"),
        ({"cut_after": 8, "error_event": {"code": "server_error", "message": "oops"}}, "server_error"),
    ],
    ids=["cut", "no end", "error"],
)
def test_a_stream_that_breaks_ends_as_failed_and_what_was_said_is_charged(
    http: httpx.Client, books: Books, model: str, script: dict[str, Any], code: str
) -> None:
    answer = http.post("/v1/responses", json={"model": model, "input": "?", "stream": True, "script": script})
    found = events(answer.text)
    assert [one["type"] for one in found].count("response.failed") == 1
    last = found[-1]
    assert (last["type"], last["response"]["status"], last["response"]["error"]["code"]) == (
        "response.failed", "failed", code,
    )  # fmt: skip
    assert last["response"]["id"] == found[0]["response"]["id"]
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["error_code"]) == ("interrupted", "estimated", code)
    assert entry["output_tokens"] > 0
    assert entry["cost_nusd"] > 0


async def test_a_client_that_leaves_a_response_cancels_it_and_is_charged_for_what_was_said(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str
) -> None:
    key = gateway.make_key()
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        asked = question(model, {"chunk_ms": 100}, user=user)
        async with await client.responses.create(**asked, stream=True) as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    break
    await asyncio.to_thread(until, lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream saw us leave")
    await asyncio.to_thread(until, lambda: gateway.ledger(key=key["id"]), "the call was charged")
    (entry,) = gateway.ledger(key=key["id"])
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert 0 < entry["output_tokens"] < OUTPUT_TOKENS


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": {"text": "x"}}, "input"),
        ({"input": "x", "model": ""}, "model"),
        ({"input": "x", "stream": "yes"}, "stream"),
        ({"input": "x", "max_output_tokens": "many"}, "max_output_tokens"),
        ({"input": "x", "previous_response_id": 7}, "previous_response_id"),
    ],
)
def test_what_no_upstream_could_answer_is_refused_by_name(
    http: httpx.Client, model: str, fields: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/responses", json={"model": model, **fields})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


def test_a_stored_prompt_may_stand_in_for_the_input(
    http: httpx.Client, upstream: UpstreamProcess, model: str, user: str
) -> None:
    http.post("/v1/responses", json={"model": model, "user": user, "prompt": {"id": "pmpt_1"}}).raise_for_status()
    assert upstream.calls(user)[0]["body"]["prompt"] == {"id": "pmpt_1"}


def test_an_upstream_that_answers_in_chat_is_a_bad_gateway(http: httpx.Client, books: Books, model: str) -> None:
    body = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"content": "hi"}}]}
    answer = http.post("/v1/responses", json={"model": model, "input": "?", "script": {"body": body}})
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"
    assert books.entry(answer.headers["x-request-id"])["cost_nusd"] == 0


def test_the_tokens_of_an_input_are_counted_by_the_upstream_at_no_cost(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    answer = client.responses.input_tokens.with_raw_response.count(model=model, input="What now?")
    assert answer.parse().input_tokens == INPUT_TOKENS
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["endpoint"], entry["cost_nusd"], entry["input_tokens"]) == ("responses/input_tokens", 0, 0)


def test_a_conversation_is_made_shorter_by_the_upstream_and_charged(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    answer = client.responses.with_raw_response.compact(model=model, input="What now?")
    compacted = answer.parse()
    assert (compacted.object, [item.type for item in compacted.output]) == ("response.compaction", ["compaction"])
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["endpoint"], entry["cost_nusd"]) == ("responses/compact", COST_NUSD)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(compacted.id)


def test_a_model_that_cannot_make_conversations_shorter_says_so(http: httpx.Client) -> None:
    answer = http.post("/v1/responses/compact", json={"model": "any/x", "input": "What now?"})
    assert answer.status_code == 400
    assert "not /v1/responses/compact" in error_of(answer)["message"]


def test_a_model_without_a_counter_has_its_input_counted_here(
    http: httpx.Client, upstream: UpstreamProcess, user: str
) -> None:
    asked = {"model": "any/x", "input": "What now?", "user": user}
    answer = http.post("/v1/responses/input_tokens", json=asked)
    assert answer.json()["object"] == "response.input_tokens"
    assert answer.json()["input_tokens"] > 0
    assert upstream.calls(user) == []
