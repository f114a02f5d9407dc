"""A recorded decision run again: under the same policy the same first, under another whom its law says."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import CALLER, Catalog, deployment, request
from router_parts import a_track, prompts_of, word_table

from gateway.decide import POLICIES, STEPS, Moment, weigh
from gateway.decision_records import record_of
from gateway.domain import (
    Bar,
    CachedPrefix,
    Cascade,
    Conversation,
    Conversations,
    DecisionRecord,
    Forecast,
    Placement,
    Prediction,
    Reason,
    Route,
    Turn,
)
from gateway.replay.choosing import IN_STEPS, NO_FEATURES, OLD, Chooser, first_of
from gateway.replay.plan import Plan
from gateway.router.training import train
from policies.routing.forecast import forecast

CREATED_AT = "2026-11-03T12:00:00.000000Z"
NAMES = "abcd"
DEPLOYMENTS = [deployment(name, price, 2 * price) for price, name in enumerate(NAMES, 1)]
ASKED, STREAMED = request()[0], request(stream=True)[0]
BELOW_ONE = math.nextafter(1.0, 0.0)
quality = st.floats(0, 1).map(lambda value: round(value, 4))
conversations = st.builds(
    Conversation,
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(NAMES), st.builds(CachedPrefix, st.integers(1, 50), st.just(2e9))),
    st.integers(0, 10**6),
    st.integers(0, 10**4),
)


def recorded(asked=ASKED, *, out=(), **moment):
    """As the path records it and Postgres keeps it; ``route`` and what is known at the moment by name."""
    route = moment.pop("route", {})
    measured = moment.pop("measured", {})
    why = Reason(Bar.CIRCUIT, "circuit: open")
    known = Moment(why_unavailable=lambda name: why if name in out else None, first_token_p95_s=measured.get, **moment)
    decision = weigh(Catalog(*DEPLOYMENTS, **route), asked, CALLER, known)
    record = record_of(asked, CALLER, decision, None, CREATED_AT)
    return msgspec.json.decode(msgspec.json.encode(record), type=DecisionRecord)


def plan(**fields):
    return Plan(Route("auto", fields.pop("deployments", tuple(NAMES)), **fields))


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - set(STEPS)))
@given(
    draw=st.floats(0, BELOW_ONE),
    weights=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 1.0, 3.0, 1e-9])),
    measured=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 3)),
    target=st.none() | st.floats(0.1, 2),
    out=st.sets(st.sampled_from(NAMES)),
    is_stream=st.booleans(),
    predicted=st.lists(st.tuples(quality, st.integers(0, 10**9)), min_size=4, max_size=4),
    cost_weight=st.none() | st.floats(0, 1e-6),
    strongest=st.none() | st.sampled_from(NAMES),
    wished=st.sampled_from([{}, {"quality_loss_max": 0.02}, {"quality_loss_max": 0.3}, {"cost_max_nusd": 2 * 10**8}]),
    cap=st.sampled_from([{}, {"cost_max_nusd": 4 * 10**8}, {"cost_max_nusd": 4 * 10**8, "is_best_wanted": True}]),
    before=st.none() | conversations,
    switching_share_max=st.sampled_from([0.0, 0.5, 10.0]),
)
def test_the_same_policy_puts_the_same_one_first_and_with_the_same_probability(
    policy, draw, weights, measured, target, out, is_stream, predicted, cost_weight, strongest, wished, cap, before,
    switching_share_max,
):  # fmt: skip
    rules = Conversations(is_sticky=True, switching_share_max=switching_share_max)
    route = {"policy": policy, "weights": weights, "first_token_p95_s_max": target, "conversations": rules, **cap}
    predictions = {
        name: Prediction(quality=good, expected_cost_nusd=nusd)
        for name, (good, nusd) in zip(NAMES, predicted, strict=True)
    }

    def told(of, _):
        loss_max = of.quality_loss_max if strongest is None else 0.0
        return Forecast("r", predictions, loss_max, cost_weight, strongest, quality_loss_target=of.quality_loss_max)

    record = recorded(
        replace(STREAMED if is_stream else ASKED, **wished),
        route=route,
        turn=Turn("c", rules, before),
        draw=draw,
        measured=measured,
        out=out,
        forecast=told,
    )
    (choice,) = Chooser(plan(**route)).choices([record])
    assert (choice.first, choice.kept) == (first_of(record), None)
    assert choice.weight == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("route", "first", "weight"),
    [
        ({"policy": "ordered", "deployments": ("c", "a", "b")}, "c", 0.0),
        ({"policy": "weighted", "weights": {"a": 1, "b": 3, "c": 0, "d": 0}}, "b", 0.25 / 0.25),
        ({"policy": "weighted", "weights": {"a": 3, "b": 1, "c": 0, "d": 0}}, "a", 0.75 / 0.25),
        ({"policy": "lowest_latency"}, "d", 0.0),
        ({"policy": "ordered", "deployments": ("x", "a")}, "a", 1 / 0.25),
    ],
)
def test_another_policy_puts_first_whom_its_law_says(route, first, weight):
    record = recorded(
        draw=0.5 - 1e-9, route={"policy": "weighted", "weights": {"b": 2, "c": 0}}, measured={"d": 1.0, "a": 2.0}
    )
    assert (first_of(record), record.propensity) == ("b", 0.5)
    record = msgspec.structs.replace(
        record,
        propensity=0.25,
        draw=0.5,
        candidates=tuple(
            msgspec.structs.replace(one, place={"a": 1}.get(one.deployment, 2)) for one in record.candidates
        ),
    )
    chooser = Chooser(plan(**route))
    (choice,) = chooser.choices([record])
    assert (choice.first, choice.weight) == (first, pytest.approx(weight))
    assert dict(chooser.unknown) == ({"x": 1} if "x" in route.get("deployments", ()) else {})


def test_who_was_out_is_out_now_and_where_all_were_nobody_serves():
    record = recorded(out={"a", "b"})
    assert Chooser(plan()).choices([record])[0].first == "c"
    assert Chooser(plan(deployments=("a", "b"))).choices([record])[0].first is None


def test_a_cascade_is_kept_as_it_was_and_another_policy_is_tried_on_one():
    record = msgspec.structs.replace(recorded(), policy="cascade")
    (kept,) = Chooser(plan(policy="cascade", cascade=Cascade())).choices([record])
    assert (kept.first, kept.is_changed, kept.weight, kept.kept) == ("a", False, 1.0, IN_STEPS)
    (alone,) = Chooser(plan()).choices([record])
    assert (alone.first, alone.is_changed, alone.weight, alone.kept) == ("a", True, 0.0, None)


STICKY = {"conversations": Conversations(is_sticky=True)}


def turns(*before, **route):
    """Records of a conversation, each with what was remembered of the turn before it."""
    states = [None if name is None else Conversation(name, {}, 100) for name in before]
    return [recorded(route={**STICKY, **route}, turn=Turn("c", STICKY["conversations"], state)) for state in states]


def test_who_would_have_answered_goes_on_answering():
    records = turns(None, "a", "a")
    assert [one.first for one in Chooser(plan(deployments=("b", "a"), **STICKY)).choices(records)] == ["b", "b", "b"]
    assert [first_of(one) for one in records] == ["a", "a", "a"]


def test_a_conversation_is_not_kept_to_where_the_new_route_does_not_want_that():
    records = turns("b", "b")
    assert [one.is_kept for one in records] == [True, True]
    assert [one.first for one in Chooser(plan()).choices(records)] == ["a", "a"]


def test_a_lower_cap_of_the_new_route_bars_what_is_expected_to_cost_more():
    record = recorded(route={"cost_max_nusd": 10**9})
    capped = plan(deployments=("d", "c", "b", "a"), cost_max_nusd=700_000)
    assert Chooser(capped).choices([record])[0].first == "a"
    as_before = plan(deployments=("d", "c", "b", "a"), cost_max_nusd=10**9)
    assert Chooser(as_before).choices([record])[0].first == "d"


def test_where_the_new_route_wants_its_deployments_the_catalog_says_where_they_are():
    known = {one.name: replace(one, region="eu" if one.name in "bd" else None) for one in DEPLOYMENTS}
    wanted = Plan(Route("auto", tuple(NAMES), placement=Placement(frozenset({"eu"}))), known=known)
    assert Chooser(wanted).choices([recorded()])[0].first == "b"


def test_what_was_recorded_too_early_or_without_features_is_kept_as_it_was():
    record = recorded()
    (kept,) = Chooser(plan(policy="cheapest_adequate")).choices([record])
    assert (kept.first, kept.weight, kept.kept) == ("a", 1.0, NO_FEATURES)
    (kept,) = Chooser(plan(deployments=("b",))).choices([msgspec.structs.replace(record, draw=None)])
    assert (kept.first, kept.weight, kept.kept) == ("a", 1.0, OLD)


@pytest.fixture(scope="module")
def router():
    words = word_table()
    return train([a_track(800, 0, words)], words)


POOL = [deployment("large", 10, 20), deployment("small", 1, 2)]


def routed(router, route, texts, **asked):
    """Records of decisions of a router."""
    catalog = Catalog(*POOL, policy="cheapest_adequate", quality_loss_max=0.1)
    catalog.auto = replace(catalog.auto, name=route)
    catalog.route = lambda _: catalog.auto
    found = []
    for text in texts:
        question = replace(ASKED, model=route, **asked)

        def told(of, candidates, text=text):
            return forecast(
                router,
                of,
                candidates,
                text,
                input_tokens=20,
                output_tokens_max=None,
                quality_loss_max=of.quality_loss_max,
                cached_tokens={},
            )

        decision = weigh(catalog, question, CALLER, Moment(forecast=told))
        record = record_of(question, CALLER, decision, None, CREATED_AT)
        found.append(msgspec.json.decode(msgspec.json.encode(record), type=DecisionRecord))
    return found


@pytest.mark.parametrize("route", ["world", "elsewhere"])
def test_a_router_that_is_named_and_the_same_decides_as_it_did(router, route):
    records = routed(router, route, prompts_of(60, seed=3)[0])
    made = Route(route, ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.1)
    as_recorded = Chooser(Plan(made)).choices(records)
    anew = Chooser(Plan(made, router, is_router_named=True)).choices(records)
    assert [one.first for one in as_recorded] == [first_of(one) for one in records]
    assert np.mean([one.first == other.first for one, other in zip(as_recorded, anew, strict=True)]) > 0.95


def test_more_loss_is_cheaper_and_what_a_client_asked_for_stays(router):
    texts = prompts_of(80, seed=4)[0]

    def large(records, loss_max):
        made = Route("world", ("large", "small"), policy="cheapest_adequate", quality_loss_max=loss_max)
        return sum(one.first == "large" for one in Chooser(Plan(made, router)).choices(records))

    records = routed(router, "world", texts)
    counts = [large(records, loss) for loss in (0.0, 0.05, 0.1, 0.2)]
    assert all(one >= other for one, other in pairwise(counts))
    assert counts[0] == len(texts) > counts[-1]
    best = routed(router, "world", texts, quality_loss_max=0.0)
    assert large(best, 0.2) == len(texts)


def test_of_a_route_that_nobody_calibrated_another_loss_needs_no_router(router):
    records = routed(router, "elsewhere", prompts_of(20, seed=5)[0])
    made = Route("elsewhere", ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.9)
    found = Chooser(Plan(made)).choices(records)
    assert {one.kept for one in found} == {None}
    small = [sum(first == "small" for first in firsts) for firsts in (map(first_of, records), (c.first for c in found))]
    assert small[0] < small[1]


def test_features_of_another_router_are_not_asked_about(router):
    records = [msgspec.structs.replace(one, features=b"12") for one in routed(router, "world", ["Why?"])]
    made = Route("world", ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.2)
    (kept,) = Chooser(Plan(made, router)).choices(records)
    assert kept.kept == NO_FEATURES
