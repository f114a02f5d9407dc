"""Learns from recorded decisions that somebody judged: of each prompt only the outcome of whoever answered is known.

Policies that take the best place by what they know give every other deployment no chance, so that outcomes cannot be
weighted by it. Instead each deployment has a ridge of its own over the features of the prompts that it answered, shrunk
to its mean as far as these are few or say nothing. Whoever answers the hard prompts is not taken for the weaker one:
means are those that the ridge expects over all prompts. Nothing is certified by this, since no two deployments were
tried on the same prompts: the routes aim, and say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.router.fitting import FOLDS, Partial, fit_partial
from policies.routing.operating import Judged, calibrated
from policies.routing.predictor import Predicted
from policies.routing.router import KnownPool

Floats = NDArray[np.float64]

ANSWERS_MIN = 100  # judged ones of every deployment: fewer say too little of what it makes of a prompt


class Recorded(NamedTuple):
    """Judged answers of one route, oldest first: who gave each (as an index), of which prompt, how good, in USD."""

    models: tuple[str, ...]
    chosen: NDArray[np.int64]
    features: Floats
    score: Floats
    cost: Floats


def missing(recorded: Recorded) -> dict[str, int]:
    """The deployments of which too little is known, and how many judged answers each has."""
    counts = np.bincount(recorded.chosen, minlength=len(recorded.models)).tolist()
    return {name: count for name, count in zip(recorded.models, counts, strict=True) if count < ANSWERS_MIN}


def learned(recorded: Recorded) -> KnownPool:
    """The pool, aimed and not certified. Every deployment has ``ANSWERS_MIN`` answers."""
    partial = Partial(recorded.features, recorded.chosen, recorded.score, recorded.cost, len(recorded.models))
    predictor = fit_partial(partial)
    expected = predictor.predict(recorded.features.astype(np.float32))
    rows = np.arange(len(recorded.chosen))
    score, cost = np.clip(expected.quality, 0, 1), expected.cost.copy()
    score[rows, recorded.chosen], cost[rows, recorded.chosen] = recorded.score, recorded.cost
    strongest = int(np.argmax(predictor.quality_mean))
    unit_usd = float(np.float32(cost[:, strongest].mean()))
    unproven = Judged(np.ones(len(rows), np.bool_), np.full_like(score, np.nan))
    operating = calibrated(_out_of_fold(partial), score, cost, strongest, unit_usd, unproven)
    return KnownPool(recorded.models, predictor, operating, strongest, unit_usd)


def _out_of_fold(partial: Partial) -> Predicted:
    count = len(partial.chosen)
    parts: list[Predicted] = []
    folds = np.arange(count) % FOLDS
    for fold in range(FOLDS):
        held = folds == fold
        parts.append(fit_partial(partial.where(~held)).predict(partial.features[held].astype(np.float32)))
    order = np.argsort(np.concatenate([np.flatnonzero(folds == fold) for fold in range(FOLDS)]))
    return Predicted(*(np.concatenate(arrays)[order] for arrays in zip(*parts, strict=True)))


def vectors(raw: Sequence[bytes]) -> Floats:
    """Features as decisions keep them: half precision, one after the other."""
    return np.stack([np.frombuffer(one, dtype=np.float16) for one in raw]).astype(np.float64)
