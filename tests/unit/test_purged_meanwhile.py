"""Purges while requests are on their way, over fakes: what was asked before one is given to nobody after it."""

from __future__ import annotations

import asyncio
import json

from answer_parts import Answers, asked, caching, others_turn
from pipeline_parts import ANSWER, DELTA, STREAM, WHOLE, Backend, event, read, walk

from gateway.domain import CacheStatus, Hit
from gateway.errors import UpstreamUnreachable

ANEW = [json.dumps(ANSWER | {"choices": [{**ANSWER["choices"][0], "message": {"content": "anew"}}]}).encode()]


class Slow(Answers):
    """What it does is done, but who asked for what ``is_held`` names comes to know it once that may arrive."""

    def __init__(self, is_held):
        super().__init__()
        self.is_held, self.may_arrive = is_held, asyncio.Event()

    async def look(self, *args, **more):
        return await self._told(await super().look(*args, **more))

    async def keep(self, *args, **more):
        return await self._told(await super().keep(*args, **more))

    async def _told(self, said):
        if self.is_held(said):
            await self.may_arrive.wait()
        return said


async def test_what_fell_back_after_a_purge_was_asked_before_it_and_is_not_kept():
    class SmallIsDown(Backend):
        async def open(self, call):
            if call.deployment.name == "small":
                self.calls.append(call)
                store.purge()
                raise UpstreamUnreachable("down")
            return await super().open(call)

    pipeline, journal, tasks, store = caching(backend := SmallIsDown(WHOLE))
    assert await walk(pipeline, *asked()) == WHOLE[0]
    await tasks.drain()
    assert {call.deployment.name for call in backend.calls} == {"small", "big"}
    assert (store.kept, store.leads, journal.open_entries) == ({}, set(), {})


async def test_who_waited_since_before_a_purge_and_asks_after_it_keeps_nothing():
    pipeline, journal, tasks, store = caching(backend := Backend(STREAM, WHOLE))
    leader = await pipeline.answer(*asked(stream=True))
    followers = [asyncio.create_task(walk(pipeline, *asked())) for _ in range(3)]
    await others_turn()
    store.purge()
    leader.abandon()
    assert await asyncio.gather(*followers) == [WHOLE[0]] * 3
    await tasks.drain()
    assert len(backend.calls) == 4
    assert (store.kept, store.leads, journal.open_entries) == ({}, set(), {})


async def test_those_who_come_after_a_purge_make_one_call_and_its_answer_is_kept():
    pipeline, journal, tasks, store = caching(backend := Backend(STREAM, ANEW))
    leader = await pipeline.answer(*asked(stream=True))
    before = [asyncio.create_task(walk(pipeline, *asked())) for _ in range(2)]
    await others_turn()
    store.purge()
    after = [asyncio.create_task(walk(pipeline, *asked())) for _ in range(5)]
    await others_turn()
    await read(leader)
    assert set(await asyncio.gather(*before, *after)) == {ANEW[0]}
    await tasks.drain()
    assert len(backend.calls) <= 1 + len(before) + 1
    assert (await pipeline.answer(*asked())).cache == CacheStatus.HIT
    await tasks.drain()
    assert (store.leads, journal.open_entries) == (set(), {})


async def test_who_comes_after_a_purge_is_not_given_what_its_leader_does_not_know_to_be_kept_and_purged():
    store = Slow(is_held=lambda said: said is True)
    pipeline, _, tasks, _ = caching(Backend(WHOLE, ANEW), store=store)
    await walk(pipeline, *asked())
    await others_turn()
    assert store.kept
    store.purge()
    after = asyncio.create_task(walk(pipeline, *asked()))
    await others_turn()
    store.may_arrive.set()
    assert await after == ANEW[0]
    await tasks.drain()


async def test_who_comes_after_a_purge_is_not_given_what_was_found_for_those_who_waited_before_it():
    store = Slow(is_held=lambda said: isinstance(said, Hit))
    anew = [event({**DELTA, "choices": [{**DELTA["choices"][0], "delta": {"content": "anew"}}]}), *STREAM[2:]]
    there, _, tasks_there, _ = caching(Backend(STREAM, anew), store=store)
    here, _, tasks, _ = caching(backend := Backend(WHOLE), store=store)
    leader = await there.answer(*asked(stream=True))
    before = asyncio.create_task(walk(here, *asked()))
    await others_turn()
    await read(leader)
    await tasks_there.drain()
    await others_turn()  # it is found, but who waits has not heard of it
    store.purge()
    leader = await there.answer(*asked(stream=True))
    after = asyncio.create_task(walk(here, *asked()))
    await others_turn()
    store.may_arrive.set()
    assert b"hehe" in await before
    await read(leader)
    assert b"anew" in await after
    assert backend.calls == []
    await tasks_there.drain()
    await tasks.drain()
