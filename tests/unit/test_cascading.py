"""The steps of a cascade on the path: who is asked, what the client sees, and that each call has its one entry."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_parts import (
    ANSWER,
    BIG,
    CALLER,
    SMALL,
    Backend,
    Catalog,
    Rules,
    deployment,
    event,
    path,
    request,
    walk,
)

from gateway.api.dialects import ClientDialect
from gateway.decide import Moment, weigh
from gateway.domain import (
    Cascade,
    Chain,
    Claims,
    Conversation,
    Conversations,
    Limit,
    LimitClaim,
    Outcome,
    Purpose,
    Scope,
    StageName,
    Turn,
)
from gateway.errors import (
    BudgetExceeded,
    RateLimited,
    UpstreamBroken,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamUnreachable,
)
from policies.breaker import ErrorFacts
from policies.gates import Gate

SURE = Cascade(logprob_min=0.8)
AGREEMENT = Cascade(samples=3, share_min=0.67)
JUDGE = deployment("judge", 2, 2)
VERIFIED = Cascade(verifier="judge", score_min=0.7)
LIMITS = Claims(limits=(LimitClaim(Limit("limit_1", Scope("org_1"), requests_per_minute=5), None, "limit_1"),))
CERTAIN, DOUBTFUL = [-0.01, -0.02], [-0.5, -2.0]


def whole(text="hello", logprobs=None, **choice):
    told = {} if logprobs is None else {"logprobs": {"content": [{"token": "t", "logprob": one} for one in logprobs]}}
    choices = [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}, **told, **choice}]
    return [json.dumps({**ANSWER, "choices": choices}).encode()]


def stream(text="hello", logprobs=()):
    chunks = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": ANSWER["usage"]},
    ]
    if logprobs:
        chunks[0]["choices"][0]["logprobs"] = {"content": [{"token": "t", "logprob": one} for one in logprobs]}
    return [*map(event, chunks), b"data: [DONE]\n\n"]


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


class WithJudge(Catalog):
    """The route has two deployments; the verifier is none of them."""

    def __init__(self, *deployments, **route):
        super().__init__(*deployments, **route)
        self.deployments["judge"] = JUDGE


@pytest.fixture(autouse=True)
def _with_judge(monkeypatch):
    monkeypatch.setattr("pipeline_parts.Catalog", WithJudge)


def cascading(cascade, *scripts, **settings):
    backend = Backend(*scripts)
    pipeline, journal, tasks = path(backend, route={"policy": "cascade", "cascade": cascade}, **settings)
    return pipeline, journal, tasks, backend


def entries(journal):
    return sorted(journal.settled.values(), key=lambda entry: entry.attempt)


def told(journal):
    return [(one.deployment, one.purpose, one.status, one.error_code) for one in entries(journal)]


ACCEPTED = ("small", Purpose.ANSWER, Outcome.SUCCEEDED, None)
ESCALATED = ("big", Purpose.ANSWER, Outcome.SUCCEEDED, None)


def rejected(why):
    return ("small", Purpose.ANSWER, Outcome.REJECTED, why)


async def test_a_cheap_answer_that_is_accepted_is_the_only_one():
    pipeline, journal, _, backend = cascading(SURE, whole("cheap", CERTAIN))
    shown = await walk(pipeline, *request())
    assert json.loads(shown)["choices"][0]["message"]["content"] == "cheap"
    assert told(journal) == [ACCEPTED]
    assert [call.deployment.name for call in backend.calls] == ["small"]


async def test_probabilities_that_only_the_gate_asked_for_are_not_shown():
    for is_stream, answer in ((False, whole("cheap", CERTAIN)), (True, stream("cheap", CERTAIN))):
        pipeline, _, _, backend = cascading(SURE, answer)
        shown = await walk(pipeline, *request(stream=is_stream))
        assert json.loads(backend.calls[0].body)["logprobs"] is True
        assert b"cheap" in shown
        assert b'"logprobs":{' not in shown
        assert b"-0.01" not in shown


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


async def test_a_stream_shows_nothing_of_an_answer_that_is_rejected_and_the_last_step_as_it_comes():
    pipeline, journal, _, _ = cascading(SURE, stream("cheap", DOUBTFUL), stream("strong"))
    answer = await pipeline.answer(*request(stream=True, stream_options={"include_usage": True}))
    blocks = []
    while (block := await answer.next()) is not None:
        blocks.append(block)
    shown = b"".join(blocks)
    assert b"cheap" not in shown
    assert b"strong" in blocks[0]
    assert len(blocks) > 2
    assert told(journal) == [rejected(Gate.LOGPROB), ESCALATED]
    cost = sum(entry.cost_nusd for entry in entries(journal))
    assert f'"cost":{cost / 1e9:.9f}'.rstrip("0").encode() in shown.replace(b" ", b"")


async def test_a_held_stream_is_shown_whole_once_it_is_accepted():
    pipeline, journal, _, _ = cascading(SURE, stream("cheap", CERTAIN))
    shown = await walk(pipeline, *request(stream=True))
    assert b"cheap" in shown
    assert shown.endswith(b"data: [DONE]\n\n")
    assert told(journal) == [ACCEPTED]


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


async def test_a_cheap_upstream_that_breaks_off_gives_way_to_the_next_since_nothing_was_shown():
    cut = [stream("cheap", CERTAIN)[0], UpstreamInterrupted("cut")]
    pipeline, journal, _, _ = cascading(SURE, cut, stream("strong"))
    shown = await walk(pipeline, *request(stream=True))
    assert b"strong" in shown
    assert b"cheap" not in shown
    assert [one[2] for one in told(journal)] == [Outcome.FAILED, Outcome.SUCCEEDED]


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


async def test_a_verifier_judges_streams_as_well():
    pipeline, journal, _, backend = cascading(VERIFIED, stream("cheap"), whole('{"score": 0.9}'))
    assert b"cheap" in await walk(pipeline, *request(stream=True))
    assert [call.is_stream for call in backend.calls] == [True, False]
    assert told(journal)[0] == ACCEPTED


async def test_answers_that_agree_are_accepted_and_all_of_them_are_charged():
    pipeline, journal, _, backend = cascading(AGREEMENT, whole("It is 7."), whole("7"), whole("it is 7"))
    shown = await walk(pipeline, *request())
    assert b"It is 7." in shown
    sample = ("small", Purpose.JUDGE, Outcome.SUCCEEDED, None)
    assert told(journal) == [ACCEPTED, sample, sample]
    assert [json.loads(call.body).get("temperature") for call in backend.calls] == [None, 0.7, 0.7]
    assert [entry.baseline_nusd > 0 for entry in entries(journal)] == [True, False, False]


async def test_samples_of_what_is_asked_at_temperature_0_are_drawn_all_the_same():
    pipeline, _, _, backend = cascading(AGREEMENT, whole("7"))
    await walk(pipeline, *request(temperature=0))
    assert [json.loads(call.body)["temperature"] for call in backend.calls] == [0, 0.7]


async def test_samples_are_drawn_at_the_clients_own_temperature():
    pipeline, _, _, backend = cascading(AGREEMENT, whole("7"))
    await walk(pipeline, *request(temperature=1.3, seed=5))
    first, sample = (json.loads(call.body) for call in backend.calls)
    assert (first["temperature"], sample["temperature"]) == (1.3, 1.3)
    assert (first["seed"], "seed" in sample) == (5, False)


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


# What happens where the next step cannot be had.


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


@given(
    replies=st.lists(st.sampled_from(sorted(REPLIES)), min_size=1, max_size=12),
    gates=st.sampled_from([SURE, VERIFIED, AGREEMENT, replace(SURE, verifier="judge", score_min=0.7, samples=2)]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
