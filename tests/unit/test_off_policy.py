"""Estimates of another policy: right on average where the predictions are wrong, and as unsure as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policies.off_policy import direct, doubly_robust, effective_count, interval, student

DRAWS, DECISIONS = 400, 400
# With which probability each of two is drawn, and how good its answers to easy and to hard questions are.
LOGGED = np.array([0.8, 0.2])
RIGHT = np.array([[0.9, 0.2], [0.95, 0.85]])


def world(chance, *, told_share, bias, turns=1):
    """Decisions in conversations of so many turns: what is predicted, drawn, and told of it."""
    is_hard = np.repeat(chance.random(DECISIONS // turns) < 0.5, turns).astype(int)
    mood = np.repeat(chance.normal(0, 0.1 if turns > 1 else 0, DECISIONS // turns), turns)
    drawn = (chance.random(DECISIONS) >= LOGGED[0]).astype(int)
    right = np.clip(RIGHT[drawn, is_hard] + mood, 0, 1)
    score = (chance.random(DECISIONS) < right).astype(float)
    score[chance.random(DECISIONS) >= told_share] = np.nan
    predicted = RIGHT[:, is_hard] + bias  # (answers, decisions)
    clusters = np.repeat(np.arange(DECISIONS // turns), turns)
    return is_hard, drawn, score, predicted, clusters


def estimates(*, told_share=1.0, bias=0.0, turns=1, seed=0):
    """Of the policy that asks the second about hard questions, draw by draw; and what is true of it."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        is_hard, drawn, score, predicted, clusters = world(chance, told_share=told_share, bias=bias, turns=turns)
        rows = np.arange(DECISIONS)
        weight = (drawn == is_hard) / LOGGED[drawn]
        term = doubly_robust(predicted[is_hard, rows], predicted[drawn, rows], weight, score)
        found.append(interval(term, clusters, effective_count(weight[~np.isnan(score)])))
    return found, (RIGHT[0, 0] + RIGHT[1, 1]) / 2


@pytest.mark.parametrize(
    "world_of",
    [
        {},
        {"bias": -0.3},
        {"told_share": 0.3},
        {"told_share": 0.3, "bias": 0.25},
        {"told_share": 0.1},
        {"turns": 8},
        {"turns": 4, "told_share": 0.4, "bias": 0.2},
    ],
    ids=str,
)
def test_nine_of_ten_intervals_and_more_hold_the_truth_whatever_was_predicted(world_of):
    found, truth = estimates(**world_of)
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert covered >= 0.9


@pytest.mark.parametrize("bias", [-0.3, 0.0, 0.3])
def test_on_average_it_is_right_where_every_prediction_is_wrong(bias):
    found, truth = estimates(bias=bias, told_share=0.5)
    values = np.array([one.value for one in found])
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(DRAWS)


def test_predictions_alone_are_as_wrong_as_they_are():
    chance = np.random.default_rng(0)
    is_hard, _, _, predicted, _ = world(chance, told_share=1, bias=0.3)
    assert direct(predicted[is_hard, np.arange(DECISIONS)]).value > 1.1


def test_the_same_policy_is_what_was_observed_to_the_last_digit():
    logged, observed = np.array([0.5, 0.7, 0.9, 0.1]), np.array([1.0, 0.0, 1.0, 1.0])
    assert doubly_robust(logged, logged, np.ones(4), observed).value == pytest.approx(observed.mean())
    change = doubly_robust(logged - logged, logged, np.zeros(4), observed)
    assert interval(change, np.arange(4), 4.0) == (0.0, 0.0, 0.0)


def test_the_difference_of_two_policies_is_that_of_their_values():
    chance = np.random.default_rng(1)
    expected, logged, weight = chance.random(50), chance.random(50), 2 * chance.random(50)
    observed = np.where(chance.random(50) < 0.5, chance.random(50), np.nan)
    change = doubly_robust(expected - logged, logged, weight - 1, observed)
    before = doubly_robust(logged, logged, np.ones(50), observed)
    after = doubly_robust(expected, logged, weight, observed)
    assert change.value == pytest.approx(after.value - before.value)
    assert change.influence == pytest.approx(after.influence - before.influence)


def test_by_hand_one_error_of_one_prediction_moves_the_mean_by_its_share():
    # Mean of the predictions 0.55; errors of the two that were told: 2 * (1 - 0.5) and 0, on average 0.5.
    term = doubly_robust(np.array([0.5, 0.6]), np.array([0.5, 0.4]), np.array([2.0, 0.0]), np.array([1.0, 0.0]))
    assert term.value == pytest.approx(0.55 + 0.5)


def test_turns_of_one_conversation_tell_less_than_as_many_conversations():
    term = direct(np.tile([0.0, 0.0, 1.0, 1.0], 25))
    apart = interval(term, np.arange(100), 100.0)
    together = interval(term, np.repeat(np.arange(50), 2), 50.0)
    assert (together.high - together.low) > 1.3 * (apart.high - apart.low)


def test_one_cluster_alone_says_nothing_of_others():
    assert interval(direct(np.array([0.2, 0.4])), np.zeros(2, np.int64), 2.0)[1:] == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("freedom", "exact"), [(1, 12.706), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1e9, 1.96)]
)
def test_the_width_of_few_is_that_of_students_law(freedom, exact):
    assert student(freedom) == pytest.approx(exact, abs=0.005)


def test_equal_weights_count_whole_and_one_that_outweighs_all_as_one():
    assert effective_count(np.ones(7)) == pytest.approx(7)
    assert effective_count(np.array([1000.0, 1e-9])) == pytest.approx(1)
    assert effective_count(np.zeros(3)) == 0
