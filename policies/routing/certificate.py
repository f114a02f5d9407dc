"""Keeping a stated loss of quality: which operating point may be used so that the promise holds with 95 %.

*Learn then test* (Angelopoulos, Bates, Candès, Jordan, Lei 2021, arXiv:2110.01052): operating points are tested in a
fixed order, from the safe end on, each with a p-value of "its mean loss is above the target"; the first that cannot be
rejected ends it, and all before are certified together. The p-value comes of a betting martingale (Waudby-Smith and
Ramdas 2020, arXiv:2010.09686): a gambler who bets that the loss is below the target grows rich only if it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
_BET_MAX = 0.75  # of what would ruin the gambler at the worst loss, as the source advises


class Certified(NamedTuple):
    """The boldest operating point whose promise holds (-1: not even the first), and how many were looked at."""

    point: int
    tested: int


def p_value(losses: Floats, target: float, worst: float = 1.0) -> float:
    """Of the hypothesis that the mean of the losses is above ``target``; small where the data speak against it.

    ``losses``: in order of observation, each at most ``worst`` (and as far below zero as it likes: a gain). The stakes
    depend on the past alone, which makes the wealth a non-negative supermartingale under the hypothesis; Ville's
    inequality bounds the chance of its ever reaching 1/p by p.
    """
    if len(losses) == 0 or worst <= target:
        return 1.0
    gains = target - np.minimum(losses, worst)
    count = np.arange(1, len(losses) + 1)
    # Mean and variance as known before each bet, begun with one imagined loss at the target.
    mean = np.concatenate(([target], (target + np.cumsum(losses)) / (count + 1)))[:-1]
    squares = np.concatenate(([0.25], (0.25 + np.cumsum((losses - mean) ** 2)) / (count + 1)))[:-1]
    edge = np.maximum(0.0, target - mean)
    growth = np.sqrt(2 * np.log(1 / (1 - CONFIDENCE)) / (squares * len(losses)))
    stakes = np.minimum(np.maximum(edge / squares, growth), _BET_MAX / (worst - target))
    wealth = np.cumsum(np.log1p(stakes * gains))
    return float(min(1.0, np.exp(-wealth.max())))


def certify(losses: Sequence[Floats], target: float, confidence: float = CONFIDENCE, worst: float = 1.0) -> Certified:
    """Test operating points in their order, the safest first, until one cannot be certified.

    ``losses``: one array for each point, of the same calibration prompts. With probability ``confidence`` over the
    calibration prompts every point up to ``point`` loses at most ``target`` on average.
    """
    for point, found in enumerate(losses):
        if p_value(found, target, worst) > 1 - confidence:
            return Certified(point - 1, point + 1)
    return Certified(len(losses) - 1, len(losses))
