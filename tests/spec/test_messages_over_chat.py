"""Clients of the Messages API whose model is served by an upstream that speaks chat completions only."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import pytest
from running_gateway import UpstreamProcess, until
from spec_parts import COST_NUSD, INPUT_NUSD, INPUT_TOKENS, OUTPUT_NUSD, OUTPUT_TOKENS, TEXT, Books

TOOL: Any = {
    "name": "weather",
    "description": "Says how it is.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    "cache_control": {"type": "ephemeral"},
}
CALLS = [
    {"id": "call_a", "name": "weather", "arguments": '{"city": "Oslo"}'},
    {"id": "call_b", "name": "weather", "arguments": '{"city": "Bergen"}'},
]
CACHED_USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 12},
}


def question(model: str, user: str, script: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Keyword arguments of ``messages.create`` and ``messages.stream``."""
    return {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "What now?"}],
        "metadata": {"user_id": user},
        "extra_body": {"script": script or {}},
        **fields,
    }


def sent(upstream: UpstreamProcess, user: str) -> dict[str, Any]:
    """What the upstream got of this test's only call."""
    (call,) = upstream.calls(user)
    assert call["path"] == "/v1/chat/completions"
    body: dict[str, Any] = call["body"]
    return body


def streamed(http: httpx.Client, asked: dict[str, Any]) -> tuple[httpx.Response, list[tuple[str, dict[str, Any]]]]:
    """The events of a stream as they came, by name."""
    extra = asked.pop("extra_body")
    response = http.post("/v1/messages", json={**asked, **extra, "stream": True})
    found = []
    for event in response.text.split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        assert found[-1][0] == found[-1][1]["type"]
    return response, found


def assert_charged_as_reported(entry: dict[str, Any]) -> None:
    assert (entry["endpoint"], entry["basis"], entry["status"]) == ("messages", "reported", "succeeded")
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert entry["cost_nusd"] == COST_NUSD


def test_an_answer_is_a_message_and_its_charge_the_upstreams_usage(
    claude: anthropic.Anthropic, books: Books, upstream: UpstreamProcess, model: str, user: str
) -> None:
    raw = claude.messages.with_raw_response.create(**question(model, user, system="Be brief.", stop_sequences=["END"]))
    message = raw.parse()

    assert [block.text for block in message.content if block.type == "text"] == [TEXT]
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    asked = sent(upstream, user)
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What now?"}]
    assert (asked["max_tokens"], asked["stop"]) == (100, ["END"])
    entry = books.entry(raw.headers["x-request-id"])
    assert_charged_as_reported(entry)
    assert (entry["end_user"], entry["finish_reason"]) == (user, "stop")


def test_a_streamed_answer_is_put_together_by_the_sdk_and_charged_the_same(
    claude: anthropic.Anthropic, books: Books, model: str, user: str
) -> None:
    with claude.messages.stream(**question(model, user, {"reasoning": "Let me think."})) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()

    assert text == TEXT
    thinking = message.content[0]
    assert thinking.type == "thinking"
    assert thinking.thinking == "Let me think."
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert_charged_as_reported(books.entry(stream.response.headers["x-request-id"]))


@pytest.mark.parametrize("oddity", [{"split_events": True}, {"join_events": True}, {"crlf": True, "comments": True}])
def test_a_stream_is_the_same_message_however_its_bytes_are_cut(
    claude: anthropic.Anthropic, model: str, user: str, oddity: dict[str, Any]
) -> None:
    with claude.messages.stream(**question(model, user, oddity)) as stream:
        message = stream.get_final_message()

    assert [block.text for block in message.content if block.type == "text"] == [TEXT]
    assert message.usage.output_tokens == OUTPUT_TOKENS


@pytest.mark.parametrize("is_stream", [False, True])
def test_cached_tokens_are_counted_apart_for_the_client_and_once_in_the_ledger(
    http: httpx.Client, books: Books, model: str, user: str, is_stream: bool
) -> None:
    asked = question(model, user, {"usage": CACHED_USAGE})
    if is_stream:
        response, events = streamed(http, asked)
        usage = events[-2][1]["usage"]
    else:
        extra = asked.pop("extra_body")
        response = http.post("/v1/messages", json={**asked, **extra})
        usage = response.json()["usage"]

    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (20, 100, 30)
    assert usage["output_tokens_details"] == {"thinking_tokens": 12}
    entry = books.entry(response.headers["x-request-id"])
    assert (entry["input_tokens"], entry["cached_input_tokens"]) == (120, 100)
    assert (entry["output_tokens"], entry["reasoning_tokens"]) == (30, 12)
    assert entry["cost_nusd"] == 120 * INPUT_NUSD + 30 * OUTPUT_NUSD


