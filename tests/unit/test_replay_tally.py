"""Sums of replayed decisions: by team and in all, and how good the answers would have been, with how much doubt."""

from __future__ import annotations

import numpy as np
import pytest
from pipeline_parts import deployment

from gateway.domain import Considered, DecisionRecord, Rates, Route
from gateway.replay.choosing import Chooser
from gateway.replay.costing import Coster
from gateway.replay.plan import Plan
from gateway.replay.tally import Tally
from gateway.stores.recorded import Recorded, Spent
from policies import weighted
from policies.view import View

RATES = {"cheap": Rates(10**9, 10**9, 2 * 10**9, 2 * 10**9), "dear": Rates(9 * 10**9, 10**9, 18 * 10**9, 18 * 10**9)}
RIGHT = {"cheap": 0.5, "dear": 0.8}
WEIGHTS = {"cheap": 3.0, "dear": 1.0}
TWO = [deployment(name, 1, 1) for name in RATES]
CPU_NUSD_PER_HOUR = 40_000_000


def decision(number, first, **fields):
    candidates = tuple(
        Considered(name, name, 1 if name == first else 2, quality=fields.pop(f"{name}_quality", None), rates=rates)
        for name, rates in RATES.items()
    )
    values = {"request_id": f"r{number}", "created_at": "2026-11-03T12:00:00.000000Z", "organization_id": "o"}
    values |= {"team_id": "t", "key_id": "k", "endpoint": "chat/completions", "route": "auto", "policy": "weighted"}
    values |= {"input_tokens": 100, "chosen": first, "candidates": candidates, "draw": 0.0}
    return DecisionRecord(**(values | fields))


