"""What a calibration records: what was lost and saved, of which slices, and that no slice pays for the others."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from pipeline_parts import deployment
from router_parts import a_track, prompts_of, word_table

from gateway.domain import Route
from gateway.domain.guarantee import Shift
from gateway.router.artifact import BadArtifact, packed, unpacked
from gateway.router.calibrating import calibration
from gateway.router.data import Prompts
from gateway.router.fitting import Lessons
from gateway.router.training import from_artifact, known_pool, to_artifact, train
from policies.routing.calibration import HELD_MIN, SLICE_LOSS_RATIO
from policies.routing.forecast import Asked, forecast, forecasts
from policies.routing.guarantee import guarantee
from policies.routing.operating import STRONGEST, TARGETS, calibrated, row_of
from policies.routing.predictor import Predicted

WORDS = word_table()
COUNT = 1600
DEPLOYMENTS = [deployment("large", 10, 20), deployment("small", 1, 2)]
ROUTE = Route("world", ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.05)


@pytest.fixture(scope="module")
def router():
    return train([a_track(1500, words=WORDS)], WORDS, calibrated_at=1_800_000_000.0)


def measured(lost, texts, *, kinds, domains):
    """The record where ``lost`` is what the small model loses of each prompt, and none of it is foreseen."""
    count = len(lost)
    score = np.stack([np.ones(count), 1 - lost], axis=1)
    cost = np.tile([1.0, 0.1], (count, 1))
    predicted = Predicted(
        np.tile([0.99, 0.98], (count, 1)), cost, np.ones(count), np.unique(kinds, return_inverse=True)[1]
    )
    pids = tuple(map(str, range(count)))
    lessons = Lessons(np.zeros((count, 290)), score, cost, kinds, pids)
    operating = calibrated(predicted, score, cost, 0, 1.0)
    prompts = Prompts("world", pids, texts, {"domain": tuple(domains)})
    return calibration(predicted, lessons, prompts, operating, strongest=0, unit_usd=1.0, calibrated_at=None)


def uneven(share_lost, *, is_seen):
    """An eighth of the prompts are of law, of which the small model loses that share."""
    is_law = np.arange(COUNT) % 8 == 0
    lost = (is_law & (np.arange(COUNT) % 80 < 80 * share_lost)).astype(float)
    domains = np.where(is_law, "law", "all else")
    kinds = domains if is_seen else np.full(COUNT, "/")
    return measured(lost, ("What is it?",) * COUNT, kinds=kinds, domains=domains)


def lost_of(record, target, value):
    at = next(at for at, one in enumerate(record.slices) if one.value == value)
    return float(record.slice_loss[row_of(target), at]), float(record.slice_saving[row_of(target), at])


def test_a_slice_that_loses_too_much_is_answered_by_a_stronger_model_and_the_others_are_not():
    record = uneven(0.3, is_seen=True)
    assert record.is_kept(row_of(0.1))
    assert lost_of(record, 0.1, "law") == (0.0, 0.0)
    assert lost_of(record, 0.1, "all else") == pytest.approx((0.0, 0.9))


def test_where_a_slice_cannot_be_told_apart_nothing_is_certified_that_would_break_its_limit():
    record = uneven(0.3, is_seen=False)
    assert lost_of(record, 0.1, "law") == (0.0, 0.0)
    assert lost_of(record, 0.1, "all else") == (0.0, 0.0), "the strongest model answers all"
    assert lost_of(record, 0.2, "all else") == pytest.approx((0.0, 0.9)), "twice that is more than law loses"


def test_a_slice_within_its_limit_costs_nothing():
    assert lost_of(uneven(0.1, is_seen=True), 0.1, "law") == pytest.approx((0.1, 0.9))


def test_no_slice_of_a_hundred_loses_more_than_twice_a_target_that_is_kept():
    record = known_pool(a_track(1500, seed=4, words=WORDS)).calibration
    held = np.array([one.prompts >= HELD_MIN for one in record.slices])
    kept = record.points != STRONGEST
    assert kept.any()
    assert {one.dimension for one in record.slices} == {"language", "length", "domain", "tools"}
    limits = SLICE_LOSS_RATIO * TARGETS[kept, None]
    assert (record.slice_loss[kept][:, held] <= limits + 1e-6).all()
    assert (record.slice_loss_upper >= record.slice_loss).all()


def test_losses_and_savings_are_those_of_the_choices_that_are_made(router):
    """On other prompts of the same world the figures are what the record says, give or take chance."""
    new = a_track(2000, seed=8, words=WORDS)
    record = router.known["world"].calibration
    asked = [Asked(9, 9, None, 0.05, {})] * len(new.prompts)
    chosen = []
    for found in forecasts(router, "world", DEPLOYMENTS, new.features, asked):
        large, small = found.predictions["large"], found.predictions["small"]
        dearer_nusd = large.expected_cost_nusd - small.expected_cost_nusd
        chosen.append(int(large.quality - small.quality < found.cost_weight * dearer_nusd))
        assert found.is_certified
    rows = np.arange(len(chosen))
    loss = 1 - new.outcomes.score[rows, chosen].mean() / new.outcomes.score[:, 0].mean()
    saving = 1 - new.outcomes.cost[rows, chosen].sum() / new.outcomes.cost[:, 0].sum()
    assert loss == pytest.approx(float(record.loss[row_of(0.05)]), abs=0.03)
    assert saving == pytest.approx(float(record.saving[row_of(0.05)]), abs=0.05)


def test_the_record_is_in_the_artifact_and_one_that_does_not_fit_is_refused(router):
    artifact = to_artifact(router, {})
    record, again = (
        router.known["world"].calibration,
        from_artifact(unpacked(packed(artifact))).known["world"].calibration,
    )
    assert (again.prompts, again.calibrated_at, again.slices, again.recognised) == (
        *(1500, 1_800_000_000.0),
        *(record.slices, record.recognised),
    )
    for name in ("points", "caps", "loss", "saving", "slice_loss", "slice_loss_upper", "slice_saving", "familiarity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(record, name))
    arrays = dict(artifact.arrays)
    arrays["0/calibration/slice_loss"] = arrays["0/calibration/slice_loss"][:, 1:]
    with pytest.raises(BadArtifact, match="not of all targets and slices"):
        from_artifact(replace(artifact, arrays=arrays))


def test_a_router_from_before_there_were_records_serves_and_promises_nothing(router):
    artifact = to_artifact(router, {})
    about = msgspec.json.decode(artifact.about)
    del about["calibrations"]
    arrays = {name: array for name, array in artifact.arrays.items() if "/calibration/" not in name}
    older = from_artifact(replace(artifact, about=msgspec.json.encode(about), arrays=arrays))
    found = forecast(
        older,
        ROUTE,
        DEPLOYMENTS,
        "Which?",
        input_tokens=9,
        output_tokens_max=None,
        quality_loss_max=0.05,
        cached_tokens={},
    )
    assert found.cost_weight is not None
    assert not found.is_certified
    told = guarantee(ROUTE, older.known, "older")
    assert (told.certified, told.n) == (False, 0)
    assert "no record of its calibration" in told.text


def test_what_is_promised_is_told_in_figures_and_in_words(router):
    told = guarantee(ROUTE, router.known, "v1")
    record = router.known["world"].calibration
    assert (told.target, told.certified, told.confidence, told.n) == (0.05, True, 0.95, 1500)
    assert told.last_calibration == "2027-01-15T08:00:00Z"
    assert (told.fallback, told.deployments, told.router_version) == ("large", ("large", "small"), "v1")
    assert told.saving == round(float(record.saving[row_of(0.05)]), 4) > 0.3
    assert {one.slice for one in told.slices} == {"language", "length", "domain", "tools"}
    assert sum(one.n for one in told.slices if one.slice == "domain") == 1500
    assert told.text.startswith("With 95% confidence world loses at most 5.0% of the quality of always asking large:")


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (replace(ROUTE, policy="ordered"), "the policy ordered makes no promise"),
        (replace(ROUTE, name="other"), "the router v1 was not calibrated for a route of this name"),
        (replace(ROUTE, deployments=("large", "tiny")), "it was calibrated for large, small and has large, tiny"),
    ],
)
def test_a_route_that_was_not_calibrated_as_it_is_has_no_promise(router, route, why):
    told = guarantee(route, router.known, "v1")
    assert (told.certified, told.n, told.last_calibration, told.slices) == (False, 0, None, ())
    assert told.text.startswith("uncertified: ")
    assert why in told.text
    assert guarantee(route, None, None).certified is False


def test_a_target_that_is_not_kept_and_a_shift_are_told_with_who_answers(router):
    strict = guarantee(replace(ROUTE, quality_loss_max=0.0), router.known, "v1")
    assert (strict.certified, strict.loss, strict.saving, strict.n) == (False, 0.0, 0.0, 1500)
    assert strict.text == "uncertified: a loss of at most 0.0% cannot be certified on its 1,500 prompts; large answers."
    shift = Shift(True, "2026-11-29T00:00:00Z", 200, 0.9, "they are strange")
    shifted = guarantee(ROUTE, router.known, "v1", shift)
    assert (shifted.certified, shifted.shift) == (False, shift)
    assert "since 2026-11-29T00:00:00Z" in shifted.text


def test_while_its_questions_are_shifted_a_route_asks_its_strongest_deployment_and_claims_nothing(router):
    for text in prompts_of(20, seed=3)[0]:
        found = forecast(
            *(router, ROUTE, DEPLOYMENTS, text),
            input_tokens=9,
            output_tokens_max=None,
            quality_loss_max=0.05,
            cached_tokens={},
            is_shifted=True,
        )
        assert (found.strongest, found.cost_weight, found.is_certified) == ("large", None, False)
