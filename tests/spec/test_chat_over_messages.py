"""Clients of chat completions whose model is served by an upstream that speaks Anthropic's Messages API."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import openai
import pydantic
import pytest
from running_gateway import UpstreamProcess
from spec_parts import AGENT_RATES_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books, chunks, error_of, payloads

MARK = {"type": "ephemeral"}
PNG = "data:image/png;base64,aGk="
FUNCTION: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Says how it is.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
    "cache_control": MARK,
}
CALLS = [
    {"id": "toolu_a", "name": "weather", "arguments": '{"city": "Oslo"}'},
    {"id": "toolu_b", "name": "weather", "arguments": '{"city": "Bergen"}'},
]
COST_NUSD = INPUT_TOKENS * AGENT_RATES_NUSD["input"] + OUTPUT_TOKENS * AGENT_RATES_NUSD["output"]
# All kinds of input at once, 5-minute and 1-hour writes apart.
USAGE = {
    "input_tokens": 7,
    "cache_read_input_tokens": 1000,
    "cache_creation_input_tokens": 500,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 15},
    "service_tier": "standard",
}
USAGE_NUSD = (
    7 * AGENT_RATES_NUSD["input"]
    + 1000 * AGENT_RATES_NUSD["cached_input"]
    + 200 * AGENT_RATES_NUSD["cache_write"]
    + 300 * AGENT_RATES_NUSD["cache_write_long"]
    + 25 * AGENT_RATES_NUSD["output"]
    + 15 * AGENT_RATES_NUSD["reasoning"]
)


@pytest.fixture
def model() -> str:
    """A deployment of its own for each test, that speaks Messages alone, of a model that thinks by itself."""
    return f"messages/claude-opus-4-8-x{uuid.uuid4().hex}"


def question(model: str, user: str, script: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Keyword arguments of ``client.chat.completions.create``."""
    extra = {"script": script or {}, **fields.pop("extra_body", {})}
    messages = fields.pop("messages", [{"role": "user", "content": "What now?"}])
    return {"model": model, "messages": messages, "user": user, "extra_body": extra, **fields}


def sent(upstream: UpstreamProcess, user: str) -> dict[str, Any]:
    """What the upstream got of this test's only call."""
    (call,) = upstream.calls(user)
    assert call["path"] == "/v1/messages"
    body: dict[str, Any] = call["body"]
    return body


def assert_charged_by_usage(entry: dict[str, Any]) -> None:
    assert (entry["endpoint"], entry["basis"], entry["status"]) == ("chat/completions", "reported", "succeeded")
    assert (entry["input_tokens"], entry["cached_input_tokens"]) == (1507, 1000)
    assert (entry["cache_write_tokens"], entry["cache_write_long_tokens"]) == (500, 300)
    assert (entry["output_tokens"], entry["reasoning_tokens"]) == (40, 15)
    assert entry["cost_nusd"] == USAGE_NUSD


def assert_tells_usage(usage: Any) -> None:
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1507, 40, 1547)
    told = {"cached_tokens": 1000, "cache_write_tokens": 200, "cache_write_long_tokens": 300}
    assert usage["prompt_tokens_details"] == told
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 15}


