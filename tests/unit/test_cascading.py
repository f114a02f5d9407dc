"""The steps of a cascade on the path: who is asked, what the client sees, and that each call has its one entry."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from cascading_parts import (
    ACCEPTED,
    AGREEMENT,
    CERTAIN,
    DOUBTFUL,
    ESCALATED,
    SURE,
    VERIFIED,
    cascading,
    entries,
    rejected,
    stream,
    told,
    whole,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_parts import Rules, request, walk

from gateway.domain import Claims, Limit, LimitClaim, Outcome, Purpose, Scope
from gateway.errors import UpstreamBroken, UpstreamUnreachable
from policies.gates import Gate

LIMITS = Claims(limits=(LimitClaim(Limit("limit_1", Scope("org_1"), requests_per_minute=5), None, "limit_1"),))
#: By name, so that examples can be read.
REPLIES = {
    "certain": whole("7", CERTAIN),
    "doubtful": whole("8", DOUBTFUL),
    "empty": whole("", CERTAIN),
    "good": whole('{"score": 0.9}', CERTAIN),
    "bad": whole('{"score": 0.1}', CERTAIN),
    "broken": [b"<html>"],
    "down": UpstreamUnreachable("no connection"),
}


async def test_a_cheap_answer_that_is_accepted_is_the_only_one():
    pipeline, journal, _, backend = cascading(SURE, whole("cheap", CERTAIN))
    shown = await walk(pipeline, *request())
    assert json.loads(shown)["choices"][0]["message"]["content"] == "cheap"
    assert told(journal) == [ACCEPTED]
    assert [call.deployment.name for call in backend.calls] == ["small"]


async def test_probabilities_that_the_client_asked_for_are_shown():
    answer = whole("cheap", CERTAIN)
    pipeline, _, _, _ = cascading(SURE, answer)
    assert await walk(pipeline, *request(logprobs=True)) == answer[0]


async def test_an_answer_that_is_not_accepted_is_charged_without_a_baseline_and_the_next_one_is_shown():
    pipeline, journal, _, backend = cascading(SURE, whole("cheap", DOUBTFUL), whole("strong"))
    answer = await pipeline.answer(*request())
    shown = await answer.next()
    assert json.loads(shown)["choices"][0]["message"]["content"] == "strong"
    assert told(journal) == [rejected(Gate.LOGPROB), ESCALATED]
    cheap, strong = entries(journal)
    assert (cheap.baseline_nusd, strong.baseline_nusd) == (0, strong.cost_nusd)
    assert answer.cost_nusd == cheap.cost_nusd + strong.cost_nusd > strong.cost_nusd
    assert (answer.deployment, answer.steps) == ("big", 2)
    assert "logprobs" not in json.loads(backend.calls[1].body)
    assert journal.open_entries == {}
    assert journal.lasts == [strong.id]


@given(
    replies=st.lists(st.sampled_from(sorted(REPLIES)), min_size=1, max_size=12),
    gates=st.sampled_from([SURE, VERIFIED, AGREEMENT, replace(SURE, verifier="judge", score_min=0.7, samples=2)]),
)
@settings(max_examples=150)
def test_whatever_upstreams_say_each_call_has_one_entry_and_an_answer_one_baseline_and_one_cost(replies, gates):
    async def run():
        pipeline, journal, tasks, backend = cascading(gates, *(REPLIES[one] for one in replies), rules=Rules(LIMITS))
        try:
            answer = await pipeline.answer(*request())
        except (UpstreamUnreachable, UpstreamBroken):
            answer = None
        await tasks.drain()
        assert journal.open_entries == {}
        assert len(journal.settled) == len(backend.calls)
        assert [entry.attempt for entry in entries(journal)] == list(range(1, len(backend.calls) + 1))
        shown = [one for one in entries(journal) if one.purpose == Purpose.ANSWER and one.status == Outcome.SUCCEEDED]
        assert [one.baseline_nusd > 0 for one in entries(journal)].count(True) == len(shown)
        if answer is None:
            assert (shown, bool(journal.left)) == ([], True)
            return
        assert (journal.lasts, answer.deployment) == ([shown[0].id], shown[0].deployment)
        assert answer.cost_nusd == sum(entry.cost_nusd for entry in entries(journal))

    asyncio.run(run())


SCRIPTS = {
    "accepted": (SURE, False, [whole("cheap", CERTAIN)]),
    "rejected": (SURE, False, [whole("cheap", DOUBTFUL), whole("strong")]),
    "a stream rejected": (SURE, True, [stream("cheap", DOUBTFUL), stream("strong")]),
    "verified": (VERIFIED, True, [stream("cheap"), whole('{"score": 0.9}')]),
    "refuted": (VERIFIED, False, [whole("cheap"), whole('{"score": 0.1}'), whole("strong")]),
    "of one voice": (AGREEMENT, False, [whole("7"), whole("8"), whole("7")]),
    "in vain": (VERIFIED, True, [stream("cheap"), UpstreamUnreachable("gone")]),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_whenever_the_client_leaves_every_call_has_exactly_one_entry_and_no_place_is_kept(name):
    cascade, is_stream, scripts = SCRIPTS[name]
    for turns in range(120):
        pipeline, journal, tasks, backend = cascading(cascade, *scripts, rules=Rules(LIMITS))
        client = asyncio.create_task(walk(pipeline, *request(stream=is_stream)))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_over = client.done()
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        await tasks.drain()
        assert journal.open_entries == {}
        assert len(backend.calls) == len(journal.settled)
        assert journal.left or journal.lasts or not journal.admissions
        baselines = [entry for entry in journal.settled.values() if entry.baseline_nusd]
        assert len(baselines) <= (1 if is_over else 2)
        assert all(reply.is_closed for reply in backend.replies)
        assert pipeline.progress._running == {}
        if is_over:
            break
    assert is_over
