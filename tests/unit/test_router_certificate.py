"""A certificate of a loss of quality is broken no more often than it says, and is given where the data allow."""

from __future__ import annotations

import numpy as np
import pytest

from policies.routing.certificate import CONFIDENCE, certify, certify_judged, p_values, upper_bound

TARGET = 0.02


def p_value(losses, target, worst=1.0) -> float:
    """Of one operating point."""
    return float(p_values(np.array([losses]), target, worst)[0])


def losses_of(random: np.random.Generator, mean: float, spread: float, count: int) -> np.ndarray:
    """Losses of -1, 0 and 1 with that mean and mean square."""
    drawn = random.random(count)
    lost, won = (spread + mean) / 2, (spread - mean) / 2
    return np.where(drawn < lost, 1.0, np.where(drawn < lost + won, -1.0, 0.0))


@pytest.mark.parametrize(("spread", "count"), [(0.03, 200), (0.1, 500), (0.25, 1000), (0.5, 2000)])
def test_a_loss_just_above_the_target_is_seldom_taken_for_one_below(spread, count):
    random = np.random.default_rng(7)
    draws = 400
    wrong = sum(p_value(losses_of(random, TARGET, spread, count), TARGET) <= 1 - CONFIDENCE for _ in range(draws))
    # 5 % are allowed; that 20 more of 400 are seen by chance has a probability below one in a thousand.
    assert wrong <= draws * (1 - CONFIDENCE) + 14


def test_what_loses_nothing_is_certified_with_a_few_hundred_prompts():
    assert p_value(np.zeros(400), TARGET) <= 1 - CONFIDENCE
    assert p_value(np.zeros(20), TARGET) > 1 - CONFIDENCE, "so few prompts prove nothing"


def test_a_loss_three_standard_errors_below_the_target_is_mostly_certified():
    random = np.random.default_rng(4)
    count, spread = 4000, 0.06
    mean = TARGET - 3 * np.sqrt(spread / count)
    found = [p_value(losses_of(random, mean, spread, count), TARGET) <= 1 - CONFIDENCE for _ in range(200)]
    assert np.mean(found) >= 0.65


def test_gains_count_for_the_router():
    random = np.random.default_rng(1)
    assert p_value(losses_of(random, -0.05, 0.2, 1500), TARGET) <= 1 - CONFIDENCE


def test_no_prompts_certify_nothing():
    assert p_value(np.zeros(0), TARGET) == 1.0
    assert certify(np.zeros((1, 0)), TARGET) == (-1, 1)
    assert certify(np.zeros((0, 5)), TARGET) == (-1, 0)


def test_points_are_certified_from_the_safe_end_to_the_first_that_fails():
    bold = np.tile([1.0, 0.0], 1000)
    found = certify(np.array([np.zeros(2000), np.zeros(2000), bold, np.zeros(2000)]), TARGET)
    assert found == (1, 3)


def test_a_relative_loss_may_be_larger_than_one():
    """Of a baseline that is right half of the time, a wrong answer loses 2."""
    random = np.random.default_rng(3)
    losses = 2 * losses_of(random, 0.0, 0.05, 3000)
    assert 0 < p_value(losses, 0.05, worst=2.0) <= 1
    assert p_value(np.full(3000, 2.0), 0.05, worst=2.0) == 1.0


def test_a_target_that_nothing_can_miss_is_no_promise():
    assert p_value(np.zeros(1000), 1.0) == 1.0


# What a judge has scored.

LOSS_MAX = 0.05


class Judging:
    """Of prompts that go to a small model in the order of their ease: losses at 21 points, and as a judge sees them.

    The judge is wrong on about 20 % of the small model's answers: always in its favour, or either way on both models'.
    """

    def __init__(self, random: np.random.Generator, count: int, *, flatters: bool) -> None:
        ease = random.random(count)
        large, small = random.random(count) < 0.9, random.random(count) < 0.95 * ease**0.3
        if flatters:
            self.is_wrong = ~small & (random.random(count) < 0.85)
            told_large, told_small = large, small | self.is_wrong
        else:
            self.is_wrong, other = random.random((2, count)) < 0.2
            told_large, told_small = large ^ other, small ^ self.is_wrong
        goes = ease[None] > 1 - np.linspace(0, 1, 21)[:, None]
        self.losses = (1 - LOSS_MAX) * large - np.where(goes, small, large)
        self.told = (1 - LOSS_MAX) * told_large - np.where(goes, told_small, told_large)


@pytest.mark.parametrize("flatters", [True, False])
def test_a_judge_that_is_wrong_on_a_fifth_certifies_no_loss_that_is_not_kept(flatters):
    truth = Judging(np.random.default_rng(5), 200_000, flatters=flatters).losses.mean(axis=1)
    random = np.random.default_rng(0)
    draws, count, sure = 100, 1000, 400
    is_judged = np.arange(count) >= sure
    believed, corrected, wrong = [], [], []
    for _ in range(draws):
        one = Judging(random, count, flatters=flatters)
        seen = np.where(is_judged, one.told, one.losses)
        errors = (one.losses - one.told)[:, ~is_judged]
        believed.append(certify(seen, 0.0, worst=1 - LOSS_MAX).point)
        corrected.append(certify_judged(seen, errors, is_judged, worst=1 - LOSS_MAX).point)
        wrong.append(one.is_wrong.mean())
    assert 0.18 < np.mean(wrong) < 0.25
    broken = [sum(point >= 0 and truth[point] > 0 for point in points) for points in (believed, corrected)]
    assert broken[1] <= draws * (1 - CONFIDENCE)
    if flatters:
        assert broken[0] > 0.9 * draws, "its word alone is not to be believed"
    assert np.mean(corrected) > 3, "something is certified all the same"


def test_a_judge_that_was_never_measured_certifies_nothing():
    is_judged = np.ones(1000, dtype=bool)
    losses = np.full((3, 1000), -0.05)
    assert certify_judged(losses, np.zeros((3, 0)), is_judged).point == -1
    assert certify_judged(losses, np.zeros((3, 20)), is_judged).point == -1, "so few measure nothing"
    assert certify_judged(losses, np.zeros((3, 400)), is_judged).point == 2


def test_a_mean_is_seldom_above_its_upper_bound():
    random = np.random.default_rng(2)
    bounds = [upper_bound(losses_of(random, 0.05, 0.2, 300), 0.95, 1.0) for _ in range(300)]
    assert sum(bound < 0.05 for bound in bounds) <= 15 + 12
    assert np.mean(bounds) < 0.15
    assert upper_bound(np.full(1000, -0.5), 0.95, 1.0) == 0
    assert upper_bound(np.full(10, 0.5), 0.95, 1.0) == np.inf
