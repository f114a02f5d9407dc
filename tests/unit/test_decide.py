"""Which deployments a request is offered, in which order, and why the others are out: conditions before policies."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from pipeline_parts import BIG, CALLER, SMALL, STREAM, WHOLE, Backend, Catalog, deployment, path, read, request

from gateway.decide import Moment, decide
from gateway.domain import Bar, Capability, Endpoint, Forecast, Placement, Prediction, Reason, Usage
from gateway.errors import BadRequest, NoDeployment, RateLimited
from policies.first_token import MIN_OBSERVATIONS

ASKED = request()[0]
IMAGE = replace(ASKED, needs=frozenset({Capability.VISION}))
LONG = replace(ASKED, body_bytes=4 * 1000 + 1)
TOO_LONG = replace(ASKED, body_bytes=4 * 2000 + 1)
BLIND = replace(SMALL, lacks=frozenset({Capability.VISION, Capability.FILES}))
SHORT = replace(SMALL, context_tokens_max=1000)
EU = replace(SMALL, region="eu", tags=frozenset({"own"}))
US = replace(BIG, region="us", tags=frozenset({"own", "gdpr"}))


def decided(*deployments, asked=ASKED, moment=None, **route):
    return decide(Catalog(*deployments, **route), asked, CALLER, moment or Moment())


def names(decision):
    return [one.name for one in decision.candidates]


def placed(*regions, tags=()):
    return Placement(frozenset(regions), frozenset(tags))


@pytest.mark.parametrize(
    ("deployment", "asked", "route", "bar", "words"),
    [
        (BLIND, IMAGE, {}, Bar.CAPABILITY, "capability: sees no images"),
        (BLIND, replace(IMAGE, needs=frozenset(Capability)), {}, Bar.CAPABILITY, "reads no files, sees no images"),
        (SHORT, LONG, {}, Bar.CONTEXT, "context: takes 1,000 tokens, and these are about 1,001"),
        (EU, ASKED, {"placement": placed("us", "asia")}, Bar.REGION, "region: eu, where the route wants asia or us"),
        (SMALL, ASKED, {"placement": placed("us")}, Bar.REGION, "region: not stated, where the route wants us"),
        (EU, replace(ASKED, placement=placed("us")), {}, Bar.REGION, "region: eu, where the request wants us"),
        (EU, ASKED, {"placement": placed(tags=["gdpr", "own"])}, Bar.TAG, "tag: without gdpr, which the route wants"),
        (
            EU,
            replace(ASKED, placement=placed(tags=["gdpr"])),
            {},
            Bar.TAG,
            "tag: without gdpr, which the request wants",
        ),
    ],
)
def test_what_does_not_meet_a_condition_is_out_with_its_reason(deployment, asked, route, bar, words):
    allowing = replace(BIG, region="us", tags=frozenset({"gdpr", "own"}))
    decision = decided(deployment, allowing, asked=asked, **route)
    assert names(decision) == ["big"]
    assert decision.rejected["small"].bar is bar
    assert words in decision.rejected["small"].text
    assert [one.name for one in decision.rungs] == ["big"]  # no budget downgrades to it either


@pytest.mark.parametrize(
    ("deployment", "asked", "route"),
    [
        (SMALL, IMAGE, {}),  # nobody knows that it sees none
        (BLIND, replace(ASKED, needs=frozenset({Capability.TOOLS})), {}),
        (SHORT, replace(LONG, body_bytes=4 * 1000), {}),
        (SHORT, replace(LONG, media_bytes=1), {}),  # of which one byte is of an image
        (SHORT, replace(LONG, endpoint=Endpoint.COMPLETIONS), {}),  # may be many prompts
        (SHORT, replace(LONG, foreseen=Usage()), {}),  # is only counted
        (EU, ASKED, {"placement": placed("us", "eu", tags=["own"])}),
        (EU, replace(ASKED, placement=placed("eu", tags=["own"])), {"placement": placed("us", "eu")}),
    ],
)
def test_what_meets_all_conditions_is_offered(deployment, asked, route):
    assert names(decided(deployment, asked=asked, **route)) == ["small"]


@pytest.mark.parametrize("asked", [IMAGE, LONG, replace(ASKED, placement=placed("us", tags=["gdpr"]))])
def test_a_deployment_that_is_asked_for_by_name_is_not_barred_by_conditions(asked):
    barred = replace(BLIND, context_tokens_max=1000, region="eu")
    decision = decided(barred, asked=replace(asked, model="small"), placement=placed("us"))
    assert (names(decision), decision.rejected) == (["small"], {})


def test_a_client_narrows_what_the_route_allows_and_never_widens_it():
    wish = replace(ASKED, placement=placed("us"))
    assert names(decided(EU, US, asked=wish, placement=placed("eu", "us"))) == ["big"]
    with pytest.raises(BadRequest) as caught:
        decided(EU, US, asked=wish, placement=placed("eu"))
    assert caught.value.code == "unsupported_model"
    assert "small: region: eu, where the request wants us; big: region: us, where the route wants eu" in str(
        caught.value
    )


def test_a_prompt_that_fits_nowhere_is_refused_in_the_words_that_clients_look_for():
    with pytest.raises(BadRequest) as caught:
        decided(SHORT, replace(BIG, context_tokens_max=500), asked=TOO_LONG)
    assert caught.value.code == "context_length_exceeded"
    assert "prompt is too long" in str(caught.value)
    assert "maximum context length" in str(caught.value)
    assert "small: context: takes 1,000 tokens" in str(caught.value)
    assert "big: context: takes 500 tokens" in str(caught.value)


@pytest.mark.parametrize("tokens", [1001, 2000])
def test_a_prompt_that_looks_too_long_for_all_is_tried_by_the_roomiest_while_the_guess_may_be_off(tokens):
    asked = replace(ASKED, body_bytes=4 * tokens)
    tight = replace(BIG, context_tokens_max=999)
    found = decided(tight, SHORT, asked=asked)
    assert (names(found), list(found.rejected)) == (["small"], ["big"])
    blind = replace(BIG, lacks=BLIND.lacks)
    assert names(decided(SHORT, blind, asked=replace(IMAGE, body_bytes=asked.body_bytes))) == ["small"]


def test_a_prompt_that_looks_too_long_waits_for_whom_it_fits_and_for_whom_it_may_fit():
    away = Reason(Bar.CIRCUIT, "circuit open", 7.0)
    for moment in (Moment(why_unavailable=lambda name: away if name == "big" else None),
                   Moment(why_unavailable=lambda _: away)):  # fmt: skip
        with pytest.raises(NoDeployment):
            decided(SHORT, BIG, asked=LONG, moment=moment)
    with pytest.raises(NoDeployment):
        decided(SHORT, asked=LONG, moment=Moment(why_unavailable=lambda _: away))


def test_a_prompt_that_fits_one_which_cannot_see_is_refused_as_unsupported():
    with pytest.raises(BadRequest) as caught:
        decided(SHORT, replace(BIG, lacks=BLIND.lacks), asked=replace(IMAGE, body_bytes=TOO_LONG.body_bytes))
    assert caught.value.code == "unsupported_model"
    assert "big: capability: sees no images" in str(caught.value)


def test_what_could_serve_later_is_no_fault_of_the_request():
    away = Reason(Bar.CIRCUIT, "circuit open", 7.0)
    with pytest.raises(NoDeployment, match=r"small: capability: sees no images; big: circuit open"):
        decided(BLIND, BIG, asked=IMAGE, moment=Moment(why_unavailable=lambda _: away))


def measured(**p95_s):
    return Moment(first_token_p95_s=p95_s.get)


@pytest.mark.parametrize(
    ("p95_s", "order"),
    [
        ({}, ["a", "b", "c"]),
        ({"a": 2.0}, ["a", "b", "c"]),  # just the target
        ({"a": 2.1}, ["b", "c", "a"]),
        ({"a": 9.0, "b": 3.0}, ["c", "b", "a"]),
        ({"a": 9.0, "b": 3.0, "c": 5.0}, ["b", "c", "a"]),  # none is fast enough: the slowest last
    ],
)
def test_who_is_slower_than_the_target_serves_only_where_nobody_else_does(p95_s, order):
    three = [deployment(name, 1, 1) for name in "abc"]
    decision = decided(*three, moment=measured(**p95_s), first_token_p95_s_max=2.0)
    assert names(decision) == order
    assert {name: reason.bar for name, reason in decision.rejected.items()} == {
        name: Bar.LATENCY for name, seconds in p95_s.items() if seconds > 2.0
    }


def test_without_a_target_nobody_is_slow():
    assert names(decided(SMALL, BIG, moment=measured(small=100.0))) == ["small", "big"]


def test_the_reason_tells_the_measure_and_the_target():
    decision = decided(SMALL, BIG, moment=measured(small=2.3456), first_token_p95_s_max=2.0)
    assert decision.rejected["small"].text == "latency: p95 to the first token is 2.35 s, above 2 s"


async def test_one_draw_for_each_request_shares_a_weighted_route_out():
    class Scripted(Random):
        def __init__(self, *draws):
            super().__init__()
            self.draws = list(draws)

        def random(self):
            return self.draws.pop(0)

    backend = Backend(WHOLE)
    route = {"policy": "weighted", "weights": {"small": 3, "big": 1}}
    pipeline, _, _ = path(backend, route=route, random=Scripted(0.74, 0.75, 0.0))
    for _ in range(3):
        await read(await pipeline.answer(*request()))
    assert [call.deployment.name for call in backend.calls] == ["small", "big", "small"]


class Ticking:
    """A clock that every look at it moves on."""

    now_s = 0.0

    def __call__(self):
        self.now_s += 0.5
        return self.now_s


async def test_streams_of_a_route_measure_the_time_to_their_first_token():
    clock = Ticking()
    pipeline, _, _ = path(Backend(STREAM), clock=clock)
    for _ in range(MIN_OBSERVATIONS):
        await read(await pipeline.answer(*request(stream=True)))
    assert pipeline.first_tokens.p95_s("small", clock.now_s) >= 0.5
    assert pipeline.first_tokens.p95_s("big", clock.now_s) is None


@pytest.mark.parametrize(("model", "stream"), [("auto", False), ("small", True)], ids=["whole", "named"])
async def test_neither_whole_answers_nor_named_deployments_measure(model, stream):
    clock = Ticking()
    pipeline, _, _ = path(Backend(STREAM if stream else WHOLE), clock=clock)
    for _ in range(MIN_OBSERVATIONS):
        await read(await pipeline.answer(*request(model, stream=stream)))
    assert pipeline.first_tokens.p95_s("small", clock.now_s) is None


async def test_a_slow_deployment_still_answers_when_the_fast_one_is_at_its_limit():
    class Limited:
        async def acquire(self, one, *_):
            return one.name != "big"

        async def release(self, *_):
            pass

    clock, backend = Ticking(), Backend(STREAM)
    pipeline, _, _ = path(backend, route={"first_token_p95_s_max": 0.1}, admission=Limited(), clock=clock)
    for _ in range(MIN_OBSERVATIONS + 1):
        await read(await pipeline.answer(*request(stream=True)))
    assert {call.deployment.name for call in backend.calls} == {"small"}


async def test_a_route_all_of_whose_deployments_are_at_their_limits_is_a_429_whatever_else_is_said_of_them():
    class Exhausted:
        async def acquire(self, *_):
            return False

        async def release(self, *_):
            pass

    pipeline, _, _ = path(Backend(WHOLE), admission=Exhausted(), route={"first_token_p95_s_max": 0.1})
    for _ in range(MIN_OBSERVATIONS):
        pipeline.first_tokens.observed("small", 5.0, 1.0)
    with pytest.raises(RateLimited):
        await pipeline.answer(*request())


def test_where_all_are_slow_no_policy_is_asked_and_the_fastest_comes_first():
    told = Forecast("r", {"small": Prediction(quality=0.5), "big": Prediction(quality=0.9)}, 0.02)
    moment = Moment(first_token_p95_s={"small": 3.0, "big": 2.0}.get, forecast=lambda *_: told)
    slow = {"policy": "cheapest_adequate", "first_token_p95_s_max": 1.0}
    assert names(decided(SMALL, BIG, moment=moment, **slow)) == ["big", "small"]
