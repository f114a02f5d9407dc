"""What a router expects of a route's deployments for one question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.domain import NANO, Deployment, Forecast, Prediction, Route, Usage
from policies.pricing import charge
from policies.routing.operating import LAMBDAS, STRONGEST, row_of
from policies.routing.pool import Pool
from policies.routing.predictor import Predicted
from policies.routing.router import KnownPool, Router

#: What an answer is taken to be long where nothing was learned of it: the mean of the public benchmarks, and some more.
OUTPUT_TOKENS = 300
_NO_ROUTE = ""


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
    names = tuple(one.name for one in candidates)
    known = router.known.get(route.name)
    is_calibrated = known is not None and set(names) <= set(known.models)
    features = router.features([question])
    predicted = router.predict(
        features, _pool(route.name if is_calibrated else _NO_ROUTE, candidates, input_tokens, output_tokens_max)
    )
    weight, strongest = None, None
    if known is not None and is_calibrated:
        weight = _certified_weight(known, predicted, quality_loss_max)
        strongest = known.models[known.strongest] if weight is None else None
    return Forecast(
        router_version=router.version,
        predictions={
            name: Prediction(
                quality=round(float(predicted.quality[0, place]), 4),
                expected_cost_nusd=round(float(predicted.cost[0, place]) * NANO),
            )
            for place, name in enumerate(names)
        },
        quality_loss_max=0.0 if strongest is not None else quality_loss_max,
        cost_weight=weight,
        strongest=strongest,
        # What was certified is the choice among all of them.
        is_certified=weight is not None and known is not None and set(names) == set(known.models),
        features=features[0].astype(np.float16).tobytes(),
    )


def _certified_weight(known: KnownPool, predicted: Predicted, loss_max: float) -> float | None:
    """How much quality a nano-dollar is worth at the certified point; ``None`` where nothing is certified."""
    point = int(known.operating.certified[row_of(loss_max)])
    if point == STRONGEST:
        return None
    return float(LAMBDAS[point] * predicted.familiarity[0] / known.unit_usd / NANO)


def _pool(track: str, candidates: Sequence[Deployment], input_tokens: int, output_tokens_max: int | None) -> Pool:
    """The candidates as a pool: what their catalog says of their quality, and what an answer costs at their prices."""
    output_tokens = min(OUTPUT_TOKENS, output_tokens_max or OUTPUT_TOKENS)
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    usd = [0.0 if one.tariff is None else charge(one.tariff, usage, None).cost_nusd / NANO for one in candidates]
    quality = [np.nan if one.quality is None else one.quality for one in candidates]
    unknown = np.full(len(candidates), np.nan)
    return Pool(track, tuple(one.name for one in candidates), np.array(quality), np.array(usd), unknown, unknown)
