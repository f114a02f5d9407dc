"""A certificate of a loss of quality is broken no more often than it says, and is given where the data allow."""

from __future__ import annotations

import numpy as np
import pytest

from policies.routing.certificate import CONFIDENCE, certify, p_values

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
