"""Clients of the Responses API whose model is served by an upstream that speaks chat alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from running_gateway import UpstreamProcess, until
from spec_parts import COST_NUSD, INPUT_NUSD, INPUT_TOKENS, OUTPUT_NUSD, OUTPUT_TOKENS, TEXT, Books, error_of

FUNCTION: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
}
WEB_SEARCH: Any = {"type": "web_search", "external_web_access": False}
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 12},
}


def question(model: str, user: str, script: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Keyword arguments of ``client.responses.create``."""
    return {"model": model, "input": "What now?", "user": user, "extra_body": {"script": script or {}}, **fields}


def sent(upstream: UpstreamProcess, user: str) -> dict[str, Any]:
    """What the upstream got of this test's only call."""
    (call,) = upstream.calls(user)
    assert call["path"] == "/v1/chat/completions"
    body: dict[str, Any] = call["body"]
    return body


def events_of(stream: str) -> list[dict[str, Any]]:
    """The events of a stream, each checked for its name and number."""
    found = []
    for number, event in enumerate(stream.split("\n\n")[:-1]):
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
        assert found[-1]["sequence_number"] == number
    return found


def test_an_answer_is_a_response_and_its_charge_the_upstreams_usage(
    client: openai.OpenAI, books: Books, upstream: UpstreamProcess, model: str, user: str
) -> None:
    raw = client.responses.with_raw_response.create(**question(model, user, instructions="Be brief."))
    answer = raw.parse()
    assert answer.output_text == TEXT
    assert answer.status == "completed"
    assert answer.usage
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert sent(upstream, user)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What now?"},
    ]
    entry = books.entry(raw.headers["x-request-id"])
    assert (entry["endpoint"], entry["status"], entry["basis"]) == ("responses", "succeeded", "reported")
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert entry["cost_nusd"] == COST_NUSD