def test_an_answer_is_a_completion_and_its_charge_the_upstreams_usage(
    client: openai.OpenAI, books: Books, upstream: UpstreamProcess, model: str, user: str
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What now?"}]
    raw = client.chat.completions.with_raw_response.create(**question(model, user, messages=messages, stop="END"))
    answer = raw.parse()

    assert answer.id.startswith("chatcmpl-")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (TEXT, "stop")
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    asked = sent(upstream, user)
    assert asked["system"] == [{"type": "text", "text": "Be brief."}]
    assert asked["messages"] == [{"role": "user", "content": [{"type": "text", "text": "What now?"}]}]
    assert asked["stop_sequences"] == ["END"]
    assert asked["metadata"] == {"user_id": user}
    assert asked["max_tokens"] == 8192
    assert not {"user", "stop", "stream_options", "reasoning_effort"} & asked.keys()
    entry = books.entry(raw.headers["x-request-id"])
    assert (entry["endpoint"], entry["basis"], entry["status"]) == ("chat/completions", "reported", "succeeded")
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert (entry["cost_nusd"], entry["end_user"]) == (COST_NUSD, user)


def test_a_stream_ends_with_the_usage_and_the_cost_of_its_ledger_row(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    asked = question(model, user, {"usage": USAGE}, stream=True, stream_options={"include_usage": True})
    with client.chat.completions.with_streaming_response.create(**asked) as raw:
        found = chunks("".join(raw.iter_text()))

    assert len({chunk["id"] for chunk in found}) == 1
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in found[:-1]) == TEXT
    assert [chunk["usage"] for chunk in found[:-1]] == [None] * (len(found) - 1)
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["choices"] == []
    assert_tells_usage(found[-1]["usage"])
    entry = books.entry(raw.headers["x-request-id"])
    assert_charged_by_usage(entry)
    assert found[-1]["usage"]["cost"] == entry["cost_nusd"] / 1e9


def test_cached_tokens_of_a_whole_answer_are_billed_as_the_upstream_counts_them(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    raw = client.chat.completions.with_raw_response.create(**question(model, user, {"usage": USAGE}))
    assert_tells_usage(json.loads(raw.content)["usage"])
    assert_charged_by_usage(books.entry(raw.headers["x-request-id"]))


def test_a_client_that_did_not_ask_for_usage_gets_no_chunk_of_it(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    with client.chat.completions.with_streaming_response.create(**question(model, user), stream=True) as raw:
        found = chunks("".join(raw.iter_text()))
    assert all(chunk["choices"] for chunk in found)
    assert not any("usage" in chunk for chunk in found)
    assert books.entry(raw.headers["x-request-id"])["cost_nusd"] == COST_NUSD


def test_cache_marks_arrive_where_the_client_put_them(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    hour = {"type": "ephemeral", "ttl": "1h"}
    messages: list[Any] = [
        {"role": "system", "content": [{"type": "text", "text": "Rules.", "cache_control": hour}]},
        {"role": "user", "content": "Hi", "cache_control": MARK},
        {"role": "assistant", "content": None, "tool_calls": [_chat_call(CALLS[0])]},
        {"role": "tool", "tool_call_id": "toolu_a", "content": "Rain", "cache_control": MARK},
    ]
    client.chat.completions.create(**question(model, user, messages=messages, tools=[FUNCTION]))

    asked = sent(upstream, user)
    assert asked["system"][0]["cache_control"] == hour
    assert asked["messages"][0]["content"][0]["cache_control"] == MARK
    assert asked["messages"][2]["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "toolu_a",
        "content": "Rain",
        "cache_control": MARK,
    }
    assert asked["tools"][0]["cache_control"] == MARK


def test_a_task_with_two_tools_at_once_goes_round(
    client: openai.OpenAI, books: Books, upstream: UpstreamProcess, model: str, user: str
) -> None:
    script = {"tool_calls": CALLS, "preamble": "I look.", "usage": USAGE}
    raw = client.chat.completions.with_raw_response.create(**question(model, user, script, tools=[FUNCTION]))
    said = raw.parse().choices[0]
    assert said.finish_reason == "tool_calls"
    assert said.message.content == "I look."
    assert said.message.tool_calls
    assert [(one.id, one.function.name) for one in said.message.tool_calls if one.type == "function"] == [
        ("toolu_a", "weather"),
        ("toolu_b", "weather"),
    ]
    assert_charged_by_usage(books.entry(raw.headers["x-request-id"]))

    results = [
        {"role": "tool", "tool_call_id": one.id, "content": f"Result of {one.id}"} for one in said.message.tool_calls
    ]
    messages = [{"role": "user", "content": "What now?"}, said.message.model_dump(exclude_none=True), *results]
    again = f"{user}-again"
    answer = client.chat.completions.create(**question(model, again, messages=messages, tools=[FUNCTION]))

    assert answer.choices[0].message.content == TEXT
    turns = sent(upstream, again)["messages"]
    assert turns[1]["content"] == [
        {"type": "text", "text": "I look."},
        *({"type": "tool_use", "id": c["id"], "name": c["name"], "input": json.loads(c["arguments"])} for c in CALLS),
    ]
    assert turns[2] == {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": c["id"], "content": f"Result of {c['id']}"} for c in CALLS],
    }


def test_streamed_calls_are_put_together_by_the_official_sdk(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    asked = question(model, user, {"tool_calls": CALLS, "reasoning": "Let me think."}, tools=[FUNCTION])
    with client.chat.completions.stream(**asked) as stream:
        answer = stream.get_final_completion()
        request_id = stream._response.headers["x-request-id"]
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert [(one.id, one.function.arguments) for one in calls] == [(c["id"], c["arguments"]) for c in CALLS]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert books.entry(request_id)["finish_reason"] == "tool_use"


def test_thoughts_are_shown_and_go_back_signed_with_the_next_turn(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    script = {"reasoning": "Let me think.", "tool_calls": CALLS[:1]}
    asked = question(model, user, script, tools=[FUNCTION], reasoning_effort="high", temperature=0.3)
    said = client.chat.completions.create(**asked).choices[0].message.model_dump(exclude_none=True)

    up = sent(upstream, user)
    assert (up["thinking"], up["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    assert "temperature" not in up
    assert said["reasoning_content"] == "Let me think."
    (thought,) = said["thinking_blocks"]
    assert thought["signature"]

    again = f"{user}-again"
    result = {"role": "tool", "tool_call_id": "toolu_a", "content": "Rain"}
    messages = [{"role": "user", "content": "What now?"}, said, result]
    client.chat.completions.create(**question(model, again, messages=messages, tools=[FUNCTION]))
    assert sent(upstream, again)["messages"][1]["content"][0] == thought


def test_an_older_model_is_given_a_budget(client: openai.OpenAI, upstream: UpstreamProcess, user: str) -> None:
    model = f"messages/claude-sonnet-4-5-x{uuid.uuid4().hex}"
    client.chat.completions.create(**question(model, user, reasoning_effort="low", max_completion_tokens=20_000))
    up = sent(upstream, user)
    assert (up["thinking"], up["max_tokens"]) == ({"type": "enabled", "budget_tokens": 2048}, 20_000)
    assert "output_config" not in up


def test_a_model_of_pydantic_is_the_form_of_the_answer(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    class City(pydantic.BaseModel):
        name: str
        people: int

    script = {"text": '{"name": "Oslo", "people": 700000}'}
    answer = client.chat.completions.parse(**question(model, user, script), response_format=City)
    assert answer.choices[0].message.parsed == City(name="Oslo", people=700_000)
    form = sent(upstream, user)["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert list(form["schema"]["properties"]) == ["name", "people"]


def test_images_and_files_arrive(client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str) -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
    ]
    client.chat.completions.create(**question(model, user, messages=[{"role": "user", "content": parts}]))
    image, document = sent(upstream, user)["messages"][0]["content"]
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert document["source"] == {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}


def test_anthropics_own_headers_and_fields_travel(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    asked = question(model, user, extra_body={"context_management": {"edits": []}})
    client.chat.completions.create(**asked, extra_headers={"anthropic-beta": "context-1m", "openai-beta": "x"})
    (call,) = upstream.calls(user)
    assert call["headers"]["anthropic-beta"] == "context-1m"
    assert call["headers"]["anthropic-version"] == "2023-06-01"
    assert "openai-beta" not in call["headers"]
    assert call["body"]["context_management"] == {"edits": []}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 7}, "seed"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages.0.content.0.type"),
    ],
)
def test_what_anthropic_lacks_is_refused_by_name_and_costs_nothing(
    http: httpx.Client,
    upstream: UpstreamProcess,
    books: Books,
    model: str,
    user: str,
    fields: dict[str, Any],
    param: str,
) -> None:
    body = {"model": model, "user": user, "messages": [{"role": "user", "content": "Hi"}], **fields}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
    assert upstream.calls(user) == []
    assert books.entries(answer.headers["x-request-id"]) == []


@pytest.mark.parametrize(
    ("preset", "status", "kind"),
    [
        ("error-400", 400, "invalid_request_error"),
        ("error-404", 404, None),
        ("error-429", 429, None),
        ("error-529", 503, None),
    ],
)
def test_an_error_of_anthropics_is_one_of_openais(
    http: httpx.Client, books: Books, model: str, preset: str, status: int, kind: str | None
) -> None:
    asked = {"model": f"messages/{preset}~{model}", "messages": [{"role": "user", "content": "Hi"}]}
    answer = http.post("/v1/chat/completions", json=asked)
    assert answer.status_code == status
    error = error_of(answer)
    assert kind is None or error["type"] == kind
    assert {entry["cost_nusd"] for entry in books.entries(answer.headers["x-request-id"])} == {0}


def test_an_error_in_the_stream_is_raised_by_the_sdk_and_what_was_said_is_charged(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    script = {"cut_after": 6, "error_event": {"type": "overloaded_error", "message": "Overloaded"}}
    stream = client.chat.completions.with_raw_response.create(**question(model, user, script), stream=True)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(stream.parse())
    entry = books.entry(stream.headers["x-request-id"])
    assert entry["status"] == "interrupted"
    assert entry["input_tokens"] == INPUT_TOKENS
    assert entry["output_tokens"] > 0
    assert entry["cost_nusd"] == INPUT_TOKENS * 1000 + entry["output_tokens"] * 2000


def test_a_stream_that_is_cut_never_looks_like_a_normal_end(
    http: httpx.Client, books: Books, model: str, user: str
) -> None:
    body = {"model": model, "user": user, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    answer = http.post("/v1/chat/completions", json={**body, "script": {"cut_after": 6}})
    *begun, last = payloads(answer.text)
    assert "error" in json.loads(last)
    assert "[DONE]" not in answer.text
    assert not any(json.loads(one)["choices"][0]["finish_reason"] for one in begun)
    assert books.entry(answer.headers["x-request-id"])["status"] == "interrupted"


def test_an_answer_of_another_dialect_is_a_bad_gateway(http: httpx.Client, model: str) -> None:
    body = {"choices": [{"message": {"content": "x"}}]}
    asked = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "script": {"body": body}}
    answer = http.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"


def test_a_huge_result_of_a_tool_arrives_whole(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    huge = 'zeile \\ " \u00fc\n' * 100_000
    messages: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [_chat_call(CALLS[0])]},
        {"role": "tool", "tool_call_id": "toolu_a", "content": huge},
    ]
    client.chat.completions.create(**question(model, user, messages=messages, tools=[FUNCTION]))
    assert sent(upstream, user)["messages"][2]["content"][0]["content"] == huge


def _chat_call(call: dict[str, str]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}
