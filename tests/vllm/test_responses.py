"""The Responses API of a real vLLM through the official SDK: verbatim, and billed to the token."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from books import LONG_PROMPT, PROMPT, Books
from gateway_under_test import tokens_of
from openai import BadRequestError, OpenAI

pytestmark = pytest.mark.vllm

ENDLESS = {"ignore_eos": True}
OUTPUT_TOKENS_MAX = 3000
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


FORCED: Any = {"type": "function", "name": "weather"}  # just "required" may go on calling until the tokens end


def test_response_is_vllms_own_and_billed_exactly(client: OpenAI, books: Books) -> None:
    raw = client.responses.with_raw_response.create(
        model="tiny-llama", input=PROMPT, max_output_tokens=9, extra_body=ENDLESS
    )
    response = raw.parse()

    assert response.output_text
    assert response.usage is not None
    entry = books.balanced(raw.headers["x-request-id"])
    assert (entry["endpoint"], entry["output_tokens"]) == ("responses", 9)
    assert (entry["input_tokens"], entry["output_tokens"]) == (response.usage.input_tokens, 9)
    assert round(Decimal(raw.headers["x-obol-cost-usd"]) * 10**9) == entry["cost_nusd"]


def test_streamed_response_keeps_its_ids_and_numbers_and_ends_with_its_cost(client: OpenAI, books: Books) -> None:
    stream = client.responses.create(
        model="tiny-llama", input=PROMPT, max_output_tokens=12, stream=True, extra_body=ENDLESS
    )
    events: list[Any] = list(stream)

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type in {"response.completed", "response.incomplete"}
    assert events[-1].response.id == events[0].response.id
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].response.output_text == deltas
    entry = books.balanced(stream.response.headers["x-request-id"])
    assert entry["output_tokens"] == 12
    assert round(Decimal(str(events[-1].response.usage.cost)) * 10**9) == entry["cost_nusd"]


def test_cached_prefix_of_a_response_is_billed_at_its_own_rate(client: OpenAI, books: Books) -> None:
    asked: dict[str, Any] = {"model": "tiny-llama", "input": LONG_PROMPT, "max_output_tokens": 2, "extra_body": ENDLESS}
    client.responses.create(**asked)
    raw = client.responses.with_raw_response.create(**asked)

    usage = raw.parse().usage
    assert usage is not None
    entry = books.gateway.entry(raw.headers["x-request-id"])
    assert tokens_of(entry).cached == usage.input_tokens_details.cached_tokens == books.counted().cached >= 64


def test_forced_function_is_called_with_arguments_of_its_schema(client: OpenAI, books: Books) -> None:
    raw = client.responses.with_raw_response.create(
        model="tiny-llama", input=PROMPT, max_output_tokens=2000, tools=[WEATHER], tool_choice=FORCED
    )

    (call,) = [item for item in raw.parse().output if item.type == "function_call"]
    assert json.loads(call.arguments)["city"] in {"Paris", "Rome"}
    books.balanced(raw.headers["x-request-id"])


def test_client_that_leaves_a_streamed_response_stops_vllm_and_pays_an_estimate(client: OpenAI, books: Books) -> None:
    texts = 0
    with client.responses.create(
        model="tiny-llama", input=PROMPT, max_output_tokens=OUTPUT_TOKENS_MAX, stream=True, extra_body=ENDLESS
    ) as stream:
        for event in stream:
            texts += event.type == "response.output_text.delta"
            if texts >= 20:
                break

    assert books.counted().output < OUTPUT_TOKENS_MAX
    entry = books.gateway.entry(stream.response.headers["x-request-id"])
    # vLLM tells the usage of a response at its end only.
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert entry["input_tokens"] > 0
    assert entry["output_tokens"] > 0


def test_malformed_request_is_vllms_error_in_openais_shape(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model="tiny-llama", input=PROMPT, temperature="warm")  # type: ignore[call-overload]
    assert isinstance(refused.value.body, dict)
    assert "temperature" in refused.value.body["message"]