def test_a_stream_tells_the_cost_and_is_charged_by_what_the_upstream_reported(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    script = {"reasoning": "Let me think.", "usage": USAGE}
    with client.responses.with_streaming_response.create(**question(model, user, script), stream=True) as raw:
        found = events_of("".join(raw.iter_text()))
    assert found[-1]["type"] == "response.completed"
    response = found[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    entry = books.entry(raw.headers["x-request-id"])
    assert (entry["input_tokens"], entry["cached_input_tokens"]) == (120, 100)
    assert (entry["output_tokens"], entry["reasoning_tokens"]) == (30, 12)
    assert entry["cost_nusd"] == 120 * INPUT_NUSD + 30 * OUTPUT_NUSD
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 100
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 12
    assert response["usage"]["cost"] == entry["cost_nusd"] / 1e9


def test_a_stream_of_an_upstream_that_counts_nothing_tells_our_count(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    with client.responses.stream(**question(model, user, {"no_usage": True})) as stream:
        answer = stream.get_final_response()
        request_id = stream._response.headers["x-request-id"]
    entry = books.entry(request_id)
    assert entry["basis"] == "estimated"
    assert answer.usage
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (entry["input_tokens"], entry["output_tokens"])


def test_a_tool_is_called_and_its_result_goes_back(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    script = {"tool_calls": [{"name": "weather", "arguments": '{"city": "Kyōto"}'}]}
    with client.responses.stream(**question(model, f"{user}-1", script), tools=[FUNCTION]) as stream:
        first = stream.get_final_response()
    (call,) = first.output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"city": "Kyōto"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "19 °C"}
    asked = question(model, f"{user}-2", tools=[FUNCTION])
    asked["input"] = [{"role": "user", "content": "Weather?"}, call.to_dict(), result]
    assert client.responses.create(**asked).output_text == TEXT
    messages = sent(upstream, f"{user}-2")["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == call.call_id
    assert messages[2]["content"] == "19 °C"


def test_a_custom_tool_is_called_in_free_text_and_its_result_goes_back(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    patch = '*** Begin Patch\n+print("hello")\n*** End Patch'
    script = {"tool_calls": [{"name": "apply_patch", "arguments": json.dumps({"input": patch})}]}
    with client.responses.stream(**question(model, f"{user}-1", script), tools=[PATCH, WEB_SEARCH]) as stream:
        pieces = [event.delta for event in stream if event.type == "response.custom_tool_call_input.delta"]
        (call,) = stream.get_final_response().output
    assert call.type == "custom_tool_call"
    assert "".join(pieces) == call.input == patch
    assert [tool["function"]["name"] for tool in sent(upstream, f"{user}-1")["tools"]] == ["apply_patch"]
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "Done."}
    asked = question(model, f"{user}-2", tools=[PATCH])
    asked["input"] = [{"role": "user", "content": "Edit."}, call.to_dict(), result]
    client.responses.create(**asked)
    messages = sent(upstream, f"{user}-2")["messages"]
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == {"input": patch}
    assert messages[2]["content"] == "Done."


def test_a_huge_tool_output_arrives_whole(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    output = 'line "of" output\n' * 100_000
    call = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
    asked = question(model, user)
    asked["input"] = [call, {"type": "function_call_output", "call_id": "c", "output": output}]
    client.responses.create(**asked)
    assert sent(upstream, user)["messages"][1]["content"] == output


def test_an_answer_cut_by_its_limit_is_incomplete(client: openai.OpenAI, model: str, user: str) -> None:
    answer = client.responses.create(**question(model, user, {"finish_reason": "length"}), max_output_tokens=5)
    assert answer.status == "incomplete"
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_an_error_of_the_upstream_before_the_answer_is_a_status(client: openai.OpenAI, books: Books, user: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**question("k/error-400", user) | {"extra_body": {}}, stream=True)
    assert caught.value.code == "context_length_exceeded"
    assert books.entry(caught.value.response.headers["x-request-id"])["status"] == "failed"


def test_an_error_in_the_stream_is_a_failed_response(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    script = {"cut_after": 3, "error_event": {"message": "too long", "code": "context_length_exceeded"}}
    with client.responses.with_streaming_response.create(**question(model, user, script), stream=True) as raw:
        found = events_of("".join(raw.iter_text()))
    assert [event["type"] for event in found if "response" in event] == [
        "response.created", "response.in_progress", "response.failed",
    ]  # fmt: skip
    failed = found[-1]["response"]
    assert failed["status"] == "failed"
    assert failed["id"] == found[0]["response"]["id"]
    assert failed["error"]["code"] == "context_length_exceeded"
    assert books.entry(raw.headers["x-request-id"])["status"] == "interrupted"


def test_a_stream_that_is_cut_is_a_failed_response(client: openai.OpenAI, books: Books, model: str, user: str) -> None:
    with client.responses.with_streaming_response.create(**question(model, user, {"cut_after": 4}), stream=True) as raw:
        found = events_of("".join(raw.iter_text()))
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["error"]["code"] == "upstream_interrupted"
    entry = books.entry(raw.headers["x-request-id"])
    assert (entry["status"], entry["basis"]) == ("interrupted", "estimated")
    assert entry["output_tokens"] > 0


@pytest.mark.parametrize("preset", ["html-200", "empty-200", "truncated"])
def test_an_answer_that_is_none_is_an_error_in_json(http: httpx.Client, preset: str) -> None:
    answer = http.post("/v1/responses", json={"model": f"k/{preset}", "input": "Hi"})
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"


def test_an_answer_of_a_foreign_form_gives_way_to_the_next_deployment(
    http: httpx.Client, books: Books, user: str
) -> None:
    script = {"body": {"choices": [{"message": "Hello"}]}}
    answer = http.post("/v1/responses", json={"model": "in-order", "input": "Hi", "user": user, "script": script})
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"
    entries = books.entries(answer.headers["x-request-id"])
    assert {entry["deployment"] for entry in entries} == {"a/first", "a/second"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"type": "something_new"}]}, "input.0.type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools.0.type"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name_and_never_sent(
    http: httpx.Client, upstream: UpstreamProcess, model: str, user: str, fields: dict[str, Any], param: str
) -> None:
    answer = http.post("/v1/responses", json={"model": model, "input": "Hi", "user": user, **fields})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
    assert upstream.calls(user) == []


def test_an_answer_of_a_chat_upstream_is_not_stored(client: openai.OpenAI, model: str, user: str) -> None:
    answer = client.responses.create(**question(model, user), store=True)
    assert answer.model_extra is not None
    assert answer.model_extra["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_thoughts_of_an_anthropic_model_come_and_go_with_their_signatures(
    client: openai.OpenAI, books: Books, upstream: UpstreamProcess, user: str
) -> None:
    script = {"reasoning": "Let me think.", "tool_calls": [{"name": "weather", "arguments": "{}"}]}
    model = f"messages/{user}"
    asked = question(model, f"{user}-1", script, tools=[FUNCTION], reasoning={"effort": "low"})
    with client.responses.stream(**asked) as stream:
        first = stream.get_final_response()
        request_id = stream._response.headers["x-request-id"]
    thought, call = first.output
    assert thought.type == "reasoning"
    assert thought.summary[0].text == "Let me think."
    assert call.type == "function_call"
    entry = books.entry(request_id)
    assert first.usage
    assert (entry["input_tokens"], entry["output_tokens"]) == (first.usage.input_tokens, first.usage.output_tokens)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "19 °C"}
    history = [{"role": "user", "content": "Weather?"}, thought.to_dict(), call.to_dict(), result]
    client.responses.create(**question(model, f"{user}-2", tools=[FUNCTION]) | {"input": history})
    turns = [call["body"] for call in upstream.calls_of(user)]
    blocks = turns[-1]["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[0]["thinking"] == "Let me think."
    assert blocks[0]["signature"]


async def test_a_client_that_leaves_is_charged_for_what_was_said(
    async_client: openai.AsyncOpenAI, books: Books, model: str, user: str
) -> None:
    stream = await async_client.responses.create(
        **question(model, user, {"chunk_ms": 20, "text": "word " * 400}), stream=True
    )
    request_id = stream.response.headers["x-request-id"]
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    (entry,) = await asyncio.to_thread(until, lambda: books.entries(request_id), "the call was charged")
    assert entry["status"] == "cancelled"
    assert 0 < entry["output_tokens"] < 400
