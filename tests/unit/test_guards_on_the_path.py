"""Guards on the path over fakes: whom they wait for, and whom nobody waits for."""

from __future__ import annotations

import asyncio

import pytest
from pipeline_parts import BIG, SMALL, WHOLE, Backend, path, request
from screening_parts import rule

from gateway.domain import NOTHING_FOUND, Endpoint, ModerationSettings, Where
from gateway.errors import GuardUnavailable
from policies.breaker import FAILURES_TO_OPEN, PAUSE_S_MIN

ASKED = {"messages": [{"role": "user", "content": "Is it adverse?"}], "max_tokens": 9}


class Standing:
    """The same guards before every request (guard_ports.Guards)."""

    def __init__(self, *guards):
        self.guards = guards

    def of(self, request, caller):
        del request, caller
        return self.guards


class AskingGuard:
    """Asks a deployment, and finds nothing in whatever it says."""

    version = "1"

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment

    async def look(self, texts, asking):
        del texts
        await asking.ask(self.deployment, Endpoint.CHAT, ASKED)
        return NOTHING_FOUND


class TwoBackend(Backend):
    """``big`` judges: it does not answer while it hangs, and says so when it is asked. ``small`` answers."""

    def __init__(self) -> None:
        super().__init__(WHOLE)
        self.is_hanging = True
        self.judged = 0
        self.is_asked = asyncio.Event()

    async def open(self, call):
        if call.deployment.name == "big":
            self.judged += 1
            self.is_asked.set()
            if self.is_hanging:
                await asyncio.Event().wait()
        return await super().open(call)


def judged(now, *, timeout_s):
    """The path with a judge that bars the way by failing; the time is what ``now`` says."""
    judge = rule("judge", settings=ModerationSettings("big"), where=Where.INPUT, timeout_s=timeout_s)
    backend = TwoBackend()
    guards = Standing((judge, AskingGuard("big")))
    pipeline, journal, tasks = path(backend, SMALL, BIG, guards=guards, clock=lambda: now[0])
    return pipeline, journal, tasks, backend


async def refused(pipeline) -> None:
    with pytest.raises(GuardUnavailable):
        await pipeline.answer(*request())


async def test_a_judge_that_hangs_is_left_alone_and_probed_by_one_look_after_its_pause():
    now = [1.0]
    pipeline, _, tasks, backend = judged(now, timeout_s=0.001)
    for _ in range(FAILURES_TO_OPEN + 5):
        await refused(pipeline)
    assert backend.judged == FAILURES_TO_OPEN

    now[0] += PAUSE_S_MIN
    await refused(pipeline)
    await refused(pipeline)
    assert backend.judged == FAILURES_TO_OPEN + 1, "a probe that fails opens it again"

    now[0] += 2 * PAUSE_S_MIN
    backend.is_hanging = False
    for _ in range(3):
        await pipeline.answer(*request())
    assert backend.judged == FAILURES_TO_OPEN + 4
    await tasks.drain()


async def test_clients_that_leave_while_a_judge_is_asked_are_no_failures_of_the_judge():
    pipeline, journal, tasks, backend = judged([1.0], timeout_s=60)
    for _ in range(FAILURES_TO_OPEN):
        backend.is_asked.clear()
        call = asyncio.create_task(pipeline.answer(*request()))
        await backend.is_asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await tasks.drain()
    assert pipeline.health.phases() == {}
    assert not journal.open_entries
