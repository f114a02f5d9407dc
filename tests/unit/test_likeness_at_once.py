"""Answers to similar questions, over fakes: who asks the same at once, leaves, or comes after a purge."""

from __future__ import annotations

import asyncio
import json

import pytest
from answer_parts import AGE_S
from likeness_parts import CACHED, SIMILAR, question, similar
from pipeline_parts import ANSWER, WHOLE, Backend, read, walk

from gateway.domain import CacheControl, CacheStatus, Hit, Source


async def test_a_client_that_leaves_while_it_is_looked_leaves_nothing_behind():
    pipeline, journal, tasks, store, index, _ = similar(Backend(WHOLE, WHOLE))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    looked = asyncio.Event()

    async def nearest(*_):
        looked.set()
        await asyncio.Event().wait()

    index.nearest = nearest
    asking = asyncio.create_task(pipeline.answer(*question(SIMILAR)))
    await looked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await tasks.drain()
    assert not journal.open_entries
    assert not store.leads


@pytest.mark.parametrize(("wrong_max", "calls"), [(None, 1), (0.0, 2)])
async def test_those_who_wait_for_the_same_question_are_given_it_too_unless_they_want_none(wrong_max, calls):
    pipeline, journal, tasks, _, index, _ = similar(backend := Backend(WHOLE, WHOLE))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    looks, may_go_on, nearest = [], asyncio.Event(), index.nearest

    async def slow(*asked):
        looks.append(asked)
        await may_go_on.wait()
        return await nearest(*asked)

    index.nearest = slow
    leader = asyncio.create_task(pipeline.answer(*question(SIMILAR)))
    followers = [asyncio.create_task(pipeline.answer(*question(SIMILAR, wrong_max=wrong_max))) for _ in range(20)]
    await asyncio.sleep(0.01)
    may_go_on.set()
    answers = await asyncio.gather(leader, *followers)
    [await read(one) for one in answers]
    await tasks.drain()
    assert answers[0].cache == CacheStatus.HIT_SIMILAR
    assert (len(backend.calls), len(looks)) == (calls, 1)
    if wrong_max is None:
        assert {one.cache for one in answers} == {CacheStatus.HIT_SIMILAR}
    assert not journal.open_entries


async def waiting_for_a_similar_one(pipeline, tasks, index, *followers):
    """The answers to a question that a similar one answers, and to those who ask it too until it is found."""
    may_go_on, nearest = asyncio.Event(), index.nearest

    async def slow(*asked):
        await may_go_on.wait()
        return await nearest(*asked)

    index.nearest = slow
    asking = [asyncio.create_task(pipeline.answer(*one)) for one in (question(SIMILAR), *followers)]
    await asyncio.sleep(0.01)
    may_go_on.set()
    answers = await asyncio.gather(*asking)
    [await read(one) for one in answers]
    await tasks.drain()
    return answers


async def test_who_waits_for_it_and_takes_none_so_old_is_given_none():
    pipeline, _, tasks, _, index, _ = similar(backend := Backend(WHOLE, WHOLE))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    young = question(SIMILAR, control=CacheControl(age_s_max=AGE_S - 1))
    leader, follower = await waiting_for_a_similar_one(pipeline, tasks, index, young)
    assert (leader.age_s, leader.cache) == (AGE_S, CacheStatus.HIT_SIMILAR)
    assert (follower.source, len(backend.calls)) == (Source.UPSTREAM, 2)


async def test_all_who_are_given_it_count_for_the_error_budget():
    pipeline, _, tasks, _, index, counts = similar(Backend(WHOLE))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    await waiting_for_a_similar_one(pipeline, tasks, index, *[question(SIMILAR)] * 20)
    await pipeline.similarities.budgets.share()
    route = counts.of["auto"]
    assert (route["requests"], sum(count for name, count in route.items() if ":would:" in name)) == (22, 21)


async def test_who_comes_after_a_purge_is_not_given_what_was_found_before_it_for_those_who_ask_the_same():
    anew = [json.dumps({**ANSWER, "id": "anew"}).encode()]
    pipeline, _, tasks, store, *_ = similar(Backend(WHOLE, anew))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    is_found, may_arrive, look = asyncio.Event(), asyncio.Event(), store.look

    async def slow(*args, **more):
        found = await look(*args, **more)
        if isinstance(found, Hit):
            is_found.set()
            await may_arrive.wait()
        return found

    store.look = slow
    leader = asyncio.create_task(walk(pipeline, *question(SIMILAR)))
    await is_found.wait()
    store.purge()
    after = asyncio.create_task(walk(pipeline, *question(SIMILAR)))
    await asyncio.sleep(0.01)
    may_arrive.set()
    assert (await leader, await after) == (WHOLE[0], anew[0])
    await tasks.drain()
