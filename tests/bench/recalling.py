"""What the exact cache adds to a request, alone in this process: the key, the look in Redis, the telling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.answers.telling import TELLINGS
from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS
from gateway.domain import Caller, Deployment, Endpoint, ExactCache, Hit, KeptAnswer, Miss, Provider, Request, Usage
from gateway.stores.answers import RedisAnswers
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.redis_open import open_link
from policies.answer_identity import answer_key, is_bypassed
from tests.bench.dialects import PROMPT, TEXT

CALLS = 2000
_RULES = ExactCache()
_CALLER = Caller("key", "k", "team", "t", "org")
_DEPLOYMENT = Deployment("d", Provider("p", "openai"), "m", speaks=frozenset({Endpoint.CHAT, Endpoint.RESPONSES}))
_SECRET = bytes(32)


class Added(NamedTuple):
    """CPU of this process in microseconds for each request, its Redis command included."""

    hit_us: float
    streamed_hit_us: float
    miss_us: float  # looked for, not found, kept
    response_us: float  # a hit of the Responses API, streamed


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
    wholes = {endpoint: msgspec.json.encode(answer) for endpoint, answer in _ANSWERS.items()}

    async def look(request: Request) -> Hit | Miss:
        asked_at = time.process_time()
        key = None if is_bypassed(request, _RULES) else answer_key(_SECRET, _RULES, request, _CALLER, _DEPLOYMENT)
        assert key is not None
        looking = asyncio.ensure_future(store.look(key))
        await asyncio.sleep(0)  # the admission, which leaves with it
        found = await asyncio.shield(looking)
        whole, telling = wholes[request.endpoint], TELLINGS[request.endpoint]
        if isinstance(found, Miss) and telling.is_worth_keeping(whole, request, keeps_tool_calls=False):
            await store.keep(key, found.epoch, KeptAnswer(whole, Usage(9, output_tokens=8)), 600)
        spent.append(time.process_time() - asked_at)
        assert isinstance(found, Hit | Miss)
        return found

    async def hit(endpoint: Endpoint, *, is_stream: bool) -> None:
        request = _request(0, endpoint, is_stream=is_stream)
        found = await look(request)
        assert isinstance(found, Hit)
        told_at = time.process_time()
        TELLINGS[endpoint].told_again(found.answer, request)
        spent.append(time.process_time() - told_at)

    async def us(work: Callable[[int], Awaitable[object]], start: int = 0) -> float:
        spent.clear()
        for number in range(start, start + CALLS):
            await work(number)
        return sum(spent) / CALLS * 1e6

    spent: list[float] = []
    for endpoint in _ANSWERS:
        await look(_request(0, endpoint))
    try:
        return [
            Added(
                await us(lambda _: hit(Endpoint.CHAT, is_stream=False)),
                await us(lambda _: hit(Endpoint.CHAT, is_stream=True)),
                await us(lambda number: look(_request(number, Endpoint.CHAT)), start=1 + run * CALLS),
                await us(lambda _: hit(Endpoint.RESPONSES, is_stream=True)),
            )
            for run in range(runs)
        ]
    finally:
        await link.close()


def _request(number: int, endpoint: Endpoint, *, is_stream: bool = False) -> Request:
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": f"Question {number}?"}]
    asked = {"messages": messages} if endpoint is Endpoint.CHAT else {"input": messages, "store": False}
    body = msgspec.json.encode({"model": "auto", **asked, "temperature": 0, "stream": is_stream})
    return APIS[endpoint].parse(Arrival("request", endpoint, body))


_PART = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
_ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [_PART]}
_MESSAGE = {"role": "assistant", "content": TEXT}
_ANSWERS: Mapping[Endpoint, Mapping[str, object]] = {
    Endpoint.CHAT: {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": _MESSAGE, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
    },
    Endpoint.RESPONSES: {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": "m",
        "output": [_ITEM],
        "metadata": {},
        "store": False,
        "usage": {"input_tokens": 9, "output_tokens": 8, "total_tokens": 17},
    },
}
