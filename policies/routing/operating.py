"""At which point of its curve a router works, so that it loses no more quality than it may.

A point is a ``lambda``: the model with the greatest ``quality - lambda * cost`` is called, predicted ones, cost in
units of what the pool's strongest model costs on average. The loss of a choice is relative to the strongest model's
quality: at a loss of 0.02 the mean score is 98 % of what always asking the strongest would have had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.certificate import CONFIDENCE, certify, certify_judged
from policies.routing.predictor import Predicted

Floats = NDArray[np.float64]

#: Losses that a point is kept for: 0 to 20 % in steps of a quarter per cent.
TARGETS = np.arange(0, 81) / 400
LAMBDAS = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 200)])
STRONGEST = -1  # in place of a point: always the strongest model
_FULL_WEIGHT = 0.25  # from this familiarity on cost weighs in full
_FORESEEN = 0.25  # how much the predicted loss counts beside the measured one, which has more noise


@dataclass(frozen=True, slots=True)
class OperatingTable:
    """Points for each of ``TARGETS``, as indices of ``LAMBDAS`` or ``STRONGEST``.

    ``aimed``: the cheapest whose loss is taken to be within the target. ``certified``: the boldest whose
    loss is within it with 95 % confidence.
    """

    aimed: NDArray[np.int16]
    certified: NDArray[np.int16]


class Judged(NamedTuple):
    """Which prompts (n,) only a judge has scored, and what it gave (n, models), NaN where it was not asked."""

    is_judged: NDArray[np.bool_]
    score: Floats

    @property
    def measured(self) -> NDArray[np.bool_]:
        """The prompts that the judge is measured by: it was asked, and the score is surer than its word."""
        return np.asarray(~self.is_judged & ~np.isnan(self.score).any(axis=1))


def row_of(loss_max: float) -> int:
    """The target that is nearest to what was asked for, and no looser."""
    return max(0, int(np.searchsorted(TARGETS, loss_max + 1e-9, side="right")) - 1)


def cost_weight(point: int, familiarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much the strongest model's mean cost counts against quality, for each prompt.

    What looks strange is predicted to be as always, which says little of it: the strangest go to the best model.
    """
    return np.asarray(LAMBDAS[point] * np.minimum(familiarity / _FULL_WEIGHT, 1.0))


def choices(predicted: Predicted, point: int, strongest: int, unit_usd: float) -> NDArray[np.int64]:
    """The model that is called for each prompt."""
    if point == STRONGEST:
        return np.full(len(predicted.quality), strongest, dtype=np.int64)
    weight = cost_weight(point, predicted.familiarity)[:, None]
    return np.asarray(np.argmax(predicted.quality - weight * predicted.cost / unit_usd, axis=1), dtype=np.int64)


def calibrated(
    predicted: Predicted, score: Floats, cost: Floats, strongest: int, unit_usd: float, judged: Judged | None = None
) -> OperatingTable:
    """The points for every target, by prompts whose outcomes are known and which no prediction was fitted to.

    What only a judge has scored is certified as far as the judge was measured, and not at all where it never was.
    """
    rows = np.arange(len(score))
    picks = [choices(predicted, point, strongest, unit_usd) for point in range(len(LAMBDAS))]
    scores = np.array([score[rows, pick] for pick in picks])
    costs = np.array([cost[rows, pick].mean() for pick in picks])
    base = score[:, strongest]
    foreseen = np.array([(predicted.quality[:, strongest] - predicted.quality[rows, pick]).mean() for pick in picks])
    aimed, certified = [], []
    for target in TARGETS:
        losses = (1 - target) * base - scores  # a mean of at most zero is a loss of at most the target
        expected = foreseen - target * predicted.quality[:, strongest].mean()
        is_within = (1 - _FORESEEN) * losses.mean(axis=1) + _FORESEEN * expected <= 0
        best = int(np.argmin(np.where(is_within, costs, np.inf)))
        aimed.append(best if is_within[best] and costs[best] < cost[:, strongest].mean() else STRONGEST)
        if judged is None:
            certified.append(certify(losses, 0.0, CONFIDENCE, 1 - float(target)).point)
        else:
            told = np.array([judged.score[rows, pick] for pick in picks])
            errors = (losses - ((1 - target) * judged.score[:, strongest] - told))[:, judged.measured]
            certified.append(certify_judged(losses, errors, judged.is_judged, CONFIDENCE, 1 - float(target)).point)
    return OperatingTable(np.array(aimed, np.int16), np.array(certified, np.int16))
