"""What a router expects of a route's deployments for one question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gateway.domain import BYTES_PER_TOKEN, MILLION, NANO, Deployment, Forecast, Prediction, Route
from policies.expected_cost import usual_tokens
from policies.routing.descriptors import prior
from policies.routing.offer import Offer, offer_of
from policies.routing.operating import STRONGEST, cost_weight, row_of
from policies.routing.pool import Pool
from policies.routing.predictor import Floats
from policies.routing.router import KnownPool, Router

# Of a request beside its question: names of fields and the like. What is beyond it was said before.
_FRAME_TOKENS = 64
_ANSWER_SHARE_MIN = 0.05  # of a predicted cost: whatever a question costs to read, its answer costs something
_STEPS = 10_000  # of a predicted quality


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
    """What the router says of each candidate for one question. ``low``, ``high``: empty where no band is known."""

    quality: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    usd: Sequence[float]
    familiarity: float
    kind: int


class _Costs(NamedTuple):
    """Of each candidate in nano-USD: the question alone, the whole prompt, that less what an upstream keeps of it."""

    alone: Sequence[float]
    whole: Sequence[float]
    left: Sequence[float]


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
    known, offer = router.known.get(route), offer_of(candidates)
    if known is not None and set(offer.names) <= set(known.models):
        # What was learned of them says it all: neither prices nor lengths are looked at, so that one pool is for all.
        unknown = np.full(len(offer.names), np.nan)
        told = _learned(
            router, features, Pool(route, offer.names, offer.quality, unknown, unknown, unknown, offer.models)
        )
        return [
            _calibrated(router, known, offer, one, row, ask)
            for row, one, ask in zip(features, told, asked, strict=True)
        ]
    return [
        _foreseen(router, offer, _general(router, offer, row, ask), row, ask)[0]
        for row, ask in zip(features, asked, strict=True)
    ]


def _learned(router: Router, features: Floats, pool: Pool) -> Iterator[_Told]:
    """What a router knows of models that it was trained on."""
    predicted = router.predict(features, pool)
    band = router.band(predicted, pool)
    nothing: list[list[float]] = [[]] * len(features)
    return map(
        _Told,
        predicted.quality.tolist(),
        nothing if band is None else band.low.tolist(),
        nothing if band is None else band.high.tolist(),
        predicted.cost.tolist(),
        predicted.familiarity.tolist(),
        predicted.kind.tolist(),
    )


def _general(router: Router, offer: Offer, features: Floats, asked: Asked) -> _Told:
    """What can be said of any models, by what their catalog says of them, and what an answer costs at their prices."""
    nusd = offer.list_costs_nusd(asked.question_tokens, usual_tokens(asked.output_tokens_max))
    usd = [one / NANO for one in nusd]
    quality = offer.described or prior(offer.models, usd, offer.stated)
    foreseen = router.general.foresee(features, quality, usd)
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    if router.general_bands is not None:
        low, high = router.general_bands.of_one(foreseen.quality, offer.is_stated)
    return _Told(foreseen.quality, low, high, foreseen.cost, foreseen.familiarity, 0)


def _calibrated(
    router: Router, known: KnownPool, offer: Offer, told: _Told, features: Floats, asked: Asked
) -> Forecast:
    foreseen, costs = _foreseen(router, offer, told, features, asked)
    if not known.is_tried:  # nothing could be certified of it: as good as what a catalog says, and better informed
        return foreseen
    strongest, target = known.models[known.strongest], row_of(asked.quality_loss_max)
    if asked.is_shifted or not known.is_kept(target):
        return replace(foreseen, strongest=strongest, quality_loss_max=0.0)
    # What was certified is the choice among all of them.
    is_certified = known.calibration is not None and set(offer.names) == set(known.models)
    point = known.point(target, features, told.kind)
    if point == STRONGEST:
        return replace(foreseen, strongest=strongest, is_certified=is_certified)
    weight = float(cost_weight(point, np.array(told.familiarity))) / known.unit_usd / NANO
    return replace(foreseen, cost_weight=weight * _share_alone(costs), is_certified=is_certified)


def _foreseen(router: Router, offer: Offer, told: _Told, features: Floats, asked: Asked) -> tuple[Forecast, _Costs]:
    costs = _costs(offer, told.usd, asked)
    unknown = (None,) * len(offer.names)
    low, high = (_rounded(told.low), _rounded(told.high)) if told.low else (unknown, unknown)
    predictions = map(Prediction, _rounded(told.quality), low, high, map(round, costs.left))
    forecast = Forecast(
        router_version=router.version,
        predictions=dict(zip(offer.names, predictions, strict=True)),
        quality_loss_max=asked.quality_loss_max,
        features=features.astype(np.float16).tobytes(),
        quality_loss_target=asked.quality_loss_max,
        question_tokens=asked.question_tokens,
    )
    return forecast, costs


def _rounded(values: Sequence[float]) -> Sequence[float]:
    """To four places, in a quarter of the time of ``round(one, 4)``."""
    return [round(one * _STEPS) / _STEPS for one in values]


def _costs(offer: Offer, usd: Sequence[float], asked: Asked) -> _Costs:
    """``usd``: what each is predicted to cost for the question alone.

    The question is priced as predicted; what was said before it, and what is kept of all that, at the list.
    """
    alone = [one * NANO for one in usd]
    earlier_tokens = max(0, asked.input_tokens - asked.question_tokens - _FRAME_TOKENS)
    if not earlier_tokens and not asked.cached_tokens:
        return _Costs(alone, alone, alone)
    whole, left = list(alone), list(alone)
    input_tokens = asked.question_tokens + earlier_tokens
    for at, rates in enumerate(offer.rates_at(input_tokens)):
        cached_tokens = asked.cached_tokens.get(offer.names[at], 0)
        if rates is None or not (earlier_tokens or cached_tokens):
            continue
        question = min(asked.question_tokens * rates.input / MILLION, (1 - _ANSWER_SHARE_MIN) * alone[at])
        whole[at] = alone[at] - question + input_tokens * rates.input / MILLION
        left[at] = whole[at] - min(cached_tokens, input_tokens) * (rates.input - rates.cached_input) / MILLION
    return _Costs(alone, whole, left)


def _share_alone(costs: _Costs) -> float:
    """Which part of the costs is of the question alone, for which points are certified.

    What was said before it makes all answers dearer, by which none becomes better or worse: so much less a nano-dollar
    counts.
    """
    whole = sum(costs.whole)
    return sum(costs.alone) / whole if whole > 0 else 1.0
