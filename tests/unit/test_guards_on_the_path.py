"""Guards on the path over fakes: whom they wait for, and whom nobody waits for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from pipeline_parts import BIG, CALLER, CUT, SMALL, STREAM, WHOLE, Backend, Reply, Rules, path, read, request, walk
from screening_parts import WordGuard, rule

from gateway.api.arrival import Arrival
from gateway.api.chat import parse
from gateway.api.dialects import ClientDialect
from gateway.domain import (
    NOTHING_FOUND,
    Chain,
    Claims,
    Endpoint,
    GuardMode,
    Limit,
    LimitClaim,
    ModerationSettings,
    OnError,
    Scope,
    Where,
)
from gateway.errors import ContentFiltered, GuardUnavailable, PromptUnreadable, UpstreamUnreachable
from policies.breaker import FAILURES_TO_OPEN, PAUSE_S_MIN

LIMITS = Claims(limits=(LimitClaim(Limit("limit_1", Scope("org_1"), requests_per_minute=5), None, "limit_1"),))
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


def judged(now=(1.0,)):
    """The path with a judge that bars the way by failing; the time is what ``now`` says."""
    backend, guards = TwoBackend(), Standing(judge(timeout_s=60))
    pipeline, journal, tasks = path(backend, SMALL, BIG, guards=guards, clock=lambda: now[0])
    return pipeline, journal, tasks, backend, guards


def judge(**changes):
    stated = {"settings": ModerationSettings("big"), "where": Where.INPUT, **changes}
    return rule("judge", **stated), AskingGuard("big")


async def refused(pipeline) -> None:
    with pytest.raises(GuardUnavailable):
        await pipeline.answer(*request())


async def test_a_judge_that_hangs_is_left_alone_and_probed_by_one_look_after_its_pause():
    now = [1.0]
    pipeline, _, tasks, backend, guards = judged(now)
    guards.guards = [judge(timeout_s=0.001)]
    for _ in range(FAILURES_TO_OPEN + 5):
        await refused(pipeline)
    assert backend.judged == FAILURES_TO_OPEN

    now[0] += PAUSE_S_MIN
    await refused(pipeline)
    await refused(pipeline)
    assert backend.judged == FAILURES_TO_OPEN + 1, "a probe that fails opens it again"

    now[0] += 2 * PAUSE_S_MIN
    backend.is_hanging, guards.guards = False, [judge(timeout_s=60)]
    for _ in range(3):
        await pipeline.answer(*request())
    assert backend.judged == FAILURES_TO_OPEN + 4
    await tasks.drain()


async def test_clients_that_leave_while_a_judge_is_asked_are_no_failures_of_the_judge():
    pipeline, journal, tasks, backend, _ = judged()
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


# Prompts of token ids.


def completion(prompt, model="small"):
    parsed = parse(Arrival("req_1", Endpoint.COMPLETIONS, json.dumps({"model": model, "prompt": prompt}).encode()))
    parsed = replace(parsed, chain=Chain(0.0))
    return parsed, ClientDialect(parsed), CALLER


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]], ["see", [4, 5]], [' "', 7]])
async def test_what_a_guard_cannot_read_does_not_pass_it(prompt):
    watched = WordGuard("x")
    pipeline, journal, tasks = path(Backend(WHOLE), SMALL, guards=Standing((rule("words"), watched)))
    with pytest.raises(PromptUnreadable) as refused:
        await pipeline.answer(*completion(prompt))
    await tasks.drain()
    assert (refused.value.status, refused.value.details) == (400, {"guard": "words"})
    assert refused.value.headers == {"x-obol-guards": "words=failed"}
    assert watched.seen == []
    (entry,) = by_purpose(journal, "answer")
    assert (entry.source, entry.cost_nusd, verdicts(entry)) == ("guard", 0, [("words", "failed")])


async def test_token_ids_go_on_where_the_guard_is_open_and_nobody_says_that_they_passed():
    guards = Standing((rule("words", on_error=OnError.OPEN), WordGuard("x")))
    pipeline, journal, tasks = path(Backend(WHOLE), SMALL, guards=guards)
    await read(await pipeline.answer(*completion([1, 2, 3])))
    await tasks.drain()
    (entry,) = by_purpose(journal, "answer")
    assert (entry.source, verdicts(entry)[0]) == ("upstream", ("words", "failed"))


@pytest.mark.parametrize("prompt", ["1", ["1, 2", "[3", '\\",4'], []])
async def test_numbers_in_texts_are_no_token_ids(prompt):
    watched = WordGuard("x")
    guards = Standing((rule("words", where=Where.INPUT), watched))
    pipeline, _, tasks = path(Backend(WHOLE), SMALL, guards=guards)
    await read(await pipeline.answer(*completion(prompt)))
    await tasks.drain()
    assert watched.seen == [[prompt] if isinstance(prompt, str) else prompt]


# Shadows.


class WaitingBackend(Backend):
    """``big`` judges once ``small`` was asked, and once the test lets it. ``small`` answers with its scripts."""

    def __init__(self, *scripts) -> None:
        super().__init__(*scripts)
        self.is_asked, self.may_judge = asyncio.Event(), asyncio.Event()

    async def open(self, call):
        if call.deployment.name == "small":
            self.is_asked.set()
            return await super().open(call)
        await self.is_asked.wait()
        await self.may_judge.wait()
        self.calls.append(call)
        self.replies.append(Reply(WHOLE))
        return self.replies[-1]


def shadow(**changes):
    stated = {"settings": ModerationSettings("big"), "where": Where.INPUT, "mode": GuardMode.SHADOW, **changes}
    return rule("shadow", **stated), AskingGuard("big")


def chained(**fields):
    """A request as the API makes it."""
    asked, _, caller = request(**fields)
    asked = replace(asked, chain=Chain(1.0))
    return asked, ClientDialect(asked), caller


def overshadowed(*scripts, guards=None, **options):
    backend = WaitingBackend(*scripts)
    standing = Standing(*(guards or [shadow()]))
    pipeline, journal, tasks = path(backend, SMALL, BIG, guards=standing, **options)
    catalog = pipeline._services.catalog()
    catalog.auto = replace(catalog.auto, deployments=("small",))  # big judges, and is no fallback
    return pipeline, journal, tasks, backend


def by_purpose(journal, purpose):
    return [entry for entry in journal.settled.values() if entry.purpose == purpose]


def verdicts(entry):
    return [(one.guard, one.verdict) for one in entry.guards]


@pytest.mark.parametrize("script", [WHOLE, STREAM], ids=["whole", "streamed"])
async def test_an_upstream_is_asked_while_a_shadow_looks_and_the_entry_has_its_verdict_and_its_cost(script):
    pipeline, journal, tasks, backend = overshadowed(script)
    backend.may_judge.set()
    await walk(pipeline, *chained(stream=script is STREAM))
    (answer,), (guard,) = by_purpose(journal, "answer"), by_purpose(journal, "guard")
    assert verdicts(answer) == [("shadow", "passed")]
    assert answer.guards[0].cost_nusd == guard.cost_nusd > 0
    assert "prompt_moderation" in [stage.stage for stage in answer.stages]
    assert journal.lasts == [answer.id]
    await tasks.drain()


async def test_all_of_a_stream_but_its_end_is_out_while_a_shadow_still_looks():
    pipeline, journal, _, backend = overshadowed(STREAM)
    answer = await pipeline.answer(*chained(stream=True))
    shown = b""
    while shown.count(b"he") < 2:
        shown += await answer.next()
    assert not journal.settled
    backend.may_judge.set()
    rest = await read(answer)
    assert b"[DONE]" in rest
    assert verdicts(*by_purpose(journal, "answer")) == [("shadow", "passed")]


async def test_the_time_that_an_answer_waits_for_a_shadow_is_none_of_its_upstream():
    now = [1.0]
    pipeline, journal, _, backend = overshadowed(WHOLE, clock=lambda: now[0])
    asked = asyncio.create_task(pipeline.answer(*chained()))
    await backend.is_asked.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    now[0] += 3
    backend.may_judge.set()
    await asked
    (entry,) = by_purpose(journal, "answer")
    assert entry.total_ms == 3000
    assert {stage.stage: stage.ms for stage in entry.stages}["inference"] == 0


@pytest.mark.parametrize(
    "script", [WHOLE, STREAM, CUT, UpstreamUnreachable("no")], ids=["whole", "stream", "cut", "down"]
)
@pytest.mark.parametrize("has_limits", [False, True], ids=["", "limited"])
async def test_a_client_that_leaves_at_any_moment_loses_no_verdict_of_a_shadow(script, has_limits):
    """Cancel at every turn of the event loop there is, until the walk is too short to be cancelled."""
    is_stream = script in (STREAM, CUT)
    for turns in range(90):
        options = {"rules": Rules(LIMITS)} if has_limits else {}
        pipeline, journal, tasks, backend = overshadowed(script, **options)
        backend.may_judge.set()
        task = asyncio.create_task(walk(pipeline, *chained(stream=is_stream)))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        await asyncio.wait([task])
        backend.is_asked.set()  # of who left earlier than it was asked
        await tasks.drain()
        assert not journal.open_entries, f"an intent stayed open, cancelled after {turns} turns"
        assert len(journal.settled) == len(backend.calls)
        answers, guards = by_purpose(journal, "answer"), by_purpose(journal, "guard")
        assert all(verdicts(entry) == [("shadow", "passed")] for entry in answers)
        assert not pipeline._settlement._asides
        if has_limits and guards:  # its place is given back, and not before what its shadow asked is charged
            (charged,) = [place for place, step in enumerate(journal.order) if step == ("settle", guards[0].id)]
            ends = [("leave", "req_1"), *(("settle", one) for one in journal.lasts)]
            given_back = [place for place, step in enumerate(journal.order) if step in ends]
            assert given_back
            assert min(given_back) > charged
        if was_done:
            return
    pytest.fail("the walk never ended")


async def test_a_shadow_sees_what_the_guards_before_it_left_and_is_not_asked_about_what_they_block():
    seen = WordGuard("nothing")
    words = rule("words", mode=GuardMode.REDACT, where=Where.INPUT), WordGuard("hello")
    watching = rule("shadow", mode=GuardMode.SHADOW, where=Where.INPUT), seen
    pipeline, journal, tasks, _ = overshadowed(WHOLE, guards=[words, watching])
    await pipeline.answer(*chained())
    assert seen.seen == [["say [WORD_1] now"]]
    assert verdicts(*by_purpose(journal, "answer")) == [("words", "redacted"), ("shadow", "passed")]

    blocks = rule("blocks", where=Where.INPUT), WordGuard("hello")
    pipeline, journal, tasks, _ = overshadowed(WHOLE, guards=[watching, blocks])
    with pytest.raises(ContentFiltered):
        await pipeline.answer(*chained())
    await tasks.drain()
    assert len(seen.seen) == 1
    assert verdicts(*by_purpose(journal, "answer")) == [("blocks", "blocked")]


async def test_a_shadow_that_is_late_keeps_its_request_for_no_longer_than_its_deadline():
    pipeline, journal, tasks, _ = overshadowed(WHOLE, guards=[shadow(timeout_s=0.1)])
    await pipeline.answer(*chained())
    await tasks.drain()
    (answer,), (guard,) = by_purpose(journal, "answer"), by_purpose(journal, "guard")
    assert verdicts(answer) == [("shadow", "failed")]
    assert (guard.status, answer.status) == ("cancelled", "succeeded")
    assert journal.order[-1] == ("settle", answer.id), "what it asked is charged before its request ends"
