"""The routing policies: each gives every candidate once, in the order that its law says for the request's draw."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import deployment, request

from gateway.decide import POLICIES, PROPENSITIES
from gateway.domain import Forecast, Prediction, Route
from policies import lowest_latency, weighted
from policies.lowest_latency import EXPLORED_SHARE
from policies.view import View

NAMES = "abcdef"
CANDIDATES = {name: deployment(name, 1, 1) for name in NAMES}
ASKED, STREAMED = request()[0], request(stream=True)[0]
BELOW_ONE = math.nextafter(1.0, 0.0)


def order(policy, names, draw=0.0, weights=None, p95_s=None, asked=STREAMED):
    view = View(Route("auto", tuple(NAMES), weights=weights or {}), draw, p95_s or {})
    return "".join(one.name for one in policy([CANDIDATES[name] for name in names], asked, view))


@pytest.mark.parametrize("policy", POLICIES)
@given(
    names=st.sets(st.sampled_from(NAMES)).map(sorted),
    draw=st.floats(0, BELOW_ONE),
    weights=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 1.0, 1e-9, 1e6]) | st.floats(0, 1e6)),
    p95_s=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 100)),
    is_stream=st.booleans(),
)
def test_every_policy_gives_every_candidate_exactly_once(policy, names, draw, weights, p95_s, is_stream):
    found = order(POLICIES[policy], names, draw, weights, p95_s, STREAMED if is_stream else ASKED)
    assert sorted(found) == names


def test_ordered_keeps_the_order_of_the_catalog():
    assert order(POLICIES["ordered"], "cab", 0.7, {"c": 0.0}, {"a": 0.1}) == "cab"


def share_of(drawn, weights):
    """How often the law gives that order: each is drawn from what is left, in proportion."""
    share, left = Fraction(1), sum(weights.values())
    for name in drawn:
        share *= Fraction(weights[name], left)
        left -= weights[name]
    return share


@pytest.mark.parametrize(
    "weights", [{"a": 3, "b": 1}, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 4, "c": 2}, {"a": 1, "b": 2, "c": 3, "d": 4}]
)
def test_weighted_gives_each_order_exactly_as_often_as_drawing_without_replacement(weights):
    # Orders change at multiples of their shares, so that as many draws in the middle between integrate them exactly.
    orders = ["".join(drawn) for drawn in permutations(weights)]
    draws = math.lcm(*(share_of(drawn, weights).denominator for drawn in orders))
    found = Counter(
        order(weighted.order, weights, Fraction(2 * number + 1, 2 * draws), weights) for number in range(draws)
    )
    assert {drawn: Fraction(found[drawn], draws) for drawn in orders} == {
        drawn: share_of(drawn, weights) for drawn in orders
    }


@pytest.mark.parametrize(
    ("names", "weights", "draw", "expected"),
    [
        ("abc", {"a": 0, "b": 0}, 0.99, "cab"),  # no weight: a fallback, however the draw falls
        ("ab", {"c": 5, "a": 0, "b": 0}, 0.5, "ab"),  # those with weights are out
        ("ab", {"a": 3}, 0.74, "ab"),  # not stated: 1
        ("ab", {"a": 3}, 0.76, "ba"),
        ("b", {"a": 3}, 0.1, "b"),
        ("", {"a": 3}, 0.1, ""),
        ("ab", {"a": 0.3, "b": 0.1}, BELOW_ONE, "ba"),
    ],
)
def test_weighted_draws_from_what_may_serve(names, weights, draw, expected):
    assert order(weighted.order, names, draw, weights) == expected


@pytest.mark.parametrize(
    ("p95_s", "draw", "expected"),
    [
        ({}, 0.0, "abc"),  # nothing is measured: the catalog's order
        ({"a": 2.0, "b": 1.0, "c": 3.0}, 0.0, "bac"),
        ({"a": 2.0, "b": 1.0, "c": 1.0}, 0.0, "bca"),  # equals in the catalog's order
        ({"b": 1.0, "c": 2.0}, 0.0, "abc"),  # now and then one that is not measured comes first
        ({"b": 1.0, "c": 2.0}, EXPLORED_SHARE, "bca"),  # else last
        ({"c": 1.0}, 0.0, "acb"),
        ({"c": 1.0}, 0.9 * EXPLORED_SHARE, "bca"),
    ],
)
def test_lowest_latency_asks_the_fastest_and_now_and_then_one_that_is_not_known(p95_s, draw, expected):
    assert order(lowest_latency.order, "abc", draw, p95_s=p95_s) == expected


@given(unmeasured=st.integers(1, 5), draw=st.floats(0, BELOW_ONE))
def test_lowest_latency_explores_with_its_share_of_the_draws_and_no_more(unmeasured, draw):
    measured = NAMES[unmeasured:]
    found = order(lowest_latency.order, NAMES, draw, p95_s=dict.fromkeys(measured, 1.0))
    assert (found[0] not in measured) == (draw < EXPLORED_SHARE)


@pytest.mark.parametrize("unmeasured", [1, 2, 3, 5])
def test_lowest_latency_explores_all_that_are_not_known_alike(unmeasured):
    p95_s = dict.fromkeys(NAMES[unmeasured:], 1.0)
    draws = [EXPLORED_SHARE * (number + 0.5) / (100 * unmeasured) for number in range(100 * unmeasured)]
    first = Counter(order(lowest_latency.order, NAMES, draw, p95_s=p95_s)[0] for draw in draws)
    assert first == dict.fromkeys(NAMES[:unmeasured], 100)


def test_lowest_latency_spends_no_request_on_exploring_that_cannot_measure():
    assert order(lowest_latency.order, "ab", 0.0, p95_s={"b": 1.0}, asked=ASKED) == "ba"


@given(
    weights=st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, 3.0]), min_size=3, max_size=3),
    measured=st.sets(st.sampled_from("abc")),
)
def test_the_stated_propensity_is_how_often_the_draw_puts_it_first(weights, measured):
    p95_s = {name: float(place) for place, name in enumerate(sorted(measured), 1)}
    draws = [(step + 0.5) / 500 for step in range(500)]
    for policy, propensity in PROPENSITIES.items():
        firsts = Counter(order(POLICIES[policy], "abc", draw, weights, p95_s)[0] for draw in draws)
        view = View(Route("auto", tuple(NAMES), weights=weights), 0.0, p95_s)
        for name in "abc":
            stated = propensity([CANDIDATES[one] for one in "abc"], STREAMED, view, CANDIDATES[name])
            assert abs(stated - firsts[name] / 500) < 0.01


def foreseen(order_of, *, cost_weight=None, loss_max=0.1):
    """The order of deployments with these qualities and costs."""
    predictions = {name: Prediction(quality=q, expected_cost_nusd=c) for name, (q, c) in order_of.items()}
    view = View(Route("auto", tuple(NAMES)), forecast=Forecast("v", predictions, loss_max, cost_weight))
    return "".join(one.name for one in POLICIES["cheapest_adequate"]([CANDIDATES[n] for n in order_of], ASKED, view))


def test_the_cheapest_that_is_adequate_comes_first_and_what_is_not_adequate_last():
    found = foreseen({"a": (0.9, 100), "b": (0.85, 10), "c": (0.5, 1), "d": (0.7, 2), "e": (0.86, 10)})
    assert found == "ebadc"


def test_at_no_loss_the_best_comes_first_and_of_equals_the_cheaper():
    assert foreseen({"a": (0.9, 100), "b": (0.9, 10), "c": (0.89, 1)}, loss_max=0.0) == "bac"


def test_what_cost_weighs_decides_where_that_is_calibrated():
    qualities = {"a": (0.9, 100), "b": (0.8, 10), "c": (0.5, 1)}
    assert foreseen(qualities, cost_weight=0.0) == "abc"
    assert foreseen(qualities, cost_weight=0.002) == "bac"
    assert foreseen(qualities, cost_weight=0.1) == "cba"


def test_the_strongest_comes_first_where_nothing_is_certified():
    predictions = {
        name: Prediction(quality=q, expected_cost_nusd=1) for name, q in (("a", 0.5), ("b", 0.9), ("c", 0.8))
    }
    view = View(Route("auto", tuple(NAMES)), forecast=Forecast("v", predictions, 0.0, strongest="c"))
    assert (
        "".join(one.name for one in POLICIES["cheapest_adequate"]([CANDIDATES[n] for n in "abc"], ASKED, view)) == "cba"
    )


def test_equal_prices_and_prices_of_zero_are_decided_by_quality():
    assert foreseen({"a": (0.5, 0), "b": (0.9, 0), "c": (0.89, 0)}) == "bca"


def test_without_a_forecast_the_order_of_the_catalog_holds():
    assert order(POLICIES["cheapest_adequate"], "cab") == "cab"
