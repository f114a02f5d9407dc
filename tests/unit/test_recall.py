"""Answers that are given again, over fakes: whoever leaves whenever, calls end in entries and nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

import pytest
from answer_parts import AGE_S, Answers, asked, caching, others_turn
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_parts import ANSWER, CALLER, CUT, DELTA, STREAM, WHOLE, Backend, deployment, event, read, walk
from screening_parts import rule

from gateway.domain import (
    Basis,
    CacheControl,
    CacheStatus,
    Cascade,
    KeptAnswer,
    OnBlock,
    Outcome,
    Source,
    Usage,
)
from gateway.errors import BudgetExceeded, NotCached, RateLimited, UpstreamRefused, UpstreamUnreachable
from gateway.screening.outlet import Stopped


async def test_the_second_is_given_what_the_first_got_and_holds_nothing_for_it():
    pipeline, journal, tasks, _ = caching(backend := Backend(WHOLE))
    first = await pipeline.answer(*asked())
    assert (await read(first), first.cache) == (WHOLE[0], CacheStatus.MISS)
    await tasks.drain()
    second = await pipeline.answer(*asked())
    assert (await read(second), second.cache, second.cost_nusd, second.age_s) == (WHOLE[0], CacheStatus.HIT, 0, AGE_S)
    assert len(backend.calls) == 1
    entry = list(journal.settled.values())[-1]
    assert (entry.source, entry.basis, entry.cost_nusd) == (Source.CACHE_EXACT, Basis.NONE, 0)
    assert entry.baseline_nusd == 3 * 10_000 + 2 * 40_000
    assert not journal.open_entries


async def test_an_answer_that_is_given_again_leaves_no_decision_and_a_long_one_is_kept_too():
    class Log:
        records: ClassVar = []

        def record(self, record, prompt=None):
            self.records.append((record.chosen, prompt))

    said = {**DELTA, "choices": [{"index": 0, "delta": {"content": "word " * 100}, "finish_reason": None}]}
    stream = [*[event(said)] * 300, *STREAM[2:]]
    pipeline, _, tasks, store = caching(Backend(stream), decisions=(log := Log()))
    shown = await walk(pipeline, *asked(stream=True))
    await tasks.drain()
    (kept,) = store.kept.values()
    again = await pipeline.answer(*asked())
    assert json.loads(await read(again))["choices"][0]["message"]["content"] == "word " * 30_000
    assert len(shown) > 2 * 65_536 > 0
    assert len(kept.whole) > 150_000
    assert log.records == [("small", None)]


async def test_with_content_logging_the_ledger_has_what_was_given_again_as_it_has_what_was_given_first():
    pipeline, journal, tasks, _ = caching(Backend(WHOLE), is_content_logged=True)
    for _ in range(2):
        await walk(pipeline, *asked())
        await tasks.drain()
    first, again = journal.settled.values()
    assert again.source == Source.CACHE_EXACT
    assert again.content == first.content
    assert again.content["answer"] == "hello"


async def test_a_long_request_is_the_same_as_its_like_and_as_no_other():
    turns = [{"role": ("user", "assistant")[number % 2], "content": "word " * 10} for number in range(2001)]
    pipeline, _, tasks, _ = caching(backend := Backend(WHOLE, WHOLE))
    answers = []
    for messages in (turns, turns, [*turns[:-1], {"role": "user", "content": "another word"}]):
        answer = await pipeline.answer(*asked(messages=messages))
        await read(answer)
        await tasks.drain()
        answers.append(answer.cache)
    assert answers == [CacheStatus.MISS, CacheStatus.HIT, CacheStatus.MISS]
    assert len(backend.calls) == 2


async def test_a_leader_that_leaves_is_followed_by_exactly_one():
    pipeline, journal, tasks, _ = caching(backend := Backend(STREAM))
    leader = await pipeline.answer(*asked(stream=True))
    followers = [asyncio.create_task(walk(pipeline, *asked(stream=True))) for _ in range(5)]
    await others_turn()
    leader.abandon()
    assert all(b"[DONE]" in shown for shown in await asyncio.gather(*followers))
    assert len(backend.calls) == 2
    await tasks.drain()
    assert not journal.open_entries


async def test_a_follower_holds_no_money_while_it_waits_and_may_leave():
    pipeline, journal, tasks, _ = caching(backend := Backend(STREAM))
    leader = await pipeline.answer(*asked(stream=True))
    follower = asyncio.create_task(walk(pipeline, *asked()))
    await others_turn()
    assert len(journal.open_entries) == 1
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    await read(leader)
    await tasks.drain()
    assert (len(backend.calls), len(journal.settled), journal.open_entries) == (1, 1, {})


@pytest.mark.parametrize("script", [CUT, [b'data: {"choices":[{"index":0,"finish_reason":"length"}]}\n\n']])
async def test_those_who_wait_for_what_is_not_kept_ask_for_themselves_all_at_once(script):
    pipeline, journal, tasks, _ = caching(backend := Backend(script, STREAM))
    leader = await pipeline.answer(*asked(stream=True))
    followers = [asyncio.create_task(walk(pipeline, *asked(stream=True))) for _ in range(4)]
    await others_turn()
    await asyncio.gather(read(leader), return_exceptions=True)
    await asyncio.gather(*followers)
    assert len(backend.calls) == 5
    await tasks.drain()
    assert not journal.open_entries


async def test_when_its_upstream_is_down_followers_go_down_the_route_and_meet_again_there():
    class SmallIsDown(Backend):
        async def open(self, call):
            if call.deployment.name == "small":
                await asyncio.sleep(0)
                raise UpstreamUnreachable("down")
            return await super().open(call)

    pipeline, journal, tasks, store = caching(backend := SmallIsDown(WHOLE))
    assert set(await asyncio.gather(*(walk(pipeline, *asked()) for _ in range(6)))) == {WHOLE[0]}
    await tasks.drain()
    assert (len(backend.calls), len(store.kept)) == (1, 1)
    answer = await pipeline.answer(*asked())
    assert (answer.cache, answer.deployment) == (CacheStatus.HIT, "big")
    await tasks.drain()
    assert (journal.open_entries, store.leads) == ({}, set())


async def test_what_is_asked_elsewhere_is_waited_for():
    store = Answers()
    there, *_ = caching(Backend(STREAM), store=store)
    here, journal, tasks, _ = caching(backend := Backend(WHOLE), store=store)
    leader = await there.answer(*asked(stream=True))
    followers = [asyncio.create_task(walk(here, *asked(stream=True))) for _ in range(3)]
    await others_turn()
    assert not any(one.done() for one in followers)
    await read(leader)
    assert all(b"[DONE]" in shown for shown in await asyncio.gather(*followers))
    assert backend.calls == []
    await tasks.drain()
    assert not journal.open_entries


async def test_who_waits_for_a_new_answer_elsewhere_is_not_given_the_one_that_is_too_old_for_it():
    store, new = Answers(), CacheControl(age_s_max=AGE_S - 1)
    there, _, tasks_there, _ = caching(Backend(WHOLE, STREAM), store=store)
    here, _, tasks, _ = caching(backend := Backend(WHOLE), store=store)
    await walk(there, *asked())
    await tasks_there.drain()
    leader = await there.answer(*asked(new, stream=True))
    follower = asyncio.create_task(walk(here, *asked(new)))
    old = asyncio.create_task(walk(here, *asked()))
    assert await old == WHOLE[0]
    assert not follower.done()
    store.age_s = 0
    await read(leader)
    assert json.loads(await follower)["choices"][0]["message"]["content"] == "hehe"
    assert backend.calls == []
    await tasks.drain()


async def test_when_a_leader_elsewhere_dies_one_of_those_who_wait_asks():
    pipeline, journal, tasks, store = caching(backend := Backend(STREAM))
    before, *_ = caching(Backend(STREAM), store=store)
    await before.answer(*asked(stream=True))  # whose process is gone then
    followers = [asyncio.create_task(walk(pipeline, *asked(stream=True))) for _ in range(4)]
    await others_turn()
    assert backend.calls == []
    store.leads.clear()  # its lease has ended
    await asyncio.gather(*followers)
    assert len(backend.calls) == 1
    await tasks.drain()
    assert not journal.open_entries


async def test_while_the_store_is_away_each_asks_for_itself():
    pipeline, _, tasks, store = caching(backend := Backend(WHOLE))
    store.is_away = True
    answers = [await pipeline.answer(*asked()) for _ in range(2)]
    assert [answer.cache for answer in answers] == [CacheStatus.BYPASS] * 2
    await tasks.drain()
    assert (len(backend.calls), store.kept) == (2, {})


async def test_a_purge_during_a_call_keeps_nothing_of_it_from_anybody():
    pipeline, _, tasks, store = caching(backend := Backend(STREAM))
    leader = await pipeline.answer(*asked(stream=True))
    follower = asyncio.create_task(walk(pipeline, *asked(stream=True)))
    await others_turn()
    store.epoch = "2"
    await read(leader)
    await follower
    await tasks.drain()
    assert len(backend.calls) == 2


async def test_a_budget_that_is_spent_gives_kept_answers_and_no_others():
    pipeline, journal, tasks, store = caching(backend := Backend(WHOLE))
    await walk(pipeline, *asked())
    await tasks.drain()

    async def refuse_holds(entry, admission):
        if entry.cost_nusd:
            raise BudgetExceeded("spent", details={})
        return await opened(entry, admission)

    opened, journal.open = journal.open, refuse_holds
    assert await walk(pipeline, *asked()) == WHOLE[0]
    assert journal.admissions[-1].hold_nusd == 0
    with pytest.raises(BudgetExceeded):
        await walk(pipeline, *asked(seed=1))
    await tasks.drain()
    assert (len(backend.calls), store.leads, journal.open_entries) == (1, set(), {})


async def test_who_asks_too_often_gets_no_kept_answer_and_keeps_nobody_waiting():
    pipeline, journal, tasks, store = caching(Backend(WHOLE))
    journal.refuses["small"] = RateLimited("slow down")
    with pytest.raises(RateLimited):
        await walk(pipeline, *asked())
    await tasks.drain()
    assert (store.leads, journal.open_entries) == (set(), {})


async def test_who_wants_a_kept_answer_or_none_calls_nobody():
    pipeline, journal, tasks, store = caching(backend := Backend(WHOLE))
    for fields in ({}, {"store": True}, {"model": "small"}):
        with pytest.raises(NotCached):
            await pipeline.answer(*asked(CacheControl(is_cached_only=True), **fields))
    await tasks.drain()
    assert (backend.calls, journal.open_entries, store.leads) == ([], {}, set())


async def test_a_cascade_judges_each_answer_anew():
    route = {"policy": "cascade", "cascade": Cascade(checks_schema=True)}
    pipeline, _, tasks, store = caching(Backend(WHOLE), route=route)
    answer = await pipeline.answer(*asked())
    await tasks.drain()
    assert (answer.cache, store.looks) == (CacheStatus.BYPASS, 0)


async def test_who_wants_a_kept_answer_or_none_climbs_no_cascade():
    route = {"policy": "cascade", "cascade": Cascade(logprob_min=0.8)}
    steps = (deployment("small", 1, 4), deployment("large", 100, 400))
    pipeline, journal, tasks, _ = caching(backend := Backend(WHOLE), *steps, route=route)
    with pytest.raises(NotCached):
        await pipeline.answer(*asked(CacheControl(is_cached_only=True)))
    await tasks.drain()
    assert (backend.calls, journal.open_entries) == ([], {})


class FindsTheEnd:
    """A way out whose guard blocks what ends an answer."""

    def __init__(self, on_block):
        self._rule = rule(on_block=on_block)

    async def pass_on(self, shown):
        return shown

    async def finish(self):
        return b""

    async def close(self, _closing):
        raise Stopped(self._rule)

    def stopped(self, _usage, _cost_nusd):
        return b"<stopped>"


@pytest.mark.parametrize("on_block", OnBlock)
async def test_an_answer_whose_end_a_guard_blocks_is_not_kept(on_block):
    pipeline, journal, tasks, store = caching(Backend(STREAM))
    answer = await pipeline.answer(*asked(stream=True))
    answer.outlet = FindsTheEnd(on_block)
    shown = await read(answer)
    await tasks.drain()
    assert (b"<stopped>" in shown) == (on_block is OnBlock.STOP)
    assert (store.kept, store.leads, journal.open_entries) == ({}, set(), {})


async def test_a_kept_answer_that_cannot_be_told_holds_nothing_and_saves_nothing():
    pipeline, journal, tasks, store = caching(Backend(WHOLE))
    await walk(pipeline, *asked())
    await tasks.drain()
    store.kept = {digest: KeptAnswer(b"{}", Usage(input_tokens=3)) for digest in store.kept}
    with pytest.raises(KeyError):
        await pipeline.answer(*asked(stream=True))
    await tasks.drain()
    entry = list(journal.settled.values())[-1]
    assert (entry.status, entry.cost_nusd, entry.baseline_nusd) == (Outcome.FAILED, 0, 0)
    assert journal.open_entries == {}


async def test_a_refusal_of_the_upstream_is_nobodys_answer():
    refused = UpstreamRefused("no", http_status=400, status=400, type_="invalid_request_error", code=None)
    pipeline, journal, tasks, store = caching(Backend(refused))
    for _ in range(2):
        with pytest.raises(UpstreamRefused):
            await walk(pipeline, *asked())
    await tasks.drain()
    assert (store.kept, store.leads, journal.open_entries) == ({}, set(), {})


async def test_a_lead_is_renewed_for_as_long_as_its_answer_may_take_and_no_longer():
    now_s = 1.0
    pipeline, _, tasks, store = caching(Backend(STREAM), clock=lambda: now_s)
    answer = await pipeline.answer(*asked(stream=True))
    await pipeline.flights.renew()
    assert len(store.renewed) == 1
    now_s = 4000.0
    await pipeline.flights.renew()
    assert store.renewed == []
    await read(answer)
    await tasks.drain()
    assert not pipeline.flights.led


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 60) | st.none()), min_size=2, max_size=6),
    st.sampled_from([STREAM, CUT, WHOLE]),
    st.integers(0, 80) | st.none(),
)
async def test_whoever_comes_and_leaves_whenever_nobody_is_left_waiting_and_nothing_open(visits, script, purged_at):
    """Each visitor comes after some turns of the loop, streams or not, and may leave some turns later."""
    stream = script if script is not WHOLE else STREAM
    backend = Backend(stream)
    whole_backend = Backend(WHOLE)

    class Both:
        calls = backend.calls

        async def open(self, call):
            return await (backend if call.is_stream else whole_backend).open(call)

    pipeline, journal, tasks, store = caching(Both())

    async def visit(after, is_stream, leaves):
        for _ in range(after):
            await asyncio.sleep(0)
        task = asyncio.create_task(walk(pipeline, *asked(stream=is_stream)))
        if leaves is not None:
            for _ in range(leaves):
                await asyncio.sleep(0)
            task.cancel()
        return await asyncio.gather(task, return_exceptions=True)

    async def purge():
        for _ in range(purged_at or 0):
            await asyncio.sleep(0)
        if purged_at is not None:
            store.epoch = "2"

    async with asyncio.timeout(20):
        shown = await asyncio.gather(*(visit(*one) for one in visits), purge())
        await tasks.drain()
    for (one,) in shown[:-1]:
        if isinstance(one, bytes):
            assert one == WHOLE[0] or one.endswith(b"data: [DONE]\n\n") or b'"chat.completion"' in one
    assert (journal.open_entries, store.leads, dict(pipeline.flights.led)) == ({}, set(), {})
    entries = journal.settled.values()
    assert sum(entry.source == Source.UPSTREAM for entry in entries) == len(backend.calls) + len(whole_backend.calls)
    assert all(entry.cost_nusd == 0 for entry in entries if entry.source == Source.CACHE_EXACT)
    assert {entry.team_id for entry in entries} <= {CALLER.team_id}
    assert ANSWER["usage"]["prompt_tokens"] == 3
