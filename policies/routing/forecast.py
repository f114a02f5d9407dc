"""What a router expects of a route's deployments for one question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gateway.domain import NANO, Deployment, Forecast, Prediction, Route, Usage
from policies.pricing import charge
from policies.routing.bands import Band
from policies.routing.operating import LAMBDAS, STRONGEST, row_of
from policies.routing.pool import Pool
from policies.routing.predictor import Floats, Predicted
from policies.routing.router import KnownPool, Router

#: What an answer is taken to be long where nothing was learned of it: the mean of the public benchmarks, and some more.
OUTPUT_TOKENS = 300
_NO_ROUTE = ""


class Asked(NamedTuple):
    """What else than its features counts of a question."""

    input_tokens: int
    output_tokens_max: int | None
    quality_loss_max: float


class _Told(NamedTuple):
    """What the router says of a pool."""

    predicted: Predicted
    band: Band | None


def forecast(
    router: Router,
    route: Route,
    candidates: Sequence[Deployment],
    question: str,
    *,
    input_tokens: int,
    output_tokens_max: int | None,
    quality_loss_max: float,
) -> Forecast:
    """Quality and cost of each candidate. Of a route whose deployments were all calibrated, the certified point too."""
    asked = Asked(input_tokens, output_tokens_max, quality_loss_max)
    return forecasts(router, route.name, candidates, router.features([question]), [asked])[0]


def forecasts(
    router: Router, route: str, candidates: Sequence[Deployment], features: Floats, asked: Sequence[Asked]
) -> list[Forecast]:
    """As ``forecast``, from features on: a row of them for each that is asked."""
    names = tuple(one.name for one in candidates)
    known = router.known.get(route)
    is_calibrated = known is not None and set(names) <= set(known.models)
    if known is not None and is_calibrated:
        # What was learned of them says it all: neither prices nor lengths are looked at, so that one pool is for all.
        told = _told(router, features, _pool(route, candidates, asked[0]))
        return [_calibrated(router, known, names, told, row, features[row], one) for row, one in enumerate(asked)]
    found = []
    for row, one in enumerate(asked):
        told = _told(router, features[row : row + 1], _pool(_NO_ROUTE, candidates, one))
        found.append(_foreseen(router, names, told, 0, features[row], one))
    return found


def _told(router: Router, features: Floats, pool: Pool) -> _Told:
    predicted = router.predict(features, pool)
    return _Told(predicted, router.band(predicted, pool))


def _calibrated(
    router: Router,
    known: KnownPool,
    names: tuple[str, ...],
    told: _Told,
    row: int,
    features: Floats,
    asked: Asked,
) -> Forecast:
    foreseen = _foreseen(router, names, told, row, features, asked)
    weight = _certified_weight(known, float(told.predicted.familiarity[row]), asked.quality_loss_max)
    if weight is None:
        return replace(foreseen, strongest=known.models[known.strongest], quality_loss_max=0.0)
    # What was certified is the choice among all of them.
    return replace(foreseen, cost_weight=weight, is_certified=set(names) == set(known.models))


def _foreseen(
    router: Router, names: tuple[str, ...], told: _Told, row: int, features: Floats, asked: Asked
) -> Forecast:
    band = told.band
    return Forecast(
        router_version=router.version,
        predictions={
            name: Prediction(
                quality=round(float(told.predicted.quality[row, place]), 4),
                quality_low=None if band is None else round(float(band.low[row, place]), 4),
                quality_high=None if band is None else round(float(band.high[row, place]), 4),
                expected_cost_nusd=round(float(told.predicted.cost[row, place]) * NANO),
            )
            for place, name in enumerate(names)
        },
        quality_loss_max=asked.quality_loss_max,
        features=features.astype(np.float16).tobytes(),
        quality_loss_target=asked.quality_loss_max,
    )


def _certified_weight(known: KnownPool, familiarity: float, loss_max: float) -> float | None:
    """How much quality a nano-dollar is worth at the certified point; ``None`` where nothing is certified."""
    point = int(known.operating.certified[row_of(loss_max)])
    if point == STRONGEST:
        return None
    return float(LAMBDAS[point] * familiarity / known.unit_usd / NANO)


def _pool(track: str, candidates: Sequence[Deployment], asked: Asked) -> Pool:
    """The candidates as a pool: what their catalog says of their quality, and what an answer costs at their prices."""
    output_tokens = min(OUTPUT_TOKENS, asked.output_tokens_max or OUTPUT_TOKENS)
    usage = Usage(input_tokens=asked.input_tokens, output_tokens=output_tokens)
    usd = [0.0 if one.tariff is None else charge(one.tariff, usage, None).cost_nusd / NANO for one in candidates]
    quality = [np.nan if one.quality is None else one.quality for one in candidates]
    unknown = np.full(len(candidates), np.nan)
    return Pool(track, tuple(one.name for one in candidates), np.array(quality), np.array(usd), unknown, unknown)
