"""Answers to similar questions, over fakes: which are asked for again, compared and counted."""

from __future__ import annotations

import json

import pytest
from likeness_parts import CACHED, both, question, similar
from pipeline_parts import ANSWER, WHOLE, Backend, walk

from gateway.domain import CacheStatus, SemanticCache, Source


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


async def test_while_the_index_or_the_counts_are_away_everything_goes_on():
    pipeline, journal, tasks, _, index, counts = similar(backend := Backend(WHOLE, WHOLE))
    index.is_away = counts.is_away = True
    answer, _ = await both(pipeline, tasks)
    await pipeline.similarities.budgets.share()
    assert (answer.cache, len(backend.calls)) == (CacheStatus.MISS, 2)
    assert not journal.open_entries


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
