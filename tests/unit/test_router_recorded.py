"""What is learned from recorded decisions: of each prompt one outcome alone, of whoever a policy sent it to."""

from __future__ import annotations

import numpy as np
import pytest
from router_parts import a_track, word_table

from gateway.domain import Deployment, Provider
from gateway.router import artifact, training
from gateway.router.recorded import ANSWERS_MIN, Recorded, learned, missing, vectors
from policies.routing.forecast import Asked, forecasts

LARGE, SMALL = 0, 1


def recorded(count=1200, seed=1):
    """A policy that mostly sends hard questions up and easy ones down, which makes the small one look the better."""
    track = a_track(count, seed=seed)
    is_hard = np.array([domain == "hard" for domain in track.prompts.labels["domain"]])
    strays = np.random.default_rng(seed).random(count) < 0.15
    chosen = np.where(is_hard ^ strays, LARGE, SMALL)
    rows = np.arange(count)
    features = vectors([vector.astype(np.float16).tobytes() for vector in track.features])
    score, cost = track.outcomes.score[rows, chosen], track.outcomes.cost[rows, chosen]
    return Recorded(("large", "small"), chosen, features, score, cost), track


@pytest.fixture(scope="module")
def pool():
    return learned(recorded()[0])


def test_who_answers_the_hard_questions_is_not_taken_for_the_weaker(pool):
    data, track = recorded()
    seen = [data.score[data.chosen == model].mean() for model in (LARGE, SMALL)]
    assert abs(seen[LARGE] - seen[SMALL]) < 0.25, "as recorded they look nearly alike"
    assert pool.strongest == LARGE
    true = track.outcomes.score.mean(axis=0)
    assert np.abs(pool.predictor.quality_mean - true).max() < 0.08
    assert np.abs(pool.predictor.cost_mean / track.outcomes.cost.mean(axis=0) - 1).max() < 0.1


def test_what_a_question_asks_of_each_is_learned(pool):
    _, track = recorded(400, seed=7)
    predicted = pool.predictor.predict(track.features)
    is_hard = np.array([domain == "hard" for domain in track.prompts.labels["domain"]])
    gain = predicted.quality[:, LARGE] - predicted.quality[:, SMALL]
    assert gain[is_hard].mean() > gain[~is_hard].mean() + 0.3


def test_nothing_is_certified_but_something_aimed_at(pool):
    assert (pool.operating.certified == -1).all()
    assert (pool.operating.aimed >= 0).any()
    assert not pool.is_tried


def test_a_route_learned_so_goes_by_what_is_foreseen_and_promises_nothing(pool):
    words = word_table()
    base = artifact.unpacked(
        artifact.packed(training.to_artifact(training.train([a_track(120)], words), {"world": 120}))
    )
    made = artifact.unpacked(artifact.packed(training.with_tracks(base, {"auto": pool}, {"auto": 1200})))
    router = training.from_artifact(made)
    _, track = recorded(200, seed=8)
    candidates = [Deployment(name, Provider("p", "openai"), name) for name in ("large", "small")]
    asked = [Asked(10, 20, None, 0.1, {})] * len(track.features)
    found = forecasts(router, "auto", candidates, track.features, asked)
    assert not any(one.is_certified or one.strongest or one.cost_weight for one in found)
    assert all(one.quality_loss_max == 0.1 for one in found)
    assert {base.version, made.version} == training.alike(made)
    assert {base.version} == training.alike(base)


def test_too_few_answers_of_a_deployment_are_told():
    data, _ = recorded(ANSWERS_MIN)
    assert set(missing(data)) == {"large", "small"}
    assert missing(recorded()[0]) == {}
