"""What the exact cache adds to a request, alone in this process: the key, the look in Redis, the telling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.answers.telling import TELLINGS
from gateway.api.arrival import Arrival
from gateway.api.chat import parse
from gateway.domain import Caller, Deployment, Endpoint, ExactCache, Hit, KeptAnswer, Miss, Provider, Request, Usage
from gateway.stores.answers import RedisAnswers
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.redis_open import open_link
from policies.answer_identity import answer_key, is_bypassed
from tests.bench.dialects import PROMPT, TEXT

CALLS = 2000
_RULES = ExactCache()
_CALLER = Caller("key", "k", "team", "t", "org")
_DEPLOYMENT = Deployment("d", Provider("p", "openai"), "m")
_SECRET = bytes(32)
_TELLING = TELLINGS[Endpoint.CHAT]


class Added(NamedTuple):
    """CPU of this process in microseconds for each request, its Redis command included."""

    hit_us: float
    streamed_hit_us: float
    miss_us: float  # looked for, not found, kept


def measure(folder: Path, runs: int) -> Sequence[Added]:
    """With a prompt and an answer of the bench's usual size."""
    stores = EmbeddedStores.start(folder)
    try:
        return asyncio.run(_measure(stores.redis_url, runs))
    finally:
        stores.stop()


async def _measure(url: str, runs: int) -> Sequence[Added]:
    link = await open_link(url)
    store = RedisAnswers(link, "bench")
    whole = msgspec.json.encode(_answer())

    async def look(number: int) -> Hit | Miss:
        request = _request(number)
        asked_at = time.process_time()
        key = None if is_bypassed(request, _RULES) else answer_key(_SECRET, _RULES, request, _CALLER, _DEPLOYMENT)
        assert key is not None
        looking = asyncio.ensure_future(store.look(key))
        await asyncio.sleep(0)  # the admission, which leaves with it
        found = await asyncio.shield(looking)
        if isinstance(found, Miss) and _TELLING.is_worth_keeping(whole, 1, keeps_tool_calls=False):
            await store.keep(key, found.epoch, KeptAnswer(whole, Usage(9, output_tokens=8)), 600)
        spent.append(time.process_time() - asked_at)
        assert isinstance(found, Hit | Miss)
        return found

    async def hit(*, is_stream: bool) -> None:
        found = await look(0)
        assert isinstance(found, Hit)
        told_at = time.process_time()
        _TELLING.told_again(found.answer, is_stream=is_stream, wants_usage=True)
        spent.append(time.process_time() - told_at)

    async def us(work: Callable[[int], Awaitable[object]], start: int = 0) -> float:
        spent.clear()
        for number in range(start, start + CALLS):
            await work(number)
        return sum(spent) / CALLS * 1e6

    spent: list[float] = []
    await look(0)
    try:
        return [
            Added(
                await us(lambda _: hit(is_stream=False)),
                await us(lambda _: hit(is_stream=True)),
                await us(look, start=1 + run * CALLS),
            )
            for run in range(runs)
        ]
    finally:
        await link.close()


def _request(number: int) -> Request:
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": f"Question {number}?"}]
    body = msgspec.json.encode({"model": "auto", "messages": messages, "temperature": 0})
    return parse(Arrival("request", Endpoint.CHAT, body))


def _answer() -> dict[str, object]:
    message = {"role": "assistant", "content": TEXT}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
    }
