"""The figures of routers, on cases that are worked out by hand or follow from what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.router.data import Outcomes
from gateway.router.figures import Predicted, Trial, intervals, macro
from policies.routing.hull import hull, hull_quality
from policies.routing.pool import Pool

WEAK_AND_STRONG = Pool("two", ("strong", "weak"), np.array([0.8, 0.4]), np.array([10.0, 1.0]), *np.full((2, 2), np.nan))


def outcomes_of(score, cost) -> Outcomes:
    nothing = np.full(np.shape(score), np.nan)
    return Outcomes(np.array(score, dtype=float), np.array(cost, dtype=float), nothing, nothing)


def a_day(count: int = 100) -> Outcomes:
    """The strong model is right on 80 % at 10, the weak one on the first 40 % at 1."""
    right = np.arange(count)[:, None] < np.array([0.8, 0.4]) * count
    return outcomes_of(right, np.tile([10.0, 1.0], (count, 1)))


def test_a_router_that_knows_all_is_the_oracle():
    day = a_day()
    found = Trial(WEAK_AND_STRONG, day, Predicted(day.score, day.cost)).figures()
    assert found["headroom"] == pytest.approx(100)
    # 40 prompts at 1, 40 at 10, and the 20 that nobody answers at 1: 460 of 1000.
    assert found["save@100"] == pytest.approx(54)
    assert found["q@50"] == pytest.approx(100)
    assert found["apgr"] > 0.7


def test_a_router_that_looks_at_nothing_is_on_the_floor():
    day = a_day()
    blind = Predicted(np.tile([0.8, 0.4], (100, 1)), day.cost)
    found = Trial(WEAK_AND_STRONG, day, blind).figures()
    assert found["save@100"] == pytest.approx(0, abs=1e-9)
    assert found["headroom"] == pytest.approx(0, abs=1e-9)
    assert found["worst"] == pytest.approx(0, abs=1e-9)
    # Half of the cost is 4/9 of the way from the weak to the strong: (0.4 + 0.4 * 4/9) / 0.8.
    assert found["q@50"] == pytest.approx(100 * (0.4 + 0.4 * 4 / 9) / 0.8)


def test_a_router_that_is_always_wrong_is_below_the_floor():
    day = a_day()
    found = Trial(WEAK_AND_STRONG, day, Predicted(1 - day.score, day.cost)).figures()
    assert found["worst"] < -1
    assert found["headroom"] < 0
    assert found["apgr"] < 0.5


def test_decisions_are_charged_and_judged_as_they_were_made():
    day = a_day()
    chosen = np.where(np.arange(100) < 40, 1, 0)
    found = Trial(WEAK_AND_STRONG, day, Predicted(day.score, day.cost), chosen).figures()
    assert found["quality"] == pytest.approx(100)
    assert found["saved"] == pytest.approx(100 * (1 - (40 + 600) / 1000))


def test_macro_is_the_mean_over_tracks_and_the_worst_of_all():
    found = macro([{"q@20": 90.0, "worst": -1.0}, {"q@20": 100.0, "worst": 2.0, "apgr": 0.6}])
    assert found == {"q@20": 95.0, "worst": -1.0, "apgr": 0.6}


def test_intervals_hold_the_figure_and_are_the_same_each_time():
    day = a_day(400)
    trial = Trial(WEAK_AND_STRONG, day, Predicted(day.score, day.cost))
    found = intervals([trial], draws=50)
    low, high = found["save@100"]
    assert low < trial.figures()["save@100"] < high
    assert found == intervals([trial], draws=50)


points = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1)), min_size=1, max_size=8)


@given(points)
@settings(max_examples=300)
def test_no_mixture_of_models_is_above_their_hull(models):
    cost, quality = (np.array(values) for values in zip(*models, strict=True))
    kept = hull(cost, quality)
    at, best = cost[kept], quality[kept]
    assert list(at) == sorted(at)
    assert list(best) == sorted(best)
    for own_cost, own_quality in models:
        assert hull_quality(own_cost, at, best) >= own_quality - 1e-9


def test_below_the_cheapest_model_nothing_can_be_said():
    assert np.isnan(hull_quality(0.5, np.array([1.0, 2.0]), np.array([0.1, 0.2])))
