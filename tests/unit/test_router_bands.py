"""A prediction says how far it is to be believed: the band in which the mean score of such prompts lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pipeline_parts import deployment
from router_parts import HARD, POOL, RATES, a_track, prompts_of, word_table

from gateway.domain import Route
from gateway.router.artifact import BadArtifact, packed, unpacked
from gateway.router.training import from_artifact, to_artifact, train
from policies.routing.forecast import forecast
from policies.routing.pool import Pool

WORDS = word_table()
UNKNOWN = np.full(2, np.nan)


@pytest.fixture(scope="module")
def router():
    other = a_track(400, seed=3, words=WORDS, track="other")
    return train([a_track(2000, words=WORDS), replace(other, pool=replace(other.pool, track="other"))], WORDS)


def test_nine_bands_of_ten_hold_the_mean_score_of_the_prompts_that_are_predicted_so(router):
    texts, is_hard = prompts_of(3000, seed=4)
    found = router.predict(router.features(texts), POOL)
    band = router.band(found, POOL)
    chances = np.stack([np.where(is_hard, RATES[one][1], RATES[one][0]) for one in POOL.models], axis=1)
    bins = (found.quality[:, :, None] >= router.known["world"].bands.edges).sum(axis=2)
    held = []
    for model in range(2):
        for one in np.unique(bins[:, model]):
            rows = bins[:, model] == one
            held.append(band.low[rows, model].mean() <= chances[rows, model].mean() <= band.high[rows, model].mean())
    assert len(held) > 10
    assert np.mean(held) >= 0.8, "nine of ten, less what chance takes"
    assert ((band.low <= found.quality.clip(0, 1)) & (found.quality.clip(0, 1) <= band.high)).all()


def test_the_stranger_the_prompt_the_wider_its_band(router):
    texts = [prompts_of(1)[0][0], "ζ" * 3000]
    found = router.predict(router.features(texts), POOL)
    width = np.subtract(*reversed(router.band(found, POOL)))
    assert found.familiarity[0] > found.familiarity[1] == 0
    small, large = POOL.models.index("small"), POOL.models.index("large")
    assert width[1, large] > 0.9 * width[0, large], "it answers nine of ten of either kind"
    assert width[1, small] > max(0.6, width[0, small]), (
        "it answers nine of ten easy questions, and one of ten hard ones"
    )


def test_of_models_that_nobody_calibrated_the_band_is_as_wide_as_other_pools_were_mistaken(router):
    found = router.features([f"What is the {HARD[0]} of the {HARD[1]}?"])
    stated = Pool("new", ("a", "b"), np.array([0.6, 0.8]), np.array([1.0, 2.0]), UNKNOWN, UNKNOWN)
    predicted = router.predict(found, stated)
    band, (low, high) = router.band(predicted, stated), router.general_bands.stated
    np.testing.assert_allclose(band.low, np.clip(predicted.quality + low, 0, 1))
    np.testing.assert_allclose(band.high, np.clip(predicted.quality + high, 0, 1))
    guessed = replace(stated, quality=UNKNOWN)
    assert not np.array_equal(router.band(router.predict(found, guessed), guessed).high, band.high)


def test_learned_and_other_models_of_one_pool_have_each_their_own_band(router):
    found = router.features(prompts_of(5, seed=6)[0])
    grown = Pool(
        "world", ("large", "newcomer", "small"), *np.array([[0.9, 0.8, 0.6], [3, 2, 1]]), *np.full((2, 3), np.nan)
    )
    band = router.band(router.predict(found, grown), grown)
    learned = router.band(router.predict(found, POOL), POOL)
    np.testing.assert_array_equal(band.low[:, [0, 2]], learned.low)
    general = Pool("none", ("newcomer",), np.array([0.8]), np.array([2.0]), UNKNOWN[:1], UNKNOWN[:1])
    assert band.low[0, 1] < router.predict(found, grown).quality[0, 1].clip(0, 1) <= band.high[0, 1]
    assert router.band(router.predict(found, general), general) is not None


def test_bands_are_kept_with_the_router_and_a_file_from_before_has_none(router):
    artifact = to_artifact(router, {})
    found = router.predict(router.features(prompts_of(20, seed=5)[0]), POOL)
    again = from_artifact(unpacked(packed(artifact)))
    for one, other in zip(router.band(found, POOL), again.band(found, POOL), strict=True):
        np.testing.assert_array_equal(one, other)
    older = from_artifact(
        replace(artifact, arrays={name: one for name, one in artifact.arrays.items() if "/bands/" not in name})
    )
    assert older.band(found, POOL) is None
    told = forecast(
        older,
        Route("world", ("large", "small"), "cheapest_adequate"),
        [deployment("large", 1, 1), deployment("small", 1, 1)],
        "x",
        input_tokens=1,
        output_tokens_max=None,
        quality_loss_max=0.1,
        cached_tokens={},
    )
    assert all(one.quality is not None and one.quality_low is None for one in told.predictions.values())


def test_bands_that_do_not_fit_are_refused(router):
    artifact = to_artifact(router, {})
    for name in ("1/bands/edges", "1/bands/familiar", "1/bands/strange"):
        arrays = {**artifact.arrays, name: artifact.arrays[name][:1]}
        with pytest.raises(BadArtifact, match="for another number"):
            from_artifact(replace(artifact, arrays=arrays))


def test_one_pool_alone_teaches_nothing_about_others():
    alone = train([a_track(300, words=WORDS)], WORDS)
    other = Pool("new", ("a", "b"), np.array([0.6, 0.8]), np.array([1.0, 2.0]), UNKNOWN, UNKNOWN)
    assert alone.band(alone.predict(alone.features(["x"]), other), other) is None