def test_the_charge_stands_in_the_last_usage_of_a_stream(
    http: httpx.Client, books: Books, model: str, user: str
) -> None:
    response, events = streamed(http, question(model, user))

    assert [name for name, _ in events[-2:]] == ["message_delta", "message_stop"]
    cost_nusd = round(events[-2][1]["usage"]["cost"] * 10**9)
    assert cost_nusd == books.entry(response.headers["x-request-id"])["cost_nusd"] == COST_NUSD


@pytest.mark.parametrize("is_stream", [False, True])
def test_tools_make_the_round_trip(
    claude: anthropic.Anthropic, books: Books, upstream: UpstreamProcess, model: str, user: str, is_stream: bool
) -> None:
    asked = question(model, user, {"tool_calls": CALLS}, tools=[TOOL], tool_choice={"type": "any"})
    if is_stream:
        with claude.messages.stream(**asked) as stream:
            message = stream.get_final_message()
        request_id = stream.response.headers["x-request-id"]
    else:
        raw = claude.messages.with_raw_response.create(**asked)
        message, request_id = raw.parse(), raw.headers["x-request-id"]

    uses = [block for block in message.content if block.type == "tool_use"]
    assert [(one.id, one.name, one.input) for one in uses] == [
        ("call_a", "weather", {"city": "Oslo"}),
        ("call_b", "weather", {"city": "Bergen"}),
    ]
    assert message.stop_reason == "tool_use"
    first = sent(upstream, user)
    assert first["tools"][0]["function"]["parameters"] == TOOL["input_schema"]
    assert first["tool_choice"] == "required"
    assert books.entry(request_id)["finish_reason"] == "tool_calls"

    results = [{"type": "tool_result", "tool_use_id": one.id, "content": f"Rain in {one.id}."} for one in uses]
    messages = [
        *asked["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    claude.messages.create(**question(model, f"{user}-2", tools=[TOOL], messages=messages))

    history = sent(upstream, f"{user}-2")["messages"]
    assert [one["role"] for one in history] == ["user", "assistant", "tool", "tool"]
    assert [call["function"]["name"] for call in history[1]["tool_calls"]] == ["weather", "weather"]
    assert [json.loads(call["function"]["arguments"]) for call in history[1]["tool_calls"]] == [
        one.input for one in uses
    ]
    assert [(one["tool_call_id"], one["content"]) for one in history[2:]] == [
        ("call_a", "Rain in call_a."),
        ("call_b", "Rain in call_b."),
    ]


def test_what_claude_code_sends_is_understood(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, model: str, user: str
) -> None:
    ephemeral = {"cache_control": {"type": "ephemeral"}}
    body = {
        "model": model,
        "max_tokens": 32_000,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.92f; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are a Claude agent.", **ephemeral},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nx\n</system-reminder>"}]},
            {"role": "system", "content": "Available agent types: none."},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": ""}]},
            {"role": "user", "content": [{"type": "text", "text": "Fix it.", **ephemeral}]},
        ],
        "tools": [TOOL],
        "metadata": {"user_id": user + "-" * 100},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    }

    response = http.post(
        "/v1/messages?beta=true",
        json=body,
        headers={"anthropic-version": "2023-06-01", "anthropic-beta": "claude-code-20250219,effort-2025-11-24"},
    )

    assert response.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert_charged_as_reported(books.entry(response.headers["x-request-id"]))
    (call,) = upstream.calls_of(model.removeprefix("any/"))
    assert "anthropic-beta" not in call["headers"]
    assert call["query"] == {}
    asked = call["body"]
    assert asked.keys() == {
        *("model", "messages", "tools", "max_tokens", "stream", "stream_options", "reasoning_effort", "user"),
    }
    assert asked["messages"] == [
        {"role": "system", "content": "You are a Claude agent."},
        {
            "role": "user",
            "content": "<system-reminder>\nx\n</system-reminder>\n\n"
            "<system-reminder>\nAvailable agent types: none.\n</system-reminder>",
        },
        {"role": "user", "content": "Fix it."},
    ]


def test_a_huge_tool_result_arrives_whole(
    claude: anthropic.Anthropic, upstream: UpstreamProcess, model: str, user: str
) -> None:
    result = 'line "1"\n' * 200_000
    messages = [
        {"role": "user", "content": "Read."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": result}]},
    ]

    claude.messages.create(**question(model, user, messages=messages, tools=[TOOL]))

    assert sent(upstream, user)["messages"][2]["content"] == result


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_that_says_nothing_is_empty_content(
    claude: anthropic.Anthropic, model: str, user: str, is_stream: bool
) -> None:
    asked = question(model, user, {"text": ""}, messages=[{"role": "user", "content": ""}])
    if is_stream:
        with claude.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**asked)

    assert message.content == []
    assert message.stop_reason == "end_turn"


