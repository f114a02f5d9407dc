"""The Messages API of a real vLLM through Anthropic's official SDK: verbatim, and billed to the token."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from books import LONG_PROMPT, PROMPT, Books, said
from gateway_under_test import Gateway, tokens_of

if TYPE_CHECKING:
    from anthropic import Anthropic

pytestmark = pytest.mark.vllm

ENDLESS = {"ignore_eos": True}
OUTPUT_TOKENS_MAX = 3000
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,  # else vLLM does not bind the arguments, and answers 400 when they are no object
}


@pytest.fixture
def claude(gateway: Gateway) -> Iterator[Anthropic]:
    from anthropic import Anthropic  # noqa: PLC0415 - every pytest run collects this folder's names, few need the SDK

    with Anthropic(base_url=gateway.url, api_key=gateway.first_key, max_retries=0, timeout=120) as made:
        yield made


def test_message_is_vllms_own_and_billed_exactly(claude: Anthropic, books: Books) -> None:
    raw = claude.messages.with_raw_response.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=9, extra_body=ENDLESS
    )
    message = raw.parse()

    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "max_tokens")
    entry = books.balanced(raw.headers["x-request-id"])
    assert (entry["endpoint"], entry["output_tokens"]) == ("messages", 9)
    assert message.usage.input_tokens == entry["input_tokens"]


def test_streamed_message_ends_with_its_usage_and_cost(claude: Anthropic, books: Books) -> None:
    with claude.messages.stream(model="tiny-llama", messages=said(PROMPT), max_tokens=12, extra_body=ENDLESS) as stream:
        events: list[Any] = list(stream)
        message = stream.get_final_message()

    assert message.content[0].type == "text"
    assert message.content[0].text == "".join(event.text for event in events if event.type == "text")
    entry = books.balanced(stream.response.headers["x-request-id"])
    assert entry["output_tokens"] == message.usage.output_tokens == 12
    (closing,) = [event for event in events if event.type == "message_delta"]
    assert round(Decimal(str(closing.usage.cost)) * 10**9) == entry["cost_nusd"]


@pytest.mark.parametrize("is_stream", [False, True])
def test_cached_prefix_is_outside_anthropics_input_tokens_and_inside_ours(
    claude: Anthropic, books: Books, is_stream: bool
) -> None:
    asked: dict[str, Any] = {"model": "tiny-llama", "messages": said(LONG_PROMPT), "max_tokens": 2}
    claude.messages.create(**asked)
    if is_stream:
        with claude.messages.stream(**asked) as stream:
            message, headers = stream.get_final_message(), stream.response.headers
    else:
        raw = claude.messages.with_raw_response.create(**asked)
        message, headers = raw.parse(), raw.headers

    used = tokens_of(books.gateway.entry(headers["x-request-id"]))
    cached = message.usage.cache_read_input_tokens
    assert used.cached == cached == books.counted().cached >= 64
    assert used.input == message.usage.input_tokens + cached


def test_required_tool_is_called(claude: Anthropic, books: Books) -> None:
    raw = claude.messages.with_raw_response.create(
        model="tiny-llama",
        messages=said(PROMPT),
        max_tokens=2000,  # a random model spends some hundred on spaces
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "weather"},
    )

    (call,) = [block for block in raw.parse().content if block.type == "tool_use"]
    assert call.name == "weather"
    assert call.input["city"] in {"Paris", "Rome"}
    books.balanced(raw.headers["x-request-id"])


def test_client_that_leaves_pays_the_exact_input_and_the_counted_output(claude: Anthropic, books: Books) -> None:
    with claude.messages.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=OUTPUT_TOKENS_MAX, stream=True, extra_body=ENDLESS
    ) as stream:
        texts = 0
        for event in stream:
            texts += event.type == "content_block_delta"
            if texts >= 20:
                break

    counted = books.counted()
    entry = books.gateway.entry(stream.response.headers["x-request-id"])
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert entry["input_tokens"] == counted.input
    assert entry["output_tokens"] > 0
    assert counted.output < OUTPUT_TOKENS_MAX


def test_count_of_tokens_is_what_the_message_is_billed_and_costs_nothing(claude: Anthropic, books: Books) -> None:
    counted = claude.messages.with_raw_response.count_tokens(model="tiny-llama", messages=said(PROMPT))
    raw = claude.messages.with_raw_response.create(model="tiny-llama", messages=said(PROMPT), max_tokens=1)

    assert counted.parse().input_tokens == books.gateway.entry(raw.headers["x-request-id"])["input_tokens"]
    entry = books.gateway.entry(counted.headers["x-request-id"])
    assert (entry["endpoint"], entry["cost_nusd"], entry["basis"]) == ("messages/count_tokens", 0, "reported")


def test_malformed_request_is_an_error_in_anthropics_shape(claude: Anthropic) -> None:
    from anthropic import BadRequestError  # noqa: PLC0415

    with pytest.raises(BadRequestError) as refused:
        claude.messages.create(model="tiny-llama", messages=said(PROMPT), max_tokens=-5)
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["type"] == "error"
    assert refused.value.body["error"]["type"] == "invalid_request_error"
