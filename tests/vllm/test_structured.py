"""JSON schemas and tool calls of a real vLLM through the official SDK; a random model is forced into them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from books import PROMPT, Books, said
from openai import OpenAI
from openai.types.chat import ChatCompletionToolParam

pytestmark = pytest.mark.vllm

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Berlin"]}, "is_warm": {"type": "boolean"}},
    "required": ["city", "is_warm"],
    "additionalProperties": False,
}
# Only a strict function binds the arguments to the schema; a random model would say anything else.
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Look outside", "strict": True, "parameters": SCHEMA},
}
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA}}


def assert_fits_schema(text: str | None) -> None:
    said_so = json.loads(text or "")
    assert said_so.keys() == {"city", "is_warm"}
    assert said_so["city"] in {"Paris", "Berlin"}
    assert isinstance(said_so["is_warm"], bool)


def test_json_schema_binds_the_answer(client: OpenAI, books: Books) -> None:
    answer = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=60, response_format=FORMAT
    )

    assert_fits_schema(answer.choices[0].message.content)
    assert answer.usage is not None
    assert books.balanced(str(answer._request_id))["output_tokens"] == answer.usage.completion_tokens


def test_json_schema_binds_a_stream(client: OpenAI, books: Books) -> None:
    stream = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=60, response_format=FORMAT, stream=True
    )

    assert_fits_schema("".join(chunk.choices[0].delta.content or "" for chunk in stream))
    assert books.balanced(stream.response.headers["x-request-id"])["finish_reason"] == "stop"


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_forced_tool_calls_come_back_whole(client: OpenAI, books: Books, choice: Any) -> None:
    answer = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=1000, seed=2, tools=[TOOL], tool_choice=choice
    )

    # "required" leaves it to the model how many calls it makes; this one likes several.
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert choice == "required" or len(calls) == 1
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        assert call.type == "function"
        assert call.function.name == "get_weather"
        assert_fits_schema(call.function.arguments)
    assert answer.usage is not None
    assert books.balanced(str(answer._request_id))["output_tokens"] == answer.usage.completion_tokens


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_forced_tool_calls_come_in_fragments(client: OpenAI, books: Books, choice: Any) -> None:
    stream = client.chat.completions.create(
        model="tiny-llama",
        messages=said(PROMPT),
        max_tokens=1000,
        seed=2,
        tools=[TOOL],
        tool_choice=choice,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)

    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    openers = [call for call in calls if call.id]
    assert [call.index for call in openers] == list(range(len(openers)))
    assert openers
    for opener in openers:
        assert opener.function is not None
        assert opener.function.name == "get_weather"
        fragments = [call.function.arguments or "" for call in calls if call.index == opener.index and call.function]
        assert_fits_schema("".join(fragments))
    assert last.usage is not None
    entry = books.balanced(stream.response.headers["x-request-id"])
    assert entry["output_tokens"] == last.usage.completion_tokens


def test_whole_tool_conversation_is_billed(client: OpenAI, books: Books) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        *said(PROMPT),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call-1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call-1", "content": "12 degrees"},
    ]
    answer = client.chat.completions.create(
        model="tiny-llama", messages=messages, max_tokens=10, tools=[TOOL], extra_body={"return_token_ids": True}
    )

    entry = books.balanced(str(answer._request_id))
    assert entry["input_tokens"] == len(answer.prompt_token_ids)  # type: ignore[attr-defined]
