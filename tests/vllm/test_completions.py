"""`/v1/completions` of a real vLLM through the official SDK: prompts as text, token ids and lists of them."""

from __future__ import annotations

import pytest
from books import LONG_PROMPT, PROMPT, Books
from gateway_under_test import tokens_of
from openai import AsyncOpenAI, OpenAI
from vllm_server import Tokens

pytestmark = pytest.mark.vllm
EXACT = {"ignore_eos": True}
TOKEN_IDS = list(range(100, 140))


def test_completion_is_billed_what_vllm_counted(client: OpenAI, books: Books) -> None:
    answer = client.completions.create(model="tiny-llama", prompt=PROMPT, max_tokens=9, extra_body=EXACT)

    assert answer.choices[0].text
    assert answer.usage is not None
    entry = books.balanced(str(answer._request_id))
    assert tokens_of(entry) == Tokens(input=answer.usage.prompt_tokens, output=9)
    assert entry["endpoint"] == "completions"


async def test_streamed_completion_is_billed_what_vllm_counted(async_client: AsyncOpenAI, books: Books) -> None:
    stream = await async_client.completions.create(
        model="tiny-llama",
        prompt=PROMPT,
        max_tokens=9,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=EXACT,
    )
    *chunks, last = [chunk async for chunk in stream]

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    entry = books.balanced(stream.response.headers["x-request-id"])
    assert tokens_of(entry) == Tokens(input=last.usage.prompt_tokens, output=9)


def test_prompt_of_token_ids_is_billed_by_their_number(client: OpenAI, books: Books) -> None:
    answer = client.completions.create(model="tiny-llama", prompt=TOKEN_IDS, max_tokens=4, extra_body=EXACT)

    entry = books.balanced(str(answer._request_id))
    assert tokens_of(entry) == Tokens(input=len(TOKEN_IDS), output=4)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_several_prompts_are_billed_together(client: OpenAI, books: Books, is_stream: bool) -> None:
    prompts = [TOKEN_IDS, TOKEN_IDS[5:15], TOKEN_IDS[20:23]]
    raw = client.completions.with_raw_response.create(
        model="tiny-llama", prompt=prompts, max_tokens=4, stream=is_stream, extra_body=EXACT
    )
    raw.http_response.read()

    entry = books.balanced(raw.headers["x-request-id"])
    assert tokens_of(entry) == Tokens(input=53, output=12)


def test_prefix_shared_by_several_prompts_is_billed_as_far_as_vllm_reports_it(client: OpenAI, books: Books) -> None:
    client.completions.create(model="tiny-llama", prompt=LONG_PROMPT, max_tokens=1)
    answer = client.completions.create(model="tiny-llama", prompt=[LONG_PROMPT] * 3, max_tokens=1)

    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    entry = books.gateway.entry(str(answer._request_id))
    assert entry["cached_input_tokens"] == answer.usage.prompt_tokens_details.cached_tokens
    # vLLM names the cached tokens of one prompt; its own counter knows all three. See docs/vllm.md.
    assert books.counted().cached == 3 * entry["cached_input_tokens"]


def test_echo_with_logprobs_passes_and_is_billed(client: OpenAI, books: Books) -> None:
    answer = client.completions.create(
        model="tiny-llama", prompt=PROMPT, max_tokens=3, echo=True, logprobs=2, extra_body=EXACT
    )

    assert answer.choices[0].text.startswith(PROMPT)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    used = tokens_of(books.balanced(str(answer._request_id)))
    assert used.input + used.output == len(logprobs.tokens)
