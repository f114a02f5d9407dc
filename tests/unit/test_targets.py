"""How much quality a request may lose and what it may cost: who says so, and what becomes of it under any policy."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import CALLER, Catalog, deployment, request

from gateway.api.arrival import asked_cost_max
from gateway.decide import POLICIES, Moment, decide, weigh
from gateway.decision_records import record_of
from gateway.domain import Bar, Endpoint, Forecast, Prediction, Reason, Route, Usage
from gateway.errors import BadRequest, NoDeployment
from policies.explanation import explanation
from policies.targets import Target, target_of

ASKED = request()[0]
# 300 tokens out cost $0.0003, $0.003 and $0.03, and what is asked next to nothing.
TINY, MIDDLE, LARGE = (deployment(name, rate, rate) for name, rate in (("tiny", 1), ("middle", 10), ("large", 100)))
_COOLING = Reason(Bar.COOLDOWN, "cooldown: the upstream asked to be left alone")
CAP = 100_000_000
QUALITIES = {"tiny": (0.5, CAP // 100), "middle": (0.8, CAP // 10), "large": (0.9, 10 * CAP)}


def foresees(**forecast):
    predictions = {name: Prediction(quality=q, expected_cost_nusd=nusd) for name, (q, nusd) in QUALITIES.items()}

    def forecast_of(route, candidates):
        del candidates
        values = {"quality_loss_max": route.quality_loss_max, "quality_loss_target": route.quality_loss_max} | forecast
        return Forecast("v", predictions, **values)

    return Moment(forecast=forecast_of)


def decided(asked=ASKED, caller=CALLER, moment=None, policy="cheapest_adequate", **route):
    catalog = Catalog(TINY, MIDDLE, LARGE, policy=policy, **route)
    return weigh(catalog, asked, caller, moment or foresees())


def names(decision):
    return [one.name for one in decision.candidates]


@pytest.mark.parametrize(
    ("asked", "team", "route", "target"),
    [
        ((None, None), (None, None), (0.02, None), Target(0.02, None, False)),
        ((None, None), (0.1, None), (0.02, None), Target(0.1, None, False)),
        ((0.0, None), (0.1, None), (0.02, None), Target(0.0, None, False)),
        ((None, 9), (None, None), (0.02, None), Target(0.02, 9, True)),
        ((0.05, 9), (None, 5), (0.02, 7), Target(0.05, 5, False)),
        ((None, 9), (0.1, 10), (0.02, None), Target(0.02, 9, True)),
        ((None, None), (0.1, 10), (0.02, None), Target(0.1, 10, False)),
        ((None, None), (None, None), (0.02, 7), Target(0.02, 7, False)),
    ],
)
def test_of_quality_the_most_specific_word_counts_and_of_caps_the_smallest(asked, team, route, target):
    stated = [dict(zip(("quality_loss_max", "cost_max_nusd"), one, strict=True)) for one in (asked, team, route)]
    found = target_of(Route("auto", (), **stated[2]), replace(ASKED, **stated[0]), replace(CALLER, **stated[1]))
    assert found == target


def test_the_teams_target_is_the_one_that_the_router_is_asked_with():
    team = replace(CALLER, quality_loss_max=0.2)
    assert names(decided(caller=team))[0] == "middle"
    assert names(decided())[0] == "large"
    assert decided(caller=team).is_loss_asked
    assert names(decided(replace(ASKED, quality_loss_max=0.5), team))[0] == "tiny"


def test_within_a_cap_the_best_comes_first_and_of_equals_the_cheaper():
    found = decided(replace(ASKED, cost_max_nusd=CAP), moment=foresees(cost_weight=1e-6, is_certified=True))
    assert names(found) == ["middle", "tiny"]
    assert (found.rejected["large"].bar, found.is_certified) == (Bar.PRICE_CAP, False)
    assert (found.cost_max_nusd, found.quality_loss_max) == (CAP, None)
    assert "large" not in [one.name for one in found.rungs]


def test_a_cap_beside_a_word_on_quality_is_but_a_condition():
    found = decided(replace(ASKED, cost_max_nusd=CAP, quality_loss_max=0.5))
    assert names(found) == ["tiny", "middle"]
    assert found.quality_loss_max == 0.5


def test_where_nothing_is_certified_and_the_strongest_is_too_dear_the_best_that_fits_answers():
    found = decided(cost_max_nusd=CAP, moment=foresees(strongest="large", quality_loss_max=0.0))
    assert names(found) == ["middle", "tiny"]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cap_holds_for_every_policy_by_list_prices_where_nothing_is_foreseen(policy):
    found = decided(cost_max_nusd=4_000_000, moment=Moment(), policy=policy)
    assert sorted(names(found)) == ["middle", "tiny"]
    assert "price cap: expected cost $0.03" in found.rejected["large"].text
    assert "is above the cap $0.004" in found.rejected["large"].text


def test_a_short_answer_fits_where_a_long_one_does_not():
    found = decided(replace(ASKED, output_tokens_max=10), cost_max_nusd=4_000_000, moment=Moment(), policy="ordered")
    assert len(found.candidates) == 3


def test_what_is_not_written_costs_no_answer_and_counting_costs_nothing():
    embedding = replace(ASKED, endpoint=Endpoint.EMBEDDINGS)
    counted = replace(ASKED, endpoint=Endpoint.COUNT_TOKENS, foreseen=Usage())
    for asked in (embedding, counted):
        found = decided(asked, cost_max_nusd=5_000_000, moment=Moment(), policy="ordered")
        assert not any(one.bar is Bar.PRICE_CAP for one in found.rejected.values())


def test_a_call_that_fits_nowhere_is_refused_and_told_the_cheapest():
    catalog = Catalog(LARGE, TINY, MIDDLE, policy="cheapest_adequate")
    with pytest.raises(BadRequest) as caught:
        decide(catalog, replace(ASKED, cost_max_nusd=5), CALLER, foresees())
    assert caught.value.code == "price_cap_exceeded"
    assert "The cheapest is tiny: price cap: expected cost $0.001 is above the cap $0.000000005." in str(caught.value)


def test_where_the_one_that_fits_is_only_unwell_waiting_helps():
    catalog = Catalog(TINY, LARGE, policy="ordered")
    unwell = Moment(why_unavailable=lambda name: _COOLING if name == "tiny" else None)
    with pytest.raises(NoDeployment):
        decide(catalog, replace(ASKED, cost_max_nusd=4_000_000), CALLER, unwell)


def test_a_deployment_that_is_asked_for_by_name_has_no_cap():
    found = decided(replace(ASKED, model="large", cost_max_nusd=1), replace(CALLER, cost_max_nusd=1))
    assert names(found) == ["large"]


def test_a_cap_is_explained():
    asked = replace(ASKED, cost_max_nusd=CAP)
    told = explanation(record_of(asked, CALLER, decided(asked), None, ""))
    assert told["cost_max_usd"] == "0.100000000"
    assert "A call may be expected to cost at most $0.100000000." in told["text"]
    assert "out large: predicted quality 0.90" in told["text"]


@pytest.mark.parametrize(("stated", "nusd"), [("0.002", 2_000_000), ("9000000", 9 * 10**15), ("0.000000001", 1)])
def test_a_client_states_dollars(stated, nusd):
    assert asked_cost_max((stated,)) == nusd


@pytest.mark.parametrize(
    "stated", [(), ("-1",), ("0",), ("nan",), ("inf",), ("1e-3",), ("0.0000000001",), ("9000001",), ("1", "2"), ("$1",)]
)
def test_what_is_no_amount_of_dollars_is_refused_by_the_name_of_its_header(stated):
    with pytest.raises(BadRequest) as caught:
        asked_cost_max(stated)
    assert (caught.value.param, caught.value.code) == ("x-obol-cost-max-usd", "invalid_value")


@given(st.text(max_size=20))
def test_no_text_makes_reading_it_fail_otherwise(text):
    with contextlib.suppress(BadRequest):
        assert 0 < asked_cost_max((text,)) <= 9 * 10**15
