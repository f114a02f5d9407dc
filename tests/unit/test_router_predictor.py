"""In a world in which it is known which prompts are hard, a router finds out, and says when it cannot know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from router_parts import POOL, a_track, prompts_of, word_table

from gateway.router.artifact import BadArtifact, packed, unpacked
from gateway.router.evaluation import judge
from gateway.router.training import from_artifact, to_artifact, train
from policies.routing.general import completed
from policies.routing.pool import Pool

WORDS = word_table()
NOTHING = np.full(2, np.nan)


@pytest.fixture(scope="module")
def router():
    return train([a_track(1200, words=WORDS)], WORDS)


@pytest.fixture(scope="module")
def new():
    return a_track(2000, seed=1, words=WORDS)


def test_the_small_model_is_chosen_for_what_is_easy_and_the_large_one_for_what_is_hard(router):
    texts, is_hard = prompts_of(300, seed=2)
    chosen = router.choose(router.predict(router.features(texts), POOL), POOL, 0.05)
    is_small = chosen.models == POOL.models.index("small")
    assert is_small[~is_hard].mean() > 0.75, "but for those that look strange"
    assert is_small[is_hard].mean() < 0.2


def test_the_stated_loss_is_kept_on_other_prompts_and_certified(router, new):
    found = judge(router, [new], 0.05)
    safe = router.choose(router.predict(new.features, POOL), POOL, 0.05, must_be_certified=True)
    assert safe.is_certified
    assert found.macro["certified quality"] >= 94, "95, less two standard errors of 2,000 prompts"
    assert found.macro["certified saved"] >= 40
    assert found.macro["saved"] >= found.macro["certified saved"]


def test_a_looser_target_never_costs_more(router, new):
    predicted = router.predict(new.features, POOL)
    rows = np.arange(len(new.prompts))
    costs = [
        new.outcomes.cost[rows, router.choose(predicted, POOL, loss_max, must_be_certified=True).models].sum()
        for loss_max in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
    ]
    assert costs == sorted(costs, reverse=True)


def test_what_is_not_familiar_is_predicted_to_be_as_always(router):
    strange = router.features(["ζ" * 3000, "{}[]" * 800])
    predicted = router.predict(strange, POOL)
    known = router.known["world"].predictor
    np.testing.assert_allclose(predicted.familiarity, 0)
    np.testing.assert_allclose(predicted.quality, np.tile(known.quality_mean, (2, 1)), atol=1e-6)
    np.testing.assert_allclose(predicted.cost, np.tile(known.cost_mean, (2, 1)), rtol=1e-5)
    chosen = router.choose(predicted, POOL, 0.1)
    assert list(chosen.models) == [POOL.models.index("large")] * 2


def test_mean_predictions_are_the_means_of_what_happened(router, new):
    predicted = router.predict(new.features, POOL)
    np.testing.assert_allclose(predicted.quality.mean(axis=0), new.outcomes.score.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(predicted.cost.mean(axis=0), new.outcomes.cost.mean(axis=0), rtol=0.05)


def test_a_pool_that_nobody_calibrated_gets_its_strongest_model_and_no_promise(router, new):
    other = Pool("other", ("a", "b"), np.array([0.5, 0.7]), np.array([1.0, 2.0]), NOTHING, NOTHING)
    predicted = router.predict(new.features, other)
    chosen = router.choose(predicted, other, 0.1)
    assert not chosen.is_certified
    assert set(chosen.models) == {1}
    assert ((predicted.quality >= 0) & (predicted.quality <= 1)).all()


def test_a_model_that_came_later_is_predicted_from_its_averages_beside_the_learned_ones(router, new):
    grown = Pool(
        "world",
        ("large", "newcomer", "small"),
        np.array([0.9, 0.8, 0.6]),
        np.array([0.01, 0.002, 0.001]),
        *np.full((2, 3), np.nan),
    )
    predicted, learned = router.predict(new.features, grown), router.predict(new.features, POOL)
    np.testing.assert_array_equal(predicted.quality[:, [0, 2]], learned.quality)
    assert abs(predicted.quality[:, 1].mean() - 0.8) < 0.1
    assert not router.choose(predicted, grown, 0.1).is_certified


def test_a_router_that_was_written_and_read_says_the_same(router, new):
    again = from_artifact(unpacked(packed(to_artifact(router, {"world": 1200}))))
    assert len(again.version) == 12
    for one, other in zip(router.predict(new.features, POOL), again.predict(new.features, POOL), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.choose(again.predict(new.features, POOL), POOL, 0.02).is_certified == (
        router.choose(router.predict(new.features, POOL), POOL, 0.02).is_certified
    )


def test_training_twice_makes_the_same_file(router):
    again = train([a_track(1200, words=WORDS)], WORDS)
    assert packed(to_artifact(again, {"world": 1200})) == packed(to_artifact(router, {"world": 1200}))


def test_a_router_that_predicts_no_numbers_is_refused(router):
    artifact = to_artifact(router, {})
    for name in ("0/quality_weights", "0/cost_mean", "general/weights", "general/cost_at_centre"):
        broken = artifact.arrays[name] * np.float32("nan")
        with pytest.raises(BadArtifact, match="no numbers"):
            from_artifact(replace(artifact, arrays={**artifact.arrays, name: broken}))
    with pytest.raises(BadArtifact, match="lacks something"):
        from_artifact(replace(artifact, arrays={}))
    short = artifact.arrays["0/quality_weights"][:-1]
    with pytest.raises(BadArtifact, match="fit together"):
        from_artifact(replace(artifact, arrays={**artifact.arrays, "0/quality_weights": short}))


def test_what_is_not_known_of_models_follows_from_their_prices():
    models = ("a", "b", "c")
    unknown = np.full(3, np.nan)
    prices = np.array([1.0, 2.0, 4.0])
    quality, usd = completed(Pool("x", models, np.array([0.5, np.nan, 0.9]), unknown, prices, prices))
    assert list(usd) == sorted(usd)
    assert 0.5 < quality[1] < 0.9
    quality, _ = completed(Pool("x", models, unknown, unknown, prices, prices))
    assert list(quality) == sorted(quality)
    quality, usd = completed(Pool("x", models, unknown, unknown, unknown, unknown))
    assert np.isfinite(quality).all()
    assert list(usd) == [0, 0, 0]
    quality, usd = completed(Pool("x", ("a",), np.array([0.7]), np.array([0.0]), unknown[:1], unknown[:1]))
    assert (quality[0], usd[0]) == (0.7, 0.0)
