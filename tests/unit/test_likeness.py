"""Answers to similar questions, over fakes: what is given to whom, and that nothing stands in the way."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from answer_parts import AGE_S, Answers
from likeness_parts import CACHED, SIMILAR, both, question, similar
from pipeline_parts import STREAM, WHOLE, Backend, read, walk

from gateway.domain import CacheControl, CacheStatus, Purpose, SemanticCache, Source
from gateway.errors import BudgetExceeded

OPPOSITE = "How do I disable login by code?"


async def test_a_similar_question_is_given_the_answer_and_costs_nothing():
    pipeline, journal, tasks, _, index, _ = similar(backend := Backend(WHOLE))
    answer, shown = await both(pipeline, tasks)
    assert (shown, answer.cache, answer.source) == (WHOLE[0], CacheStatus.HIT_SIMILAR, Source.CACHE_SEMANTIC)
    assert (answer.cost_nusd, answer.age_s, answer.headers) == (0, AGE_S, {"x-obol-similarity": "0.970"})
    assert len(backend.calls) == 1
    entry = next(one for one in journal.settled.values() if one.source == Source.CACHE_SEMANTIC)
    assert (entry.cost_nusd, entry.baseline_nusd, entry.purpose) == (0, 3 * 10_000 + 2 * 40_000, Purpose.ANSWER)
    assert not journal.open_entries
    assert sum(len(space) for space in index.spaces.values()) == 1, "what was given is not kept under its own question"


async def test_looking_is_charged_by_the_time_that_it_took():
    pipeline, journal, tasks, *_ = similar(Backend(WHOLE))
    await both(pipeline, tasks)
    looks = [one for one in journal.settled.values() if one.purpose == Purpose.EMBEDDING]
    assert [(one.cost_nusd, one.baseline_nusd, one.input_tokens) for one in looks] == [(89, 0, 8)] * 2
    assert {one.request_id for one in looks} == {one.request_id for one in journal.settled.values()}
    assert all(one.id not in journal.lasts for one in looks), "the request's place is given back by its answer"


async def test_streams_are_given_and_told_too():
    pipeline, _, tasks, *_ = similar(backend := Backend(STREAM))
    await walk(pipeline, *question(CACHED, stream=True))
    await tasks.drain()
    answer = await pipeline.answer(*question(SIMILAR))
    assert json.loads(await read(answer))["choices"][0]["message"]["content"] == "hehe"
    again = await pipeline.answer(*question(SIMILAR, stream=True))
    assert (b"[DONE]" in await read(again), again.cache) == (True, CacheStatus.HIT_SIMILAR)
    assert len(backend.calls) == 1


@pytest.mark.parametrize(
    "second",
    [
        {"second": OPPOSITE},
        {"seed": 5},
        {"wrong_max": 0.0},
        {"control": CacheControl(may_read=False)},
        {"control": CacheControl(may_read=False, may_keep=False)},
        {"control": CacheControl(age_s_max=AGE_S - 1)},
    ],
    ids=["another question", "another request", "none wanted", "no-cache", "no-store", "too old"],
)
async def test_nothing_is_given_to(second):
    pipeline, _, tasks, *_ = similar(backend := Backend(WHOLE, WHOLE))
    answer, _ = await both(pipeline, tasks, **second)
    assert answer.source == Source.UPSTREAM
    assert len(backend.calls) == 2


async def test_only_if_cached_takes_a_similar_one():
    pipeline, _, tasks, *_ = similar(backend := Backend(WHOLE))
    answer, _ = await both(pipeline, tasks, control=CacheControl(is_cached_only=True))
    assert (answer.cache, len(backend.calls)) == (CacheStatus.HIT_SIMILAR, 1)


async def test_a_spent_budget_refuses_none():
    pipeline, journal, tasks, *_ = similar(backend := Backend(WHOLE))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    refusals = [BudgetExceeded("spent", details={})]

    async def refuse_once(entry, admission, admitted=journal.open):
        if refusals:
            raise refusals.pop()
        return await admitted(entry, admission)

    journal.open = refuse_once
    answer = await pipeline.answer(*question(SIMILAR))
    assert (answer.cache, len(backend.calls)) == (CacheStatus.HIT_SIMILAR, 1)


async def test_an_answer_that_is_gone_is_forgotten_and_the_upstream_asked():
    pipeline, _, tasks, store, index, _ = similar(backend := Backend(WHOLE, WHOLE))
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    gone = list(store.kept)
    store.kept.clear()
    store.ages.clear()
    answer = await pipeline.answer(*question(SIMILAR))
    await read(answer)
    await tasks.drain()
    assert (answer.source, index.forgotten, len(backend.calls)) == (Source.UPSTREAM, gone, 2)


async def test_whatever_breaks_in_looking_the_request_goes_on(caplog):
    pipeline, journal, tasks, _, index, _ = similar(backend := Backend(WHOLE, WHOLE))
    index.spaces = None
    answer, _ = await both(pipeline, tasks)
    assert (answer.cache, len(backend.calls)) == (CacheStatus.MISS, 2)
    assert "nothing like it is looked for" in caplog.text
    assert not journal.open_entries


async def test_a_question_that_was_looked_for_too_late_is_found_later():
    pipeline, _, tasks, _, index, _ = similar(backend := Backend(WHOLE))
    nearest, index.nearest = index.nearest, index.late
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    index.nearest = nearest
    answer = await pipeline.answer(*question(SIMILAR))
    assert (answer.cache, len(backend.calls)) == (CacheStatus.HIT_SIMILAR, 1)


async def test_a_question_of_more_tokens_than_the_route_says_is_not_looked_for():
    pipeline, _, tasks, _, index, _ = similar(backend := Backend(WHOLE, WHOLE), rules=SemanticCache(0.2, tokens_max=7))
    answer, _ = await both(pipeline, tasks)
    assert (answer.source, len(backend.calls), index.spaces) == (Source.UPSTREAM, 2, {})


async def test_while_the_answers_are_away_the_next_like_it_is_not_tried():
    store = Answers()
    pipeline, _, tasks, _, index, _ = similar(Backend(WHOLE, WHOLE), store=store)
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    for space in index.spaces.values():
        space["another"] = "How would I enable login by code?"
    looks, nearest = [], index.nearest

    async def then_away(*asked):
        found = await nearest(*asked)
        store.is_away = True
        looks.append(store.looks)
        return found

    index.nearest = then_away
    answer = await pipeline.answer(*question(SIMILAR))
    assert (answer.source, store.looks - looks[0], index.forgotten) == (Source.UPSTREAM, 1, [])


async def test_another_team_of_the_same_route_is_given_nothing():
    pipeline, _, tasks, *_ = similar(backend := Backend(WHOLE, WHOLE), store=Answers())
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    parsed, dialect, caller = question(SIMILAR)
    answer = await pipeline.answer(parsed, dialect, replace(caller, team_id="team_2"))
    assert (answer.source, len(backend.calls)) == (Source.UPSTREAM, 2)
