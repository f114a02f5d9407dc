"""What a cascade takes an answer by on the path: probabilities, agreement, a verifier, each at its own cost."""

from __future__ import annotations

import itertools
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
    told,
    whole,
)
from pipeline_parts import CALLER, request, walk

from gateway.api.dialects import ClientDialect
from gateway.domain import Cascade, Chain, Outcome, Purpose, StageName
from gateway.errors import UpstreamRefused, UpstreamUnreachable
from policies.gates import Gate


async def test_an_upstream_that_tells_no_probabilities_is_not_accepted():
    pipeline, journal, _, _ = cascading(SURE, whole("cheap"), whole("strong"))
    await walk(pipeline, *request())
    assert told(journal) == [rejected(Gate.LOGPROB_UNMEASURED), ESCALATED]


async def test_an_upstream_that_refuses_to_tell_them_gives_way_to_the_next_and_is_soon_passed_over():
    refused = UpstreamRefused(
        "logprobs is not supported", http_status=400, status=400, type_="invalid_request_error", code=None,
        can_fall_back=False, blames_deployment=False,
    )  # fmt: skip
    pipeline, journal, _, backend = cascading(SURE, *[refused, whole("strong")] * 20, whole("strong"))
    for _ in range(20):
        assert b"strong" in await walk(pipeline, *request())
    assert [one[2] for one in told(journal)] == [Outcome.FAILED] * 20 + [Outcome.SUCCEEDED] * 20
    await walk(pipeline, *request())
    assert [call.deployment.name for call in backend.calls[-3:]] == ["small", "big", "big"]


async def test_a_verifier_is_asked_at_its_own_cost_and_what_it_accepts_is_shown():
    pipeline, journal, _, backend = cascading(VERIFIED, whole("cheap"), whole('{"score": 0.9}'))
    answer = await pipeline.answer(*request())
    assert b"cheap" in await answer.next()
    judged = ("judge", Purpose.JUDGE, Outcome.SUCCEEDED, None)
    assert told(journal) == [ACCEPTED, judged]
    cheap, judge = entries(journal)
    assert (judge.baseline_nusd, judge.route, judge.request_id) == (0, "auto", cheap.request_id)
    assert cheap.baseline_nusd > cheap.cost_nusd
    assert answer.cost_nusd == cheap.cost_nusd + judge.cost_nusd
    assert journal.order.index(("settle", judge.id)) < journal.order.index(("settle", cheap.id))
    assert journal.lasts == [cheap.id]
    sent = json.loads(backend.calls[1].body)
    graded = json.loads(sent["messages"][1]["content"])
    assert graded == {"task": "user\nsay hello now", "answer": "cheap"}
    assert (sent["model"], "stream" in sent) == ("real-judge", False)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (whole('{"score": 0.2}'), Gate.VERIFIER),
        (whole("It looks good to me."), Gate.VERIFIER_UNMEASURED),
        (UpstreamUnreachable("no connection"), Gate.VERIFIER_UNMEASURED),
    ],
)
async def test_what_a_verifier_does_not_accept_or_cannot_judge_goes_to_the_next(reply, why):
    pipeline, journal, _, _ = cascading(VERIFIED, whole("cheap"), reply, whole("strong"))
    assert b"strong" in await walk(pipeline, *request())
    first, judge, last = told(journal)
    assert (first, judge[:2], last) == (rejected(why), ("judge", Purpose.JUDGE), ESCALATED)
    assert sum(entry.baseline_nusd > 0 for entry in entries(journal)) == 1


async def test_answers_that_agree_are_accepted_and_all_of_them_are_charged():
    pipeline, journal, _, backend = cascading(AGREEMENT, whole("It is 7."), whole("7"), whole("it is 7"))
    shown = await walk(pipeline, *request())
    assert b"It is 7." in shown
    sample = ("small", Purpose.JUDGE, Outcome.SUCCEEDED, None)
    assert told(journal) == [ACCEPTED, sample, sample]
    assert [json.loads(call.body).get("temperature") for call in backend.calls] == [None, 0.7, 0.7]
    assert [entry.baseline_nusd > 0 for entry in entries(journal)] == [True, False, False]


async def test_samples_are_drawn_at_the_clients_own_temperature():
    pipeline, _, _, backend = cascading(AGREEMENT, whole("7"))
    await walk(pipeline, *request(temperature=1.3, seed=5))
    first, sample = (json.loads(call.body) for call in backend.calls)
    assert (first["temperature"], sample["temperature"]) == (1.3, 1.3)
    assert (first["seed"], "seed" in sample) == (5, False)


async def test_samples_of_what_is_asked_at_temperature_0_are_drawn_all_the_same():
    pipeline, _, _, backend = cascading(AGREEMENT, whole("7"))
    await walk(pipeline, *request(temperature=0))
    assert [json.loads(call.body)["temperature"] for call in backend.calls] == [0, 0.7]


async def test_answers_that_disagree_go_to_the_next():
    pipeline, journal, _, _ = cascading(AGREEMENT, whole("7"), whole("8"), whole("9"), whole("strong"))
    assert b"strong" in await walk(pipeline, *request())
    assert told(journal)[0] == rejected(Gate.AGREEMENT)
    assert told(journal)[-1] == ESCALATED
    assert len(journal.settled) == 4


async def test_all_gates_must_accept_and_the_free_ones_are_asked_first():
    both = Cascade(logprob_min=0.8, verifier="judge", score_min=0.7)
    pipeline, journal, _, _ = cascading(both, whole("cheap", DOUBTFUL), whole("strong"))
    await walk(pipeline, *request())
    assert told(journal) == [rejected(Gate.LOGPROB), ESCALATED]
    pipeline, journal, _, _ = cascading(both, whole("cheap", CERTAIN), whole('{"score": 0.1}'), whole("strong"))
    await walk(pipeline, *request())
    assert told(journal)[0] == rejected(Gate.VERIFIER)


async def test_what_is_judged_is_whole_before_and_its_judge_is_a_stage_of_routing_with_its_own_entry():
    count = itertools.count()
    pipeline, journal, _, _ = cascading(
        VERIFIED, whole("cheap"), whole('{"score": 0.9}'), clock=lambda: next(count) / 1000
    )
    parsed = replace(request()[0], chain=Chain(0.0))
    await walk(pipeline, parsed, ClientDialect(parsed), CALLER)
    answer, judge = entries(journal)
    calls = {one.entry: one for one in answer.stages if one.entry}
    assert (calls[judge.id].stage, calls[judge.id].name) == (StageName.ROUTING, "judge")
    assert calls[answer.id].started_ms + calls[answer.id].ms < calls[judge.id].started_ms
    assert judge.stages == ()
