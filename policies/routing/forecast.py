"""What a router expects of a route's deployments for one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gateway.domain import BYTES_PER_TOKEN, MILLION, NANO, Deployment, Forecast, Meter, Prediction, Route
from policies.expected_cost import list_cost_nusd
from policies.pricing import rates_of
from policies.routing.bands import Band
from policies.routing.operating import STRONGEST, cost_weight, row_of
from policies.routing.pool import Pool
from policies.routing.predictor import Floats, Predicted
from policies.routing.router import KnownPool, Router

# Of a request beside its question: names of fields and the like. What is beyond it was said before.
_FRAME_TOKENS = 64
_ANSWER_SHARE_MIN = 0.05  # of a predicted cost: whatever a question costs to read, its answer costs something
_NO_ROUTE = ""
_INPUT, _CACHED_INPUT = Meter.INPUT, Meter.CACHED_INPUT


class Asked(NamedTuple):
    """What else than its features counts of a question.

    ``question_tokens``: its own; ``input_tokens``: of the whole prompt; ``cached_tokens``: of that, what each upstream
    keeps, by deployment name. ``is_shifted``: the route's questions are no longer like those of its calibration.
    """

    question_tokens: int
    input_tokens: int
    output_tokens_max: int | None
    quality_loss_max: float
    cached_tokens: Mapping[str, int]
    is_shifted: bool = False


class _Told(NamedTuple):
    """What the router says of a pool."""

    predicted: Predicted
    band: Band | None


class _Expected(NamedTuple):
    """In nano-USD: what the question alone would cost, the whole prompt, and that less what an upstream keeps of it."""

    alone: float
    whole: float
    left: float


def forecast(
    router: Router,
    route: Route,
    candidates: Sequence[Deployment],
    question: str,
    *,
    input_tokens: int,
    output_tokens_max: int | None,
    quality_loss_max: float,
    cached_tokens: Mapping[str, int],
    is_shifted: bool = False,
) -> Forecast:
    """Quality and cost of each candidate. Of a route whose deployments were all calibrated, the certified point too."""
    question_tokens = -(-len(question.encode(errors="replace")) // BYTES_PER_TOKEN)
    asked = Asked(question_tokens, input_tokens, output_tokens_max, quality_loss_max, cached_tokens, is_shifted)
    return forecasts(router, route.name, candidates, router.features([question]), [asked])[0]


def forecasts(
    router: Router, route: str, candidates: Sequence[Deployment], features: Floats, asked: Sequence[Asked]
) -> list[Forecast]:
    """As ``forecast``, from features on: a row of them for each that is asked."""
    known = router.known.get(route)
    names = {one.name for one in candidates}
    if known is not None and names <= set(known.models):
        # What was learned of them says it all: neither prices nor lengths are looked at, so that one pool is for all.
        told = _told(router, features, _pool(route, candidates, asked[0]))
        return [_calibrated(router, known, candidates, told, row, features[row], one) for row, one in enumerate(asked)]
    found = []
    for row, one in enumerate(asked):
        told = _told(router, features[row : row + 1], _pool(_NO_ROUTE, candidates, one))
        costs = _costs(candidates, told.predicted.cost[0], one)
        found.append(_foreseen(router, candidates, told, 0, features[row], one, costs))
    return found


def _told(router: Router, features: Floats, pool: Pool) -> _Told:
    predicted = router.predict(features, pool)
    return _Told(predicted, router.band(predicted, pool))


def _calibrated(
    router: Router,
    known: KnownPool,
    candidates: Sequence[Deployment],
    told: _Told,
    row: int,
    features: Floats,
    asked: Asked,
) -> Forecast:
    costs = _costs(candidates, told.predicted.cost[row], asked)
    foreseen = _foreseen(router, candidates, told, row, features, asked, costs)
    if not known.is_tried:  # nothing could be certified of it: as good as what a catalog says, and better informed
        return foreseen
    strongest, target = known.models[known.strongest], row_of(asked.quality_loss_max)
    if asked.is_shifted or not known.is_kept(target):
        return replace(foreseen, strongest=strongest, quality_loss_max=0.0)
    # What was certified is the choice among all of them.
    is_certified = known.calibration is not None and {one.name for one in candidates} == set(known.models)
    point = known.point(target, features, int(told.predicted.kind[row]))
    if point == STRONGEST:
        return replace(foreseen, strongest=strongest, is_certified=is_certified)
    weight = float(cost_weight(point, told.predicted.familiarity[row])) / known.unit_usd / NANO
    return replace(foreseen, cost_weight=weight * _share_alone(costs), is_certified=is_certified)


def _foreseen(
    router: Router,
    candidates: Sequence[Deployment],
    told: _Told,
    row: int,
    features: Floats,
    asked: Asked,
    costs: Sequence[_Expected],
) -> Forecast:
    band = told.band
    return Forecast(
        router_version=router.version,
        predictions={
            one.name: Prediction(
                quality=round(float(told.predicted.quality[row, place]), 4),
                quality_low=None if band is None else round(float(band.low[row, place]), 4),
                quality_high=None if band is None else round(float(band.high[row, place]), 4),
                expected_cost_nusd=round(costs[place].left),
            )
            for place, one in enumerate(candidates)
        },
        quality_loss_max=asked.quality_loss_max,
        features=features.astype(np.float16).tobytes(),
        quality_loss_target=asked.quality_loss_max,
        question_tokens=asked.question_tokens,
    )


def _costs(candidates: Sequence[Deployment], usd: Floats, asked: Asked) -> Sequence[_Expected]:
    """``usd``: what each is predicted to cost for the question alone."""
    return [_expected(one, float(alone) * NANO, asked) for one, alone in zip(candidates, usd, strict=True)]


def _expected(one: Deployment, alone: float, asked: Asked) -> _Expected:
    """The question is priced as predicted; what was said before it, and what is kept of all that, at the list."""
    earlier_tokens = max(0, asked.input_tokens - asked.question_tokens - _FRAME_TOKENS)
    cached_tokens = asked.cached_tokens.get(one.name, 0)
    if one.tariff is None or not (earlier_tokens or cached_tokens):
        return _Expected(alone, alone, alone)
    input_tokens = asked.question_tokens + earlier_tokens
    rates = rates_of(one.tariff, input_tokens, None)
    question = min(asked.question_tokens * rates[_INPUT] / MILLION, (1 - _ANSWER_SHARE_MIN) * alone)
    whole = alone - question + input_tokens * rates[_INPUT] / MILLION
    kept = min(cached_tokens, input_tokens) * (rates[_INPUT] - rates[_CACHED_INPUT]) / MILLION
    return _Expected(alone, whole, whole - kept)


def _share_alone(costs: Sequence[_Expected]) -> float:
    """Which part of the costs is of the question alone, for which points are certified.

    What was said before it makes all answers dearer, by which none becomes better or worse: so much less a nano-dollar
    counts.
    """
    whole = sum(one.whole for one in costs)
    return sum(one.alone for one in costs) / whole if whole > 0 else 1.0


def _pool(track: str, candidates: Sequence[Deployment], asked: Asked) -> Pool:
    """The candidates as a pool: what their catalog says of their quality, and what an answer costs at their prices."""
    usd = [list_cost_nusd(one, asked.question_tokens, asked.output_tokens_max) / NANO for one in candidates]
    quality = [np.nan if one.quality is None else one.quality for one in candidates]
    unknown = np.full(len(candidates), np.nan)
    return Pool(
        track,
        tuple(one.name for one in candidates),
        np.array(quality, dtype=np.float64),
        np.array(usd),
        unknown,
        unknown,
        tuple(one.model for one in candidates),
    )