def test_a_block_that_chat_cannot_say_is_refused_by_its_name_and_charged_to_nobody(
    claude: anthropic.Anthropic, books: Books, upstream: UpstreamProcess, model: str, user: str
) -> None:
    unknown: Any = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "hologram"}]}

    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(**question(model, user, messages=[unknown]))

    assert caught.value.body["type"] == "error"  # type: ignore[index, call-overload]
    assert caught.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index, call-overload]
    assert "'messages.0.content.1.type'" in str(caught.value.body)
    assert "'hologram' blocks" in str(caught.value.body)
    assert upstream.calls(user) == []
    assert books.entries(caught.value.response.headers["x-request-id"]) == []


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "no", "type": "invalid_request_error", "param": "stop"}, anthropic.BadRequestError),
        (429, {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}, anthropic.RateLimitError),
    ],
)
def test_an_error_before_the_answer_is_the_sdks_own_exception(
    claude: anthropic.Anthropic,
    books: Books,
    model: str,
    user: str,
    is_stream: bool,
    status: int,
    error: dict[str, Any],
    kind: type[anthropic.APIStatusError],
) -> None:
    script = {"status": status, "body": {"error": error}, "headers": {"retry-after": "7"}}

    with pytest.raises(kind) as caught:
        claude.messages.create(**question(model, user, script, stream=is_stream))

    assert error["message"] in caught.value.message
    entries = books.entries(caught.value.response.headers["x-request-id"])
    assert {(entry["status"], entry["basis"], entry["cost_nusd"]) for entry in entries} == {("failed", "unbilled", 0)}


def test_an_error_in_the_stream_is_an_error_event_and_what_was_said_is_charged(
    http: httpx.Client, books: Books, model: str, user: str
) -> None:
    script = {"cut_after": 4, "error_event": {"message": "gpu on fire", "type": "server_error", "code": "fire"}}

    response, events = streamed(http, question(model, user, script))

    assert [name for name, _ in events][-1] == "error"
    error = events[-1][1]["error"]
    assert (error["type"], error["message"]) == ("api_error", "gpu on fire")
    assert events[-1][1]["request_id"] == response.headers["x-request-id"]
    assert "message_stop" not in response.text
    entry = books.entry(response.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["error_code"]) == ("interrupted", "estimated", "fire")
    assert entry["output_tokens"] > 0


@pytest.mark.parametrize("cut_after", [1, 4])
def test_a_stream_that_is_cut_never_looks_like_a_good_end(
    claude: anthropic.Anthropic, books: Books, model: str, user: str, cut_after: int
) -> None:
    with (
        pytest.raises(anthropic.APIStatusError),
        claude.messages.stream(**question(model, user, {"cut_after": cut_after})) as stream,
    ):
        stream.get_final_message()

    entry = books.entry(stream.response.headers["x-request-id"])
    assert (entry["status"], entry["basis"]) == ("interrupted", "estimated")


BROKEN_CALL = {"tool_calls": [{"name": "weather", "arguments": "{Oslo, rain and wind"}]}


def test_a_tool_call_that_nobody_can_run_is_an_error_and_charged_all_the_same(
    claude: anthropic.Anthropic, books: Books, model: str, user: str
) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(**question(model, user, BROKEN_CALL, tools=[TOOL]))

    assert caught.value.status_code == 502
    entry = books.entry(caught.value.response.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["error_code"]) == ("failed", "reported", "upstream_bad_response")
    assert entry["input_tokens"] == INPUT_TOKENS


def test_a_streamed_tool_call_that_nobody_can_run_ends_in_an_error(
    http: httpx.Client, books: Books, model: str, user: str
) -> None:
    response, events = streamed(http, question(model, user, {**BROKEN_CALL, "chunk_ms": 5}, tools=[TOOL]))

    assert "no JSON object" in events[-1][1]["error"]["message"]
    entry = books.entry(response.headers["x-request-id"])
    assert (entry["status"], entry["basis"]) == ("interrupted", "estimated")
    assert entry["output_tokens"] > 0


@pytest.mark.parametrize(
    "script", [{"body": {"type": "message", "content": []}}, {"events": [{"type": "message_start"}]}]
)
def test_an_answer_of_another_dialect_is_a_broken_upstream(
    http: httpx.Client, books: Books, model: str, user: str, script: dict[str, Any]
) -> None:
    extra = {"stream": "events" in script, "script": script}

    response = http.post("/v1/messages", json={**question(model, user), **extra, "extra_body": None})

    assert response.status_code == 502
    assert response.json()["error"]["type"] == "api_error"
    entry = books.entry(response.headers["x-request-id"])
    assert (entry["status"], entry["error_code"]) == ("failed", "upstream_bad_response")


def test_a_client_that_leaves_cancels_the_upstream_and_pays_what_was_said(
    claude: anthropic.Anthropic, books: Books, upstream: UpstreamProcess, model: str, user: str
) -> None:
    with claude.messages.stream(**question(model, user, {"hang": "mid_stream", "cut_after": 4})) as stream:
        next(iter(stream.text_stream))

    until(lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream sees the client leave")
    until(lambda: books.entry(stream.response.headers["x-request-id"])["status"] == "cancelled", "it is charged")
