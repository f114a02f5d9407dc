"""The policy ``cascade``: who is asked first, by what that is expected to cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pipeline_parts import deployment, request

from gateway.domain import Cascade, Endpoint, Forecast, Prediction, Route
from policies.acceptance import MIN_OBSERVATIONS, OBSERVATIONS_MAX, WINDOW_S, AcceptanceBoard
from policies.cascade import order, steps
from policies.view import View

TINY, SMALL, MIDDLE, BIG = (
    deployment("tiny", 0, 0),
    deployment("small", 1, 1),
    deployment("middle", 5, 5),
    deployment("big", 10, 10),
)
SURE = Cascade(logprob_min=0.8)
NEEDS_JSON = {"response_format": {"type": "json_object"}}


def foreseen(**each):
    """Quality and cost by name."""
    return Forecast("v", {name: Prediction(quality=q, expected_cost_nusd=c) for name, (q, c) in each.items()}, 0.02)


def asked(*candidates, cascade=SURE, forecast=None, shares=None, verifier=None, **fields):
    """The steps and the others, by name."""
    view = View(
        Route("auto", (), policy="cascade", cascade=cascade),
        forecast=forecast,
        accepted_share=shares or {},
        verifier=verifier,
    )
    parsed, _, _ = request("auto", **fields)
    tried = order(candidates, parsed, view)
    count = steps(tried, parsed, view)
    return [one.name for one in tried[:count]], [one.name for one in tried[count:]]


def test_the_cheap_one_is_asked_first_where_that_costs_less_on_average():
    assert asked(BIG, SMALL, forecast=foreseen(big=(0.9, 100), small=(0.5, 49))) == (["small", "big"], [])


def test_the_strong_one_is_asked_alone_where_asking_the_cheap_one_first_costs_more():
    assert asked(BIG, SMALL, forecast=foreseen(big=(0.9, 100), small=(0.5, 51))) == ([], ["big", "small"])


def test_what_the_gates_accepted_lately_counts_more_than_what_is_predicted():
    forecast = foreseen(big=(0.9, 100), small=(0.5, 49))
    assert asked(BIG, SMALL, forecast=forecast, shares={"small": 0.4}) == ([], ["big", "small"])
    assert asked(BIG, SMALL, forecast=forecast, shares={"small": 0.6}) == (["small", "big"], [])


def test_what_the_gates_cost_is_part_of_it():
    forecast = foreseen(big=(0.9, 100), small=(0.5, 20))
    three = Cascade(samples=3, share_min=0.67)
    assert asked(BIG, SMALL, forecast=forecast)[0] == ["small", "big"]
    assert asked(BIG, SMALL, cascade=three, forecast=forecast)[0] == []
    judged = Cascade(verifier="judge", score_min=0.7)
    forecast = foreseen(big=(0.9, 10**9), small=(0.5, 10**8))
    free, dear = deployment("judge", 0, 0), deployment("judge", 10**4, 10**4)
    assert asked(BIG, SMALL, cascade=judged, forecast=forecast, verifier=free)[0] == ["small", "big"]
    assert asked(BIG, SMALL, cascade=judged, forecast=forecast, verifier=dear)[0] == []


def test_there_are_no_more_steps_than_the_route_says_and_those_are_the_ones_that_cost_least():
    forecast = foreseen(big=(0.9, 1000), middle=(0.8, 100), small=(0.6, 30), tiny=(0.1, 10))
    everybody = (BIG, MIDDLE, SMALL, TINY)
    assert asked(*everybody, forecast=forecast) == (["middle", "big"], ["small", "tiny"])
    three = replace(SURE, steps_max=3)
    assert asked(*everybody, cascade=three, forecast=forecast) == (["small", "middle", "big"], ["tiny"])


def test_without_a_router_list_prices_and_what_the_catalog_says_of_quality_decide():
    assert asked(SMALL, BIG) == (["small", "big"], [])  # unknown: every second answer is accepted
    assert asked(deployment("small", 6, 6), BIG) == ([], ["big", "small"])
    good = replace(deployment("small", 6, 6), quality=0.7)
    assert asked(good, replace(BIG, quality=0.9)) == (["small", "big"], [])


def test_deployments_of_one_price_do_not_cascade():
    assert asked(TINY, replace(TINY, name="other")) == ([], ["tiny", "other"])
    assert asked(SMALL) == ([], ["small"])


def test_predictions_that_are_none_do_no_harm():
    nothing = float("nan")
    assert sorted(asked(BIG, SMALL, forecast=foreseen(big=(nothing, 100), small=(nothing, 1)))[1])
    assert asked(BIG, SMALL, forecast=Forecast("v", {}, 0.02)) == (["small", "big"], [])


@pytest.mark.parametrize("change", [{"endpoint": Endpoint.RESPONSES}, {"choices": 2}])
def test_where_an_answer_cannot_be_judged_the_strong_one_is_asked_alone(change):
    parsed = replace(request("auto")[0], **change)
    view = View(Route("auto", (), policy="cascade", cascade=SURE))
    assert [one.name for one in order([SMALL, BIG], parsed, view)] == ["big", "small"]
    assert steps([BIG, SMALL], parsed, view) == 0


def test_where_only_the_form_is_checked_only_requests_that_ask_for_one_cascade():
    form = Cascade(checks_schema=True)
    assert asked(SMALL, BIG, cascade=form) == ([], ["big", "small"])
    assert asked(SMALL, BIG, cascade=form, **NEEDS_JSON) == (["small", "big"], [])
    assert asked(SMALL, BIG, cascade=replace(form, logprob_min=0.8)) == (["small", "big"], [])


def test_without_its_verifier_a_route_asks_the_strong_one_alone():
    judged = Cascade(verifier="judge", score_min=0.7)
    assert asked(SMALL, BIG, cascade=judged) == ([], ["big", "small"])
    assert asked(SMALL, BIG, cascade=judged, verifier=TINY) == (["small", "big"], [])


def test_who_cannot_tell_probabilities_is_not_asked_for_them():
    silent = replace(SMALL, speaks=frozenset({Endpoint.MESSAGES}))
    assert asked(silent, BIG) == ([], ["big", "small"])


def test_what_was_accepted_is_known_after_some_answers_and_forgotten_after_a_while():
    board = AcceptanceBoard()
    for number in range(MIN_OBSERVATIONS):
        assert board.share("auto", "small", 0) is None
        board.observed("auto", "small", 0, is_accepted=number % 4 == 0)
    assert board.share("auto", "small", 0) == 0.25
    assert board.share("other", "small", 0) is None
    assert board.share("auto", "small", WINDOW_S) is None
    for _ in range(2 * OBSERVATIONS_MAX):
        board.observed("auto", "small", WINDOW_S, is_accepted=True)
    assert board.share("auto", "small", WINDOW_S) == 1
