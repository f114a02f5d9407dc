"""Whole chat answers of a real vLLM through the official SDK: each is billed to the token."""

from __future__ import annotations

from decimal import Decimal

import pytest
from books import LONG_PROMPT, PROMPT, Books, said
from gateway_under_test import Gateway, tokens_of
from openai import AsyncOpenAI, BadRequestError, OpenAI
from vllm_server import Tokens

pytestmark = pytest.mark.vllm


def test_chat_is_billed_what_vllm_counted(client: OpenAI, books: Books) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=12, extra_body={"ignore_eos": True}
    )
    answer = raw.parse()

    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    entry = books.balanced(raw.headers["x-request-id"])
    assert answer.usage is not None
    assert tokens_of(entry) == Tokens(input=answer.usage.prompt_tokens, output=12)
    assert (entry["deployment"], entry["model"]) == ("tiny-llama", "tiny")
    assert entry["finish_reason"] == "length"
    assert raw.headers["x-obol-deployment"] == "tiny-llama"
    assert raw.headers["x-obol-source"] == "upstream"
    assert Decimal(raw.headers["x-obol-cost-usd"]) * 10**9 == entry["cost_nusd"]


async def test_chat_through_a_route_is_billed_what_vllm_counted(async_client: AsyncOpenAI, books: Books) -> None:
    answer = await async_client.chat.completions.create(model="auto", messages=said(PROMPT), max_tokens=7)

    assert answer.usage is not None
    entry = books.balanced(str(answer._request_id))
    assert tokens_of(entry) == Tokens(answer.usage.prompt_tokens, 0, answer.usage.completion_tokens)
    assert (entry["route"], entry["deployment"]) == ("auto", "tiny-llama")


def test_cached_prefix_is_billed_at_its_own_rate(client: OpenAI, books: Books) -> None:
    def ask() -> tuple[str, int | None]:
        answer = client.chat.completions.create(
            model="tiny-llama", messages=said(LONG_PROMPT), max_tokens=3, extra_body={"ignore_eos": True}
        )
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        return str(answer._request_id), answer.usage.prompt_tokens_details.cached_tokens

    (first_id, first_cached), (second_id, second_cached) = ask(), ask()

    first, second = books.gateway.entry(first_id), books.gateway.entry(second_id)
    assert first["cached_input_tokens"] == first_cached == 0
    assert second["cached_input_tokens"] == second_cached >= 64
    assert second["cost_nusd"] < first["cost_nusd"]
    assert first["input_tokens"] == second["input_tokens"]
    books.assert_counted(tokens_of(first) + tokens_of(second))


def test_cache_salt_of_the_client_keeps_prefixes_apart(client: OpenAI, books: Books) -> None:
    cached = []
    for salt in ("one", "two", "one"):
        answer = client.chat.completions.create(
            model="tiny-llama", messages=said(LONG_PROMPT), max_tokens=1, extra_body={"cache_salt": salt}
        )
        cached.append(books.gateway.entry(str(answer._request_id))["cached_input_tokens"])

    assert cached[:2] == [0, 0]
    assert cached[2] >= 64
    assert books.counted().cached == cached[2]


def test_every_choice_is_billed_and_the_prompt_once(client: OpenAI, books: Books) -> None:
    answer = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=6, n=3, extra_body={"ignore_eos": True}
    )

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    entry = books.balanced(str(answer._request_id), choices=3)
    assert answer.usage is not None
    assert tokens_of(entry) == Tokens(input=answer.usage.prompt_tokens, output=18)


def test_fields_that_only_vllm_knows_travel_both_ways(client: OpenAI, books: Books) -> None:
    answer = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=9, extra_body={"return_token_ids": True, "top_k": 5}
    )

    entry = books.balanced(str(answer._request_id))
    # The ids are a third count of the same tokens, independent of usage and of the counters.
    prompt_ids, output_ids = answer.prompt_token_ids, answer.choices[0].token_ids  # type: ignore[attr-defined]
    assert tokens_of(entry) == Tokens(input=len(prompt_ids), output=len(output_ids))


def test_logprobs_come_back_and_cost_nothing(client: OpenAI, books: Books) -> None:
    answer = client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=5, logprobs=True, top_logprobs=3
    )

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert all(len(one.top_logprobs) >= 3 and one.logprob <= 0 for one in logprobs.content)
    entry = books.balanced(str(answer._request_id))
    assert entry["output_tokens"] == len(logprobs.content)


def test_prompt_that_does_not_fit_is_refused_by_vllm_and_billed_nothing(
    client: OpenAI, books: Books, gateway: Gateway
) -> None:
    with pytest.raises(BadRequestError, match="maximum context length") as refused:
        client.chat.completions.create(model="tiny-llama", messages=said("hello " * 70_000), max_tokens=4)

    assert refused.value.code is None or isinstance(refused.value.code, str)
    entry = gateway.entry(refused.value.response.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("failed", "unbilled", 0)
    assert tokens_of(entry) == Tokens()
    books.assert_counted(Tokens())
