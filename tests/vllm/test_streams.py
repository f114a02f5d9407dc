"""Streams of a real vLLM through the official SDK: clients see what they asked for, all of it is billed."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from books import LONG_PROMPT, PROMPT, Books, said
from gateway_under_test import tokens_of
from openai import AsyncOpenAI, OpenAI
from vllm_server import Tokens

pytestmark = pytest.mark.vllm
EXACT = {"ignore_eos": True}


def test_stream_with_usage_ends_in_one_usage_chunk_that_holds_the_cost(client: OpenAI, books: Books) -> None:
    stream = client.chat.completions.create(
        model="tiny-llama",
        messages=said(PROMPT),
        max_tokens=11,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=EXACT,
    )
    *chunks, last = list(stream)

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert len({chunk.id for chunk in [*chunks, last]}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    entry = books.balanced(stream.response.headers["x-request-id"])
    assert entry["is_stream"]
    assert tokens_of(entry) == Tokens(input=last.usage.prompt_tokens, output=11)
    cost: Any = last.usage.cost  # type: ignore[attr-defined]
    assert round(Decimal(str(cost)) * 10**9) == entry["cost_nusd"]


async def test_stream_without_usage_shows_none_and_is_billed_all_the_same(
    async_client: AsyncOpenAI, books: Books
) -> None:
    stream = await async_client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=11, stream=True, extra_body=EXACT
    )
    chunks = [chunk async for chunk in stream]

    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "length"
    entry = books.balanced(stream.response.headers["x-request-id"])
    assert entry["output_tokens"] == 11


def test_stream_on_a_cached_prefix_is_billed_at_its_own_rate(client: OpenAI, books: Books) -> None:
    ids, cached = [], []
    for _ in range(2):
        stream = client.chat.completions.create(
            model="tiny-llama",
            messages=said(LONG_PROMPT),
            max_tokens=3,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=EXACT,
        )
        *_, last = list(stream)
        assert last.usage is not None
        assert last.usage.prompt_tokens_details is not None
        cached.append(last.usage.prompt_tokens_details.cached_tokens)
        ids.append(stream.response.headers["x-request-id"])

    first, second = (books.gateway.entry(one) for one in ids)
    assert cached[0] == first["cached_input_tokens"] == 0
    assert cached[1] == second["cached_input_tokens"] >= 64
    assert second["cost_nusd"] < first["cost_nusd"]
    books.assert_counted(tokens_of(first) + tokens_of(second))


def test_streamed_choices_are_all_billed_and_the_prompt_once(client: OpenAI, books: Books) -> None:
    stream = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=8, n=3, stream=True, extra_body=EXACT
    )
    finished = [choice.index for chunk in stream for choice in chunk.choices if choice.finish_reason]

    assert sorted(finished) == [0, 1, 2]
    entry = books.balanced(stream.response.headers["x-request-id"], choices=3)
    assert entry["output_tokens"] == 24


def test_logprobs_come_in_a_stream(client: OpenAI, books: Books) -> None:
    stream = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=5, stream=True, logprobs=True, top_logprobs=2
    )
    found = [
        one for chunk in stream for choice in chunk.choices if choice.logprobs for one in choice.logprobs.content or []
    ]

    assert all(one.logprob <= 0 for one in found)
    assert books.balanced(stream.response.headers["x-request-id"])["output_tokens"] == len(found)


async def test_many_requests_at_once_are_billed_what_vllm_counted_in_all(
    async_client: AsyncOpenAI, books: Books
) -> None:
    async def whole(number: int) -> str:
        answer = await async_client.chat.completions.create(
            model="tiny-llama", messages=said(f"{LONG_PROMPT}{number}"), max_tokens=5 + number
        )
        return str(answer._request_id)

    async def streamed(number: int) -> str:
        stream = await async_client.chat.completions.create(
            model="auto", messages=said(f"{LONG_PROMPT}{number}"), max_tokens=5 + number, stream=True
        )
        async for _ in stream:
            pass
        return stream.response.headers["x-request-id"]

    async def completed(number: int) -> str:
        answer = await async_client.completions.create(model="tiny-llama", prompt=LONG_PROMPT, max_tokens=5 + number)
        return str(answer._request_id)

    ids = await asyncio.gather(*(ask(number) for number in range(8) for ask in (whole, streamed, completed)))

    entries = [books.gateway.entry(one) for one in ids]
    assert len({entry["id"] for entry in entries}) == 24
    assert {entry["basis"] for entry in entries} == {"reported"}
    total = sum((tokens_of(entry) for entry in entries), Tokens())
    assert total.cached > 0
    books.assert_counted(total)
