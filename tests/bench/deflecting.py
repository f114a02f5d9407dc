"""What deflection takes of the event loop, alone in this process: reading and computing, and telling the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from gateway.answers.deflecting import Deflections
from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS, ClientDialect
from gateway.background import Tasks
from gateway.catalog.snapshot import CatalogSnapshot
from gateway.domain import NO_CLAIMS, NO_ROOM_TOLD, Caller, Deflection, Deployment, Endpoint, Provider, Request, Route
from gateway.ports import Clock, Services
from gateway.settlement import Settlement
from policies.breaker import HealthBoard
from policies.deflection.registry import NAMES
from policies.first_token import FirstTokenBoard
from tests.bench.dialects import PROMPT

ROUNDS = 60
_ROUTE = Route("auto", ("d",), deflection=Deflection(NAMES, ZoneInfo("Europe/Paris")))
_DEPLOYMENT = Deployment("d", Provider("p", "openai"), "m")
_CALLER = Caller("key", "k", "team", "t", "org")
_ANSWERED = (
    *("what is 12 times 7", "15% of 80", "2+2", "what is the square root of 2", "(1 + 2) * (3 - 4.5) / 2"),
    *("10 miles in km", "how many cups are in a gallon", "5'10\" in cm", "what time is it", "what time is it in tokyo"),
    *("how many days until december 25", "what day is it in three weeks", "hi", "thank you so much for your help!"),
)
_ASKED = (
    *("what is the capital of france", "write a poem about 12 times 7", "what is the weather tomorrow"),
    *("how do I convert a list of miles to km in python?", "thanks, but it still fails", "set an alarm for 7 am"),
    *("1+" * 149 + "1", "(" * 150, "thank you " * 30, "9" * 300, "what is " + "six hundred and " * 17, "in " * 50),
    *(PROMPT, PROMPT * 20),
)


class Taken(NamedTuple):
    """CPU of this process for one request, in microseconds, over many of a kind."""

    median_us: float
    p99_us: float


class _Free:
    """A journal that takes no time, and all else that is asked of besides."""

    async def open(self, *_: object) -> object:
        return NO_ROOM_TOLD

    async def settle(self, *_: object, **__: object) -> None: ...

    def claims(self, *_: object) -> object:
        return NO_CLAIMS

    def settled(self, _: object) -> None: ...

    def deflected(self, *_: object, **__: object) -> None: ...


def measure() -> dict[str, Taken]:
    """Of reading and computing, of messages that are answered and others; then of whole answers in each dialect."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, Taken]:
    deflections = _deflections()
    found = {
        "deflection: found": await _found(deflections, _ANSWERED),
        "    nothing found": await _found(deflections, _ASKED),
    }
    for endpoint in (Endpoint.CHAT, Endpoint.MESSAGES, Endpoint.RESPONSES):
        for is_stream in (False, True):
            what = f"    found, told and settled: {endpoint}{', streamed' * is_stream}"
            found[what] = await _answered(deflections, endpoint, is_stream=is_stream)
    return found


async def _found(deflections: Deflections, texts: Sequence[str]) -> Taken:
    spent: list[float] = []
    for text in texts * ROUNDS:
        request = _request(text, Endpoint.CHAT, is_stream=False)
        dialect = ClientDialect(request)
        begun = time.thread_time_ns()
        found = await deflections.find(request, dialect, _CALLER)
        spent.append((time.thread_time_ns() - begun) / 1000)
        assert (found is not None) is (texts is _ANSWERED), text
    return _of(spent)


async def _answered(deflections: Deflections, endpoint: Endpoint, *, is_stream: bool) -> Taken:
    spent: list[float] = []
    for text in _ANSWERED * ROUNDS:
        request = _request(text, endpoint, is_stream=is_stream)
        dialect = ClientDialect(request)
        begun = time.thread_time_ns()
        found = await deflections.find(request, dialect, _CALLER)
        assert found is not None
        await deflections.answer(found, request, dialect, _CALLER)
        spent.append((time.thread_time_ns() - begun) / 1000)
    return _of(spent)


def _of(spent: Sequence[float]) -> Taken:
    in_order = sorted(spent)
    return Taken(in_order[len(in_order) // 2], in_order[int(len(in_order) * 0.99)])


def _request(text: str, endpoint: Endpoint, *, is_stream: bool) -> Request:
    said = {"input": text} if endpoint is Endpoint.RESPONSES else {"messages": [{"role": "user", "content": text}]}
    more = {"max_tokens": 1000} if endpoint is Endpoint.MESSAGES else {}
    body = msgspec.json.encode({"model": "auto", **said, **more, "stream": is_stream})
    return APIS[endpoint].parse(Arrival("req_1", endpoint, body))


def _deflections() -> Deflections:
    catalog = CatalogSnapshot("", "", {"auto": _ROUTE}, {"d": _DEPLOYMENT}, {}, (), {}, {})
    free, nothing = cast("Any", _Free()), cast("Any", None)
    services = Services(
        catalog=lambda: catalog,
        backends={},
        journal=free,
        rules=free,
        admission=nothing,
        tokens=nothing,
        keys=nothing,
        stored=nothing,
        telemetry=free,
        background=Tasks(),
        clock=Clock(time.monotonic, time.time, nothing, asyncio.sleep),
        instance="bench",
    )
    return Deflections(services, Settlement(services, HealthBoard(), FirstTokenBoard()))