def drawn(chance, count, *, told_share=1.0, predicted=None):
    """A day of the policy ``weighted``, with what became of it."""
    route = Route("auto", tuple(RATES), policy="weighted", weights=WEIGHTS)
    for number in range(count):
        draw = float(chance.random())
        first = weighted.order(TWO, None, View(route, draw))[0].name
        told = {f"{name}_quality": value for name, value in (predicted or {}).items()}
        propensity = WEIGHTS[first] / sum(WEIGHTS.values())
        record = decision(number, first, draw=draw, propensity=propensity, **told)
        tokens = int(chance.integers(50, 150)), int(chance.integers(10, 90))
        cost = -(-(tokens[0] * RATES[first].input + tokens[1] * RATES[first].output) // 10**6)
        score = float(chance.random() < RIGHT[first]) if chance.random() < told_share else None
        yield Recorded(record, [Spent(1, first, "answer", cost, cost, tokens[0], 0, tokens[1], 0, True)], score)


def replayed(recorded, **route):
    chooser = Chooser(Plan(Route("auto", route.pop("deployments", tuple(RATES)), **route)))
    coster, tally = Coster(asks_router=False), Tally(CPU_NUSD_PER_HOUR)
    for one in recorded:
        (choice,) = chooser.choices([one.record])
        tally.add(one, choice, coster.price(one, choice))
    return tally.outcome()


ONLY_DEAR = {"deployments": ("dear", "cheap")}


@pytest.mark.parametrize("predicted", [None, {"cheap": 0.9, "dear": 0.3}], ids=["nothing predicted", "all wrong"])
def test_intervals_of_quality_and_cost_hold_the_truth_whatever_was_predicted(predicted):
    chance = np.random.default_rng(0)
    good, cheap, values = 0, 0, []
    for _ in range(100):
        totals = replayed(drawn(chance, 120, told_share=0.7, predicted=predicted), **ONLY_DEAR).totals
        assert totals.quality.is_identified
        good += totals.quality.replayed.low <= RIGHT["dear"] <= totals.quality.replayed.high
        values.append(totals.quality.replayed.value)
        truth_nusd = 120 * (99.5 * 9000 + 49.5 * 18_000)
        cheap += totals.cost_estimate.low <= truth_nusd <= totals.cost_estimate.high
    assert good >= 90
    assert cheap >= 90
    assert abs(np.mean(values) - RIGHT["dear"]) < 0.04


def test_the_same_policy_changes_nothing_and_its_quality_is_what_was_said():
    recorded = list(drawn(np.random.default_rng(1), 200, predicted={"cheap": 0.4, "dear": 0.9}))
    totals = replayed(recorded, policy="weighted", weights=WEIGHTS).totals
    assert (totals.changed, totals.recorded) == (0, totals.replayed)
    assert totals.quality.recorded.value == pytest.approx(np.mean([one.score for one in recorded]))
    assert totals.quality.difference == pytest.approx((0, 0, 0), abs=1e-12)
    assert totals.cost_estimate.value == pytest.approx(totals.recorded.costs.cost_nusd)


def test_other_weights_move_quality_by_as_much_as_they_move_requests():
    recorded = list(drawn(np.random.default_rng(2), 3000))
    quality = replayed(recorded, policy="weighted", weights={"cheap": 1, "dear": 3}).totals.quality
    truth = 0.25 * RIGHT["cheap"] + 0.75 * RIGHT["dear"]
    assert quality.replayed.low <= truth <= quality.replayed.high
    assert quality.replayed.value == pytest.approx(truth, abs=0.06)


def certain(count, *, told=True, **quality):
    """A day of a policy that draws no lots."""
    for number in range(count):
        record = decision(number, "cheap", policy="ordered", team_id=f"t{number % 2}", **quality)
        yield Recorded(record, [Spent(1, "cheap", "answer", 7, 9, 1, 0, 3, 0, True)], 0.5 if told else None)


def test_a_policy_that_draws_no_lots_says_nothing_of_whom_it_never_asks_and_that_is_said():
    totals = replayed(certain(10, cheap_quality=0.5, dear_quality=0.9), **ONLY_DEAR).totals
    assert (totals.quality.is_identified, totals.quality.no_overlap_share) == (False, 1.0)
    assert "no overlap" in totals.quality.note
    assert totals.quality.replayed.value == pytest.approx(0.9)
    assert totals.cost_estimate is None


def test_without_feedback_quality_is_what_is_predicted_and_without_either_it_is_not_known():
    quality = replayed(certain(10, told=False, cheap_quality=0.5, dear_quality=0.9), **ONLY_DEAR).totals.quality
    assert (quality.replayed.value, quality.recorded.value) == (pytest.approx(0.9), pytest.approx(0.5))
    assert (quality.is_identified, quality.feedbacks) == (False, 0)
    assert "predicted" in quality.note
    assert replayed(certain(10, told=False), **ONLY_DEAR).totals.quality is None


def test_teams_add_up_to_the_total_and_the_saving_is_the_baseline_less_everything():
    outcome = replayed(certain(11), **ONLY_DEAR)
    assert {team: figures.requests for team, figures in outcome.teams.items()} == {"t0": 6, "t1": 5}
    for which in ("recorded", "replayed"):
        sums = [getattr(figures, which) for figures in outcome.teams.values()]
        total = getattr(outcome.totals, which)
        assert sum(one.costs.cost_nusd for one in sums) == total.costs.cost_nusd
        assert sum(one.saving_net_nusd for one in sums) == total.saving_net_nusd
    assert outcome.totals.recorded.saving_net_nusd == 11 * 2
    assert outcome.totals.replayed.costs.cost_nusd == 11 * (9000 + 3 * 18_000)
    assert outcome.totals.replayed.saving_net_nusd == 11 * 9 - 11 * 63_000
    assert (outcome.recorded_firsts, outcome.replayed_firsts) == ({"cheap": 11, "dear": 0}, {"cheap": 0, "dear": 11})


def test_the_routers_time_is_money():
    tally, coster = Tally(CPU_NUSD_PER_HOUR), Coster(asks_router=True)
    for one in certain(1000):
        (choice,) = Chooser(Plan(Route("auto", tuple(RATES)))).choices([one.record])
        tally.add(one, choice, coster.price(one, choice))
    totals = tally.outcome().totals
    # 700 microseconds a decision, at four cents an hour: 7.8 nano-dollars.
    assert (totals.recorded.router_nusd, totals.replayed.router_nusd) == (0, 7778)
    assert totals.replayed.saving_net_nusd == 2000 - 7778


def test_of_nothing_there_are_no_sums():
    with pytest.raises(ValueError, match="nothing"):
        Tally(0).outcome()
