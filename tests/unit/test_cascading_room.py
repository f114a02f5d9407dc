"""A cascade whose next step cannot be had, or is not worth it: who answers then."""

from __future__ import annotations

import json

import pytest
from cascading_parts import ACCEPTED, DOUBTFUL, ESCALATED, SURE, VERIFIED, cascading, entries, rejected, told, whole
from pipeline_parts import BIG, CALLER, SMALL, Catalog, request, walk

from gateway.decide import Moment, weigh
from gateway.domain import Conversation, Conversations, Outcome, Turn
from gateway.errors import BudgetExceeded, RateLimited, UpstreamUnreachable
from policies.breaker import ErrorFacts
from policies.gates import Gate


def no_room():
    return BudgetExceeded("no room", details={})


@pytest.mark.parametrize("error", [no_room(), RateLimited("too many", details={"limit": {}})])
async def test_without_room_for_the_next_step_the_client_gets_the_answer_that_there_is(error):
    pipeline, journal, _, _ = cascading(SURE, whole("cheap", DOUBTFUL))
    journal.refuses["big"] = error
    assert b"cheap" in await walk(pipeline, *request())
    assert told(journal) == [ACCEPTED]
    assert entries(journal)[0].baseline_nusd > 0
    assert journal.lasts == [entries(journal)[0].id]


async def test_where_all_further_upstreams_are_down_the_client_gets_the_answer_that_there_is():
    pipeline, journal, _, _ = cascading(SURE, whole("cheap", DOUBTFUL), UpstreamUnreachable("no connection"))
    answer = await pipeline.answer(*request())
    assert b"cheap" in await answer.next()
    assert (answer.deployment, answer.steps) == ("small", 2)
    assert told(journal)[0] == ACCEPTED
    assert {one[2] for one in told(journal)[1:]} == {Outcome.FAILED}


async def test_without_room_for_the_verifier_the_strong_one_is_asked_and_failing_that_the_answer_stands():
    pipeline, journal, _, _ = cascading(VERIFIED, whole("cheap"), whole("strong"))
    journal.refuses["judge"] = no_room()
    assert b"strong" in await walk(pipeline, *request())
    assert told(journal) == [rejected(Gate.VERIFIER_UNMEASURED), ESCALATED]
    pipeline, journal, _, _ = cascading(VERIFIED, whole("cheap"))
    journal.refuses |= {"judge": no_room(), "big": no_room()}
    assert b"cheap" in await walk(pipeline, *request())
    assert told(journal) == [ACCEPTED]


async def test_without_room_for_the_cheap_one_either_the_budget_refuses():
    pipeline, journal, _, _ = cascading(SURE, whole())
    journal.refuses |= {"small": no_room(), "big": no_room()}
    with pytest.raises(BudgetExceeded):
        await pipeline.answer(*request())
    assert journal.settled == {}


async def test_a_verifier_that_is_out_leaves_the_question_to_the_strong_one():
    pipeline, journal, _, _ = cascading(VERIFIED, whole("strong"))
    for _ in range(20):
        pipeline.health.failed("judge", 1.0, ErrorFacts(blames_deployment=True, retry_after_s=60.0))
    await walk(pipeline, *request())
    assert told(journal) == [ESCALATED]


async def test_a_deployment_that_is_asked_for_by_name_never_cascades():
    pipeline, journal, _, backend = cascading(SURE, whole("cheap"))
    answer = await pipeline.answer(*request("small"))
    assert (told(journal), answer.steps) == ([ACCEPTED], 0)
    assert "logprobs" not in json.loads(backend.calls[0].body)


async def test_deployments_whose_answers_are_not_accepted_are_soon_passed_over():
    pipeline, _journal, _, backend = cascading(SURE, whole("cheap", DOUBTFUL))
    for _ in range(20):
        await walk(pipeline, *request())
    before = len(backend.calls)
    answer = await pipeline.answer(*request())
    assert [call.deployment.name for call in backend.calls[before:]] == ["big"]
    assert answer.steps == 0


@pytest.mark.parametrize(("before", "steps"), [("big", []), ("small", ["small", "big"]), (None, ["small", "big"])])
def test_in_a_conversation_the_strongest_answers_on_and_answers_of_others_are_judged_each_time(before, steps):
    catalog = Catalog(SMALL, BIG, policy="cascade", cascade=SURE)
    conversation = None if before is None else Conversation(before)
    moment = Moment(turn=Turn("c", Conversations(is_sticky=True), conversation))
    decision = weigh(catalog, request()[0], CALLER, moment)
    assert [one.name for one in decision.candidates[: decision.steps]] == steps
    assert decision.candidates[0].name == (before or "small")


def test_a_cheap_one_that_answered_before_does_not_answer_unjudged_where_a_cascade_is_not_worth_it():
    catalog = Catalog(SMALL, BIG, policy="cascade", cascade=SURE)
    conversation = Turn("c", Conversations(is_sticky=True), Conversation("small"))
    moment = Moment(turn=conversation, accepted_share=lambda *_: 0.0)
    decision = weigh(catalog, request()[0], CALLER, moment)
    assert ([one.name for one in decision.candidates], decision.steps) == (["big", "small"], 0)
