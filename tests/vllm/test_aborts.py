"""Clients that leave a real vLLM in the middle: it stops working, and what it had generated is charged.

vLLM is told to go on for thousands of tokens, so it stops early only because it was cancelled. A charge is the last
usage that it sent; its own counter may be ahead by the tokens in flight.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from books import LONG_PROMPT, PROMPT, Books, said
from gateway_under_test import cost_nusd, tokens_of
from openai import AsyncOpenAI, OpenAI
from vllm_server import VllmServer, wait_for

pytestmark = pytest.mark.vllm

OUTPUT_TOKENS_MAX = 3000
ENDLESS = {"ignore_eos": True, "return_token_ids": True}
# Tokens that one choice may gain between the last usage that the gateway read and the moment vLLM acts on the closed
# connection: those in its engine's step, in its output queue and on the wire. Seen: 0 to 13. At 5 ms for a token the
# bound allows a third of a second for a machine that is too busy to look.
IN_FLIGHT_TOKENS_MAX = 64


def shown_tokens(chunk: Any) -> int:
    return sum(len(getattr(choice, "token_ids", None) or ()) for choice in chunk.choices)


def assert_charged_as_seen(books: Books, request_id: str, seen: int, *, choices: int = 1) -> dict[str, Any]:
    """The client saw no more than was charged, and vLLM made hardly more than that."""
    books.server.wait_until_idle()
    entry = books.gateway.entry(request_id)
    used, counted = tokens_of(entry), books.counted()
    assert (entry["status"], entry["basis"]) == ("cancelled", "reported")
    assert counted.input == used.input * choices
    assert seen <= used.output <= counted.output <= used.output + choices * IN_FLIGHT_TOKENS_MAX
    assert counted.output < choices * OUTPUT_TOKENS_MAX
    assert entry["cost_nusd"] == cost_nusd(used)
    return entry


@pytest.mark.parametrize("tokens", [1, 40])
def test_closed_chat_stream_is_charged_for_what_was_sent(client: OpenAI, books: Books, tokens: int) -> None:
    seen = 0
    with client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=OUTPUT_TOKENS_MAX, stream=True, extra_body=ENDLESS
    ) as stream:
        for chunk in stream:
            seen += shown_tokens(chunk)
            if seen >= tokens:
                break

    assert_charged_as_seen(books, stream.response.headers["x-request-id"], seen)


async def test_closed_completion_stream_is_charged_for_what_was_sent(async_client: AsyncOpenAI, books: Books) -> None:
    seen = 0
    async with await async_client.completions.create(
        model="tiny-llama", prompt=PROMPT, max_tokens=OUTPUT_TOKENS_MAX, stream=True, extra_body=ENDLESS
    ) as stream:
        async for chunk in stream:
            seen += shown_tokens(chunk)
            if seen >= 20:
                break

    assert_charged_as_seen(books, stream.response.headers["x-request-id"], seen)


def test_closed_stream_of_several_choices_is_charged_for_all_of_them(client: OpenAI, books: Books) -> None:
    seen = {0: 0, 1: 0, 2: 0}
    with client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=OUTPUT_TOKENS_MAX, n=3, stream=True, extra_body=ENDLESS
    ) as stream:
        for chunk in stream:
            seen[chunk.choices[0].index] += shown_tokens(chunk)
            if min(seen.values()) >= 10:
                break

    entry = assert_charged_as_seen(books, stream.response.headers["x-request-id"], sum(seen.values()), choices=3)
    assert entry["output_tokens"] >= 30


def test_closed_stream_is_charged_as_uncached_because_vllm_tells_only_at_the_end(client: OpenAI, books: Books) -> None:
    client.chat.completions.create(model="tiny-llama", messages=said(LONG_PROMPT), max_tokens=1)
    with client.chat.completions.create(
        model="tiny-llama", messages=said(LONG_PROMPT), max_tokens=OUTPUT_TOKENS_MAX, stream=True, extra_body=ENDLESS
    ) as stream:
        next(iter(stream))

    entry = books.gateway.entry(stream.response.headers["x-request-id"])
    assert (entry["status"], entry["basis"]) == ("cancelled", "reported")
    assert entry["cached_input_tokens"] == 0
    assert books.counted().cached >= 64
    assert entry["cost_nusd"] == cost_nusd(tokens_of(entry))


async def entry_of(books: Books, end_user: str) -> dict[str, Any]:
    """The entry of a request whose answer never came, found by its ``user`` field."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [entry for entry in books.gateway.entries() if entry["end_user"] == end_user]
        return bool(found)

    await asyncio.to_thread(wait_for, is_there, f"in the ledger: {end_user}", within_s=30)
    (entry,) = found
    return entry


