"""A route is wrong as often as its operator allows, whatever its traffic is like."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.semantic.budget import CLOSED, EDGES, EPOCH, WINDOW, Action, Plan, plan, stale
from policies.semantic.considering import Verdict

SIMILAR = Verdict(0, 0.002, "none", "similar")


def test_a_route_that_allows_no_wrong_answer_serves_none():
    assert plan({}, 0.0).limit == CLOSED
    assert plan({}, 0.0).decide(SIMILAR, {}, 0.9).action is not Action.SERVE


def test_a_smaller_share_is_never_less_strict():
    world = _World(seed=1)
    world.run(3_000, 0.01)
    limits = [plan(world.route, share).limit for share in (0.0, 0.001, 0.002, 0.005, 0.01, 0.02)]
    assert limits == sorted(limits)


def test_a_route_that_is_never_wrong_opens_up():
    world = _World(seed=2, times=0.0)
    before = plan({}, 0.01).limit
    world.run(3_000, 0.01)
    assert plan(world.route, 0.01).limit > before


def test_one_burst_of_wrong_answers_closes_a_route():
    world = _World(seed=3)
    world.run(3_000, 0.01)
    before = world.plan
    for _ in range(40):
        decision = before.decide(SIMILAR, {}, 0.0)
        world.route.update(before.compared(decision, is_wrong=True).route)
    assert plan(world.route, 0.01).limit < before.limit


def test_of_the_bin_above_the_limit_a_part_is_served_and_the_rest_compared():
    made = plan({}, 0.01)
    assert 0 < made.part < 1
    known = {"0:none:looked": 100_000}
    above = Verdict(0, 0.99 * EDGES[made.limit + 1], "none", "similar")
    assert made.decide(above, known, 0.9999).action is Action.SERVE
    assert made.decide(above, known, 0.9 - made.part).action is Action.SHADOW
    assert made.decide(Verdict(0, 0.99 * EDGES[made.limit + 2], "none", "similar"), known, 1.0).action is Action.SHADOW


def test_what_is_compared_above_the_limit_tells_of_what_lies_below_it():
    counts = {"requests": 900, "0:requests": 900}
    above = plan(counts, 0.01).limit + 2
    right, wrong = ({f"0:looked:{above}": 80, f"0:wrong:{above}": count} for count in (0, 40))
    assert plan(counts | right, 0.01).limit > plan(counts | wrong, 0.01).limit
    assert all(one < other for one, other in pairwise(plan(counts | right, 0.01).chances))


def test_where_too_much_was_given_of_late_less_is_given():
    counts = {"requests": 900, "0:requests": 900}
    fresh = plan(counts, 0.01)
    given = fresh.decide(SIMILAR, {}, 0.9)
    spent = Counter(fresh.asked(given).route) | Counter({f"0:given:{fresh.rung}": 20_000_000})
    assert plan(counts | spent, 0.01).limit < fresh.limit


def test_a_caller_that_is_stricter_has_a_brake_of_its_own():
    counts = {"requests": 900, "0:requests": 900}
    given = {f"0:given:{plan(counts, 0.01).rung}": 20_000_000}
    assert plan(counts | given, 0.002) == plan(counts, 0.002)


def test_the_fewer_comparisons_a_tenant_has_the_more_of_what_it_asks_is_compared():
    made = plan({}, 0.01)
    known = {"0:none:looked": 1_000}
    assert made.decide(SIMILAR, {}, 0.3).action is Action.SHADOW
    assert made.decide(SIMILAR, known, 0.3).action is Action.SERVE
    assert made.decide(SIMILAR, known, 0.03).action is Action.SHADOW


@settings(deadline=None, max_examples=12)
@given(
    times=st.floats(0, 6),
    seed=st.integers(0, 1_000),
    share=st.sampled_from([0.002, 0.01]),
    similar=st.floats(0.2, 0.9),
)
def test_in_any_world_each_window_keeps_the_share_once_it_is_warm(
    times: float, seed: int, share: float, similar: float
):
    world = _World(seed, times, similar)
    world.run(WINDOW, share)
    for _ in range(3):
        assert world.run(WINDOW, share) <= WINDOW * share


@pytest.mark.parametrize("share", [0.002, 0.01])
@pytest.mark.parametrize("seed", range(3))
def test_when_answers_change_windows_keep_the_share_again_after_1250_requests(seed: int, share: float):
    world = _World(seed, times=1.0)
    world.run(2 * WINDOW, share)
    world.times = 6.0
    world.run(1_250, share)
    assert world.run(WINDOW, share) <= WINDOW * share


def test_epochs_that_are_over_can_be_deleted():
    world = _World(seed=4)
    world.run(7 * EPOCH, 0.01)
    gone = stale(world.route, world.plan.epoch)
    kept = {name: count for name, count in world.route.items() if name not in gone}
    assert gone
    assert plan(kept, 0.01) == plan(world.route, 0.01)


class _World:
    """Requests of which so many are similar to an earlier one, at risks that the score foretells, times something."""

    def __init__(self, seed: int, times: float = 1.0, similar: float = 0.6) -> None:
        self.route: Counter[str] = Counter()
        self.tenant: Counter[str] = Counter()
        self.plan: Plan = plan({}, 0.01)
        self._random = random.Random(seed)  # noqa: S311 - a made-up world
        self.times, self._similar = times, similar

    def run(self, requests: int, share: float) -> float:
        """Returns how many are answered wrong on average: the sum of the chances of all that were served."""
        wrong = 0.0
        for number in range(requests):
            if number % 50 == 0:
                self.plan = plan(self.route, share)
            wrong += self._ask()
        return wrong

    def _ask(self) -> float:
        if self._random.random() > self._similar:
            self.route.update(self.plan.asked(None).route)
            return 0.0
        risk = min(0.9, self._random.lognormvariate(-4, 1.5))
        decision = self.plan.decide(Verdict(0, risk, "none", "similar"), self.tenant, self._random.random())
        self.route.update(self.plan.asked(decision).route)
        chance = min(1.0, risk * self.times)
        is_wrong = self._random.random() < chance
        if decision.action is Action.SHADOW:
            counts = self.plan.compared(decision, is_wrong=is_wrong)
            self.route.update(counts.route)
            self.tenant.update(counts.tenant)
        return chance if decision.action is Action.SERVE else 0.0
