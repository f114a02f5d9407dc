"""What a look for similar questions takes of a worker, beside the embedder: in this process, over a real Redis."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast

import msgspec

from gateway.answer_ports import SemanticIndex
from gateway.answers.error_budget import ErrorBudgets
from gateway.answers.flights import Flights
from gateway.answers.likeness import Likeness, Similarities
from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS
from gateway.background import Tasks
from gateway.domain import (
    Caller,
    Deployment,
    Endpoint,
    ExactCache,
    KeptAnswer,
    Miss,
    Provider,
    Request,
    SemanticCache,
    Usage,
)
from gateway.domain.similar import Nearest, Neighbour
from gateway.ports import Clock, Services, SharedCounts
from gateway.stores.answers import RedisAnswers
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.redis_open import open_link
from policies.answer_identity import answer_key
from policies.semantic.budget import EDGES, Counts, plan
from policies.semantic.considering import Candidate, consider
from policies.semantic.guards import DOUBTS

LOOKS = 1000
_SECRET = bytes(32)
_CALLER = Caller("key", "k", "team", "t", "org")
_DEPLOYMENT = Deployment("d", Provider("p", "openai"), "m")
_RULES, _EXACT = SemanticCache(0.2), ExactCache()
_ASKED = (
    "Please tell me how I enable two factor login for account {}, as I have lost my old phone and bought a new one."
)
_LETTERS = "abcdefghij"
_COUNTS = {
    f"{epoch}:{what}": 5
    for epoch in range(4)
    for what in (
        "requests",
        *(f"{name}:{at}" for name in ("would", "looked", "wrong") for at in range(len(EDGES))),
        *(f"{doubt}:{name}" for name in ("foretold", "wrong") for doubt in DOUBTS),
    )
} | {"requests": 3999}


class Taken(NamedTuple):
    """For one request, in milliseconds: CPU of this process, and the most that the loop's thread worked at a stretch.

    Of what is measured alone: how long it takes, and the most.
    """

    median_ms: float
    most_ms: float


class _Near:
    """An index that always finds these, at once."""

    found: tuple[Neighbour, ...] = ()

    async def nearest(self, *_: object) -> Nearest:
        await asyncio.sleep(0)
        return Nearest(self.found, 30, 1_000_000, b"")


async def _most_ms(asked: asyncio.Task[None]) -> float:
    """What was the longest turn of the loop, in its own CPU time, until that is done."""
    longest = 0.0
    while not asked.done():
        began_s = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - began_s)
    return longest * 1000


def measure(folder: Path) -> dict[str, Taken]:
    """Looks that find nothing, only others and an answer; then the decision and the plan of an error budget alone."""
    stores = EmbeddedStores.start(folder)
    try:
        taken = asyncio.run(_measure(stores.redis_url))
    finally:
        stores.stop()
    near = [Candidate(0.97 - 0.001 * at, _ASKED.format(10 + at)) for at in range(8)]
    dice = random.Random(1)  # noqa: S311 - it makes up words
    strange = [Candidate(0.97 - 0.001 * at, _strange(dice)) for at in range(8)]
    return taken | {
        "    the decision alone, of 30 tokens": _alone(lambda number: consider(_ASKED.format(1000 + number), near)),
        "    ... of words made to take long": _alone(lambda _: consider(_strange(dice), strange), LOOKS // 20),
        "    the plan of an error budget alone": _alone(lambda _: plan(_COUNTS, 0.01)),
    }


def _strange(dice: random.Random) -> str:
    """Some 150 tokens of which most can be made: long words that begin and end alike, of which nobody has any."""
    return " ".join(f"q{''.join(dice.choices(_LETTERS, k=18))}z" for _ in range(12))


def _alone(work: Callable[[int], object], times: int = LOOKS) -> Taken:
    spent = []
    for number in range(times):
        began_s = time.thread_time()
        work(number)
        spent.append((time.thread_time() - began_s) * 1000)
    return Taken(statistics.median(spent), max(spent))


async def _measure(url: str) -> dict[str, Taken]:
    link = await open_link(url)
    try:
        return await _looks(RedisAnswers(link, "bench"))
    finally:
        await link.close()


async def _looks(store: RedisAnswers) -> dict[str, Taken]:
    kept, index = answer_key(_SECRET, _EXACT, _request(""), _CALLER, _DEPLOYMENT), _Near()
    found = await store.look(kept)
    assert isinstance(found, Miss)
    await store.keep(kept, found.epoch, KeptAnswer(msgspec.json.encode("x" * 500), Usage(9)), 600)
    others = tuple(Neighbour(0.97, _ASKED.format(10 + at), "gone") for at in range(8))
    flights = Flights(store, Tasks(), cast(Clock, None))
    taken: dict[str, Taken] = {}
    for what, near, is_hit in (
        ("a similar question is looked for, nothing is near", (), False),
        ("    other questions are near", others, False),
        ("    an answer is found", (Neighbour(0.99, _ASKED.format("5") + " Thanks!", kept.digest), *others[1:]), True),
    ):
        index.found = near
        taken[what] = await _look(Similarities(cast(SemanticIndex, index), flights, _budgets()), is_hit=is_hit)
    return taken


async def _look(shared: Similarities, *, is_hit: bool) -> Taken:
    services = cast(Services, SimpleNamespace(answer_secret=_SECRET))
    cpu: list[float] = []

    async def look() -> None:
        for number in range(LOOKS):
            request = _request(" " * number)
            key = answer_key(_SECRET, _EXACT, request, _CALLER, _DEPLOYMENT)
            began_s = time.process_time()
            likeness = Likeness(services, shared, 0.99, request, _CALLER, "route", _EXACT, _RULES)
            found = await likeness.find(key, _DEPLOYMENT, None)
            cpu.append((time.process_time() - began_s) * 1000)
            assert found is not None
            assert (found.hit is not None) == is_hit

    await look()
    median_ms = statistics.median(cpu)
    return Taken(median_ms, await _most_ms(asyncio.create_task(look())))


def _budgets() -> ErrorBudgets:
    budgets = ErrorBudgets(cast(SharedCounts, None))
    budgets.add("route", "", Counts({"requests": 1, "0:requests": 1}, {}))
    return budgets


def _request(more: str) -> Request:
    """The question with so many blanks that nobody has asked it."""
    asked = [{"role": "user", "content": _ASKED.format("5") + more}]
    body = msgspec.json.encode({"model": "auto", "messages": asked, "temperature": 0})
    return APIS[Endpoint.CHAT].parse(Arrival("request", Endpoint.CHAT, body))