async def test_client_that_leaves_before_a_whole_answer_stops_vllm_and_is_charged_an_estimate(
    async_client: AsyncOpenAI, books: Books
) -> None:
    user = uuid.uuid4().hex
    asking = asyncio.create_task(
        async_client.chat.completions.create(
            model="tiny-llama", messages=said(PROMPT), max_tokens=OUTPUT_TOKENS_MAX, user=user, extra_body=ENDLESS
        )
    )
    await asyncio.to_thread(
        wait_for, lambda: books.server.tokens().output > 0 and books.server.running() == 1, "generating", within_s=30
    )
    asking.cancel()
    await asyncio.wait([asking])

    counted = await asyncio.to_thread(books.counted)
    assert counted.output < OUTPUT_TOKENS_MAX
    entry = await entry_of(books, user)
    # vLLM tells nothing of a whole answer that it did not finish: its output is unknown.
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert entry["input_tokens"] > 0
    assert entry["cost_nusd"] == cost_nusd(tokens_of(entry))


async def test_client_that_leaves_while_its_stream_waits_in_the_queue_stops_it_there(
    async_client: AsyncOpenAI, books: Books, vllm: VllmServer
) -> None:
    def waits() -> bool:
        counted = vllm.counters()
        return (counted["vllm:num_requests_running"], counted["vllm:num_requests_waiting"]) == (16, 1)

    def waits_no_more() -> bool:
        return vllm.counters()["vllm:num_requests_waiting"] == 0

    user = uuid.uuid4().hex
    busy = asyncio.create_task(
        async_client.chat.completions.create(
            model="tiny-llama", messages=said(PROMPT), max_tokens=OUTPUT_TOKENS_MAX, n=16, extra_body=ENDLESS
        )
    )
    await asyncio.to_thread(wait_for, lambda: vllm.running() == 16, "busy", within_s=30)
    asking = asyncio.create_task(
        async_client.chat.completions.create(
            model="tiny-llama", messages=said(PROMPT), max_tokens=100, stream=True, user=user
        )
    )
    await asyncio.to_thread(wait_for, waits, "waiting", within_s=30)
    asking.cancel()
    await asyncio.to_thread(wait_for, waits_no_more, "cancelled", within_s=30)
    assert vllm.running() == 16  # the queued one has gone, the others have not
    busy.cancel()
    await asyncio.wait([asking, busy])
    await asyncio.to_thread(vllm.wait_until_idle)

    entry = await entry_of(books, user)
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("cancelled", "estimated", 0)
    assert entry["cost_nusd"] == cost_nusd(tokens_of(entry))


def test_client_that_stops_reading_and_then_leaves_is_charged_all_that_vllm_made(client: OpenAI, books: Books) -> None:
    with client.chat.completions.create(
        model="tiny-llama", messages=said(PROMPT), max_tokens=600, n=4, stream=True, extra_body=ENDLESS
    ) as stream:
        next(iter(stream))
        wait_for(lambda: books.counted().output == 2400, "generated to the end", within_s=100)

    entry = books.gateway.entry(stream.response.headers["x-request-id"])
    # Half a megabyte that the client did not read lay in socket buffers: the gateway had read all of the usage.
    assert (entry["basis"], entry["output_tokens"]) == ("reported", 2400)
    assert entry["cost_nusd"] == cost_nusd(tokens_of(entry))
