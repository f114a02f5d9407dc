"""Answers to similar questions, over fakes: what is given, compared and learned, and that nothing stands in the way."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest
from answer_parts import AGE_S, Answers, asked, caching
from pipeline_parts import ANSWER, STREAM, WHOLE, Backend, read, walk

from gateway.answer_ports import IndexAway
from gateway.domain import CacheControl, CacheStatus, Hit, Purpose, SemanticCache, Source
from gateway.domain.similar import Nearest, Neighbour
from gateway.errors import BudgetExceeded

CACHED, SIMILAR = "How do I enable login by code?", "how can I enable login by code"
OPPOSITE = "How do I disable login by code?"
CPU_NS = 8_000_000
RULES = SemanticCache(wrong_answers_max=0.2)


class Index:
    """One process's view of vectors: everything of a space is near everything else in it."""

    def __init__(self):
        self.spaces, self.forgotten, self.is_away = {}, [], False
        self.tokens, self.vector, self.given = 8, b"v", []
        self.groups = {}

    async def nearest(self, tenant, space, _text, vector=None):
        await asyncio.sleep(0)
        if self.is_away:
            raise IndexAway("away")
        self.given.append(vector)
        found = self.spaces.get((tenant, space), {})
        neighbours = tuple(
            Neighbour(0.97, text, digest, self.groups.get(digest) or digest) for digest, text in found.items()
        )
        return Nearest(neighbours, self.tokens, CPU_NS, vector or self.vector)

    async def late(self, *_):
        raise IndexAway("late")

    async def keep(self, question):
        if self.is_away:
            raise IndexAway("away")
        self.spaces.setdefault((question.key.tenant, question.space), {})[question.key.digest] = question.text
        self.groups[question.key.digest] = question.group
        return True

    async def forget(self, tenant, space, digest):
        self.spaces[tenant, space].pop(digest)
        self.forgotten.append(digest)

    async def vectors(self, texts, **_):
        return np.array([[1.0, 0.0] if text == texts[0] else [0.0, 1.0] for text in texts], np.float32)


class Counts:
    """What all replicas have counted."""

    def __init__(self):
        self.of, self.is_away = {}, False

    async def add(self, name, more, gone=()):
        if self.is_away:
            return None
        found = self.of.setdefault(name, {})
        for field in gone:
            found.pop(field, None)
        for field, count in more.items():
            found[field] = found.get(field, 0) + count
        return dict(found)


class Draw:
    """``random`` says what decides whether an answer is asked for again."""

    def __init__(self, drawn=0.99):
        self.drawn = drawn

    def random(self):
        return self.drawn


def similar(backend, *, rules=RULES, drawn=0.99, store=None, **more):
    index, counts = Index(), Counts()
    pipeline, journal, tasks, store = caching(
        backend,
        store=store,
        route={"semantic_cache": rules},
        semantic=index,
        counts=counts,
        cpu_nusd_per_hour=40_000_000,
        random=Draw(drawn),
        **more,
    )
    return pipeline, journal, tasks, store, index, counts


def question(text, *, wrong_max=None, control=None, **fields):
    parsed, dialect, caller = asked(control, messages=[{"role": "user", "content": text}], **fields)
    return replace(parsed, wrong_answers_max=wrong_max), dialect, caller


async def both(pipeline, tasks, first=CACHED, second=SIMILAR, **more):
    """The answer to the second, after the first was answered and kept."""
    await walk(pipeline, *question(first))
    await tasks.drain()
    answer = await pipeline.answer(*question(second, **more))
    shown = await read(answer)
    await tasks.drain()
    return answer, shown


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


@pytest.mark.parametrize(("told", "wrong"), [(ANSWER, 0), ({**ANSWER, "choices": "other"}, 1)])
async def test_a_share_is_asked_again_and_compared(told, wrong):
    if wrong:
        choice = {"index": 0, "message": {"content": "Something else."}, "finish_reason": "stop"}
        told = {**ANSWER, "choices": [choice]}
    pipeline, _, tasks, _, index, counts = similar(backend := Backend(WHOLE, [json.dumps(told).encode()]), drawn=0.0)
    answer, shown = await both(pipeline, tasks)
    assert (answer.cache, json.loads(shown)) == (CacheStatus.MISS, told), "the client gets the new one"
    assert len(backend.calls) == 2
    await pipeline.similarities.budgets.share()
    route, tenant = counts.of["auto"], counts.of["auto\nteam_1"]
    assert route["requests"] == 2
    assert sum(count for name, count in route.items() if ":looked:" in name) == 1
    assert sum(count for name, count in route.items() if ":wrong:" in name) == wrong
    assert sum(count for name, count in tenant.items() if name.endswith(":wrong")) == wrong
    first, second = index.groups
    assert index.groups == {first: "", second: "" if wrong else first}, "what has the same answer is known to have it"


async def test_a_route_that_was_found_wrong_gives_none():
    pipeline, _, tasks, _, _, counts = similar(backend := Backend(WHOLE, WHOLE), rules=SemanticCache(0.01))
    counts.of["auto"] = {"requests": 900, "0:requests": 900, "0:none:foretold": 10_000, "0:none:wrong": 90}
    counts.of["auto"] |= {f"0:{what}:{at}": 45 for at in range(19) for what in ("would", "looked", "wrong")}
    await walk(pipeline, *question(CACHED))
    await pipeline.similarities.budgets.share()
    answer, _ = await both(pipeline, tasks)
    assert (answer.source, len(backend.calls)) == (Source.UPSTREAM, 2)


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


async def test_while_the_index_or_the_counts_are_away_everything_goes_on():
    pipeline, journal, tasks, _, index, counts = similar(backend := Backend(WHOLE, WHOLE))
    index.is_away = counts.is_away = True
    answer, _ = await both(pipeline, tasks)
    await pipeline.similarities.budgets.share()
    assert (answer.cache, len(backend.calls)) == (CacheStatus.MISS, 2)
    assert not journal.open_entries


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


async def test_of_long_answers_no_more_is_sent_for_comparison_than_their_vector_is_made_of():
    long = {**ANSWER, "choices": [{"index": 0, "message": {"content": "word " * 20_000}, "finish_reason": "stop"}]}
    pipeline, _, tasks, _, index, _ = similar(Backend(WHOLE, [json.dumps(long).encode()]), drawn=0.0)
    sent, vectors = [], index.vectors

    async def vectors_of(texts):
        sent.extend(texts)
        return await vectors(texts)

    index.vectors = vectors_of
    await both(pipeline, tasks)
    assert len(sent) == 2
    assert max(map(len, sent)) < 5000


async def test_counts_that_could_not_be_shared_are_shared_later():
    pipeline, _, tasks, _, _, counts = similar(Backend(WHOLE))
    counts.is_away = True
    await both(pipeline, tasks)
    await pipeline.similarities.budgets.share()
    counts.is_away = False
    await pipeline.similarities.budgets.share()
    assert counts.of["auto"]["requests"] == 2


async def test_another_team_of_the_same_route_is_given_nothing():
    pipeline, _, tasks, *_ = similar(backend := Backend(WHOLE, WHOLE), store=Answers())
    await walk(pipeline, *question(CACHED))
    await tasks.drain()
    parsed, dialect, caller = question(SIMILAR)
    answer = await pipeline.answer(parsed, dialect, replace(caller, team_id="team_2"))
    assert (answer.source, len(backend.calls)) == (Source.UPSTREAM, 2)
