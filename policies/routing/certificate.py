"""Keeping a stated loss of quality: which operating point may be used so that the promise holds with 95 %.

*Learn then test* (Angelopoulos, Bates, Candès, Jordan, Lei 2021, arXiv:2110.01052): operating points are tested in a
fixed order, from the safe end on, each with a p-value of "its mean loss is above the target"; the first that cannot be
rejected ends it, and all before are certified together. The p-value comes of a betting martingale (Waudby-Smith and
Ramdas 2020, arXiv:2010.09686): a gambler who bets that the loss is below the target grows rich only if it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CONFIDENCE = 0.95
_BOUNDS = np.concatenate([[0.0], np.geomspace(1e-3, 0.5, 40)])  # that the mean error of a judge is looked for among
_BET_MAX = 0.75  # of what would ruin the gambler at the worst loss, as the source advises
_SPREAD_BEFORE = 0.1  # mean square of what is beyond the target, before anything was seen


class Certified(NamedTuple):
    """The boldest operating point whose promise holds (-1: not even the first), and how many were looked at."""

    point: int
    tested: int


def p_values(losses: Floats, target: float, worst: float = 1.0) -> Floats:
    """Of the hypothesis that the mean of the losses is above ``target``; small where the data speak against it.

    ``losses``: (points, prompts), each row in order of observation, each loss at most ``worst`` (and as far below zero
    as it likes: a gain). The stakes depend on the past alone, which makes the wealth a non-negative supermartingale
    under the hypothesis; Ville's inequality bounds the chance of its ever reaching 1/p by p. They are those that serve
    best where so many prompts can just prove it: to follow the mean seen so far bets too much on luck at the start.
    """
    points, prompts = losses.shape
    if prompts == 0 or worst <= target:
        return np.ones(points)
    beyond = losses - target
    # The mean square as known before each bet.
    spread = np.full(losses.shape, _SPREAD_BEFORE)
    spread[:, 1:] += np.cumsum(beyond[:, :-1] ** 2, axis=1)
    spread /= np.arange(1, prompts + 1)
    stakes = np.sqrt(2 * np.log(1 / (1 - CONFIDENCE)) / (spread * prompts))
    stakes = np.minimum(stakes, _BET_MAX / (worst - target))
    wealth = np.cumsum(np.log1p(-stakes * np.minimum(beyond, worst - target)), axis=1)
    return np.asarray(np.minimum(1.0, np.exp(-wealth.max(axis=1))))


def certify(losses: Floats, target: float, confidence: float = CONFIDENCE, worst: float = 1.0) -> Certified:
    """Test operating points in their order, the safest first, until one cannot be certified.

    ``losses``: (points, prompts), of the same calibration prompts. With probability ``confidence`` over the calibration
    prompts every point up to ``point`` loses at most ``target`` on average.
    """
    for point in range(len(losses)):
        if p_values(losses[point : point + 1], target, worst)[0] > 1 - confidence:
            return Certified(point - 1, point + 1)
    return Certified(len(losses) - 1, len(losses))


def upper_bound(values: Floats, confidence: float, worst: float) -> float:
    """What the mean of the values is below with that confidence, and at least 0; infinite where they cannot say.

    ``values``: (prompts,), in order of observation, each at most ``worst`` and as far below zero as it likes.
    """
    rejected = p_values(values[None] - _BOUNDS[:, None], 0.0, worst) <= 1 - confidence
    kept = np.flatnonzero(~rejected)
    least = int(kept[-1]) + 1 if len(kept) else 0  # whatever is above the greatest mean that may be is out
    return float(_BOUNDS[least]) if least < len(_BOUNDS) else float("inf")


def certify_judged(
    losses: Floats, errors: Floats, is_judged: Flags, confidence: float = CONFIDENCE, worst: float = 1.0
) -> Certified:
    """As ``certify`` against a target of 0, where the losses of some prompts are only what a judge says.

    ``errors``: (points, measured prompts), the true loss less the judge's, where both are known. Half of the doubt goes
    to the judge: what its losses fall short of the true ones by is bounded at each point, and added to them before they
    are tested with the other half. This is prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan and
    Zrnic 2023, arXiv:2301.09633), and holds if the judge errs on the prompts it scores as on those it was measured by.
    """
    half = 1 - (1 - confidence) / 2
    for point in range(len(losses)):
        bound = upper_bound(errors[point], half, 1 + worst) if errors.shape[1] else float("inf")
        if bound == float("inf"):
            return Certified(point - 1, point + 1)
        widened = losses[point] + np.where(is_judged, bound, 0.0)
        if p_values(widened[None], 0.0, worst + bound)[0] > 1 - half:
            return Certified(point - 1, point + 1)
    return Certified(len(losses) - 1, len(losses))
