"""What a predictor learns of its features and of the kinds of prompts, each apart, and how much either counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.router.fitting import Lessons, fit
from policies.routing.features import MATCHING_LENGTH, SURFACE_LENGTH
from policies.routing.operating import LAMBDAS, calibrated, cost_weight, row_of
from policies.routing.predictor import Predicted, trusted

LENGTH, WORDS = SURFACE_LENGTH + MATCHING_LENGTH + 8, SURFACE_LENGTH + MATCHING_LENGTH


@pytest.fixture(scope="module")
def lessons():
    """Of three kinds, each easier than the one before and with more of feature 0, which makes any prompt harder."""
    chance = np.random.default_rng(5)
    kinds = chance.integers(0, 3, 1500)
    features = np.zeros((1500, LENGTH))
    features[:, WORDS:] = chance.normal(size=(1500, LENGTH - WORDS))
    features[:, 0] = chance.normal(size=1500) + 2 * kinds
    features[np.arange(1500), WORDS + kinds] += 4
    right = 0.2 + 0.3 * kinds - 0.15 * (features[:, 0] - 2 * kinds)
    score = (chance.random((1500, 2)) < right[:, None]).astype(float)
    return Lessons(
        features, score, np.exp(chance.normal(size=(1500, 2))), kinds.astype(str), [str(n) for n in range(1500)]
    )


def test_what_features_say_is_learned_within_kinds_and_holds_for_kinds_never_seen(lessons):
    predictor = fit(lessons)
    of_no_kind = replace(predictor, kind_scale=np.zeros_like(predictor.kind_scale))
    less = lessons.features.astype(np.float32)
    more = less.copy()
    more[:, 0] += 0.5
    gained = of_no_kind.predict(more).quality - of_no_kind.predict(less).quality
    assert gained.mean() < -0.01, "between kinds more of it goes with better answers"


def test_a_prompt_of_a_known_kind_is_predicted_as_its_kind(lessons):
    quality = fit(lessons).predict(lessons.features.astype(np.float32)).quality
    for kind in np.unique(lessons.kinds):
        found, real = (one[lessons.kinds == kind].mean() for one in (quality, lessons.score))
        assert abs(found - real) < 0.03 + abs(lessons.score.mean() - real) / 2


def test_a_kind_counts_by_the_square_of_how_sure_it_is():
    mean = np.array([0.5, 0.25, 0.25])
    sure, unsure = trusted(np.array([[1.0, 0.0, 0.0], [0.4, 0.3, 0.3]]), mean)
    np.testing.assert_allclose(sure, [0.5, -0.25, -0.25])
    np.testing.assert_allclose(unsure, 0.16 * np.array([-0.1, 0.05, 0.05]))


def test_cost_counts_in_full_but_for_the_strangest_prompts():
    np.testing.assert_allclose(cost_weight(50, np.array([1.0, 0.25, 0.125, 0.0])) / LAMBDAS[50], [1, 1, 0.5, 0])


def test_a_loss_that_was_aimed_at_is_about_the_loss_that_comes():
    """Of many worlds of few prompts, each measured on its own: neither wasted nor broken on average."""
    chance = np.random.default_rng(2)
    losses = []
    for _ in range(5):
        gain = chance.beta(1, 4, 600)  # by which the large model is better on each prompt
        quality = np.stack([np.full(600, 0.9), 0.9 - gain], axis=1)
        cost = np.tile([1.0, 0.1], (600, 1))
        score = (chance.random((600, 2)) < quality).astype(float)
        predicted = Predicted(quality, cost, np.ones(600), np.zeros(600, np.int64))
        point = calibrated(predicted, score, cost, 0, 1.0).aimed[row_of(0.05)]
        picked = np.argmax(quality - LAMBDAS[point] * cost, axis=1)
        losses.append(1 - quality[np.arange(600), picked].mean() / 0.9)
    assert 0.03 < np.mean(losses) < 0.07
