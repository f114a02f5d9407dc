"""Whether the questions of a route still look like those that it was calibrated on.

Two things that a router predicts of a question are compared with what it predicted of the calibration prompts: how
familiar it is, and how good answers will be on average. The measure is the greatest distance between the two
distributions (Kolmogorov and Smirnov); distances below ``TOLERANCE`` count for nothing, and of the rest the bound of
Dvoretzky, Kiefer, Wolfowitz and Massart says how improbable it is where nothing has changed. It takes no distribution
for granted, and ties make it err on the safe side.

What clients say of answers is held against what was predicted of them by the gambler of ``certificate.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.certificate import p_values
from policies.routing.router import KnownPool

#: Parts of the questions that may have moved.
TOLERANCE = 0.05
#: By how much clients may find answers worse than predicted: theirs are no benchmark's scores.
SCORE_TOLERANCE = 0.1
# Calibration prompts are predicted by five predictors, a question by one that was fitted to all.
_QUALITY_SLACK = 0.02
_UNFAMILIAR = 0.5  # below this the gate is more closed than open


class Compared(NamedTuple):
    """A window of questions: how probable it is where nothing has changed, and what moved most, in words."""

    n: int
    share_unfamiliar: float
    probability: float
    reason: str


def compared(pool: KnownPool, features: Sequence[bytes]) -> Compared:
    """A window against the calibration prompts. ``features``: of one question or more, as records keep them.

    Raises ValueError for a pool without a record.
    """
    record = pool.calibration
    if record is None:
        raise ValueError("there is nothing to compare with")
    seen = np.stack([np.frombuffer(one, np.float16) for one in features]).astype(np.float32)
    predicted = pool.predictor.predict(seen)
    n, quality = len(seen), predicted.quality.mean(axis=1)
    unfamiliar = float((predicted.familiarity < _UNFAMILIAR).mean())
    before = float((record.familiarity < _UNFAMILIAR).mean())
    familiarity_moved = distance(predicted.familiarity, record.familiarity)
    quality_moved = distance(quality, record.quality, _QUALITY_SLACK)
    moved = max(familiarity_moved, quality_moved)
    reason = (
        f"{unfamiliar:.0%} of them look unfamiliar, where {before:.0%} did"
        if familiarity_moved >= quality_moved
        else f"their predicted quality is {quality.mean():.2f} on average, where it was {record.quality.mean():.2f}"
    )
    beyond = max(0.0, moved - TOLERANCE)
    size = n * record.prompts / (n + record.prompts)
    return Compared(n, unfamiliar, min(1.0, 2 * 2 * float(np.exp(-2 * beyond**2 * size))), reason)


def distance(values: NDArray[np.float64], quantiles: NDArray[np.float32], slack: float = 0.0) -> float:
    """The greatest difference of the shares that lie below any bound; moved by up to ``slack`` is not moved."""
    new, known = np.sort(values.astype(np.float32)), np.sort(quantiles)
    fallen = _share_up_to(new, new) - _share_up_to(known, new + np.float32(slack))
    risen = _share_up_to(known, known) - _share_up_to(new, known + np.float32(slack))
    return float(max(fallen.max(), risen.max(), 0.0))


def _share_up_to(values: NDArray[np.float32], bounds: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.searchsorted(values, bounds, side="right") / len(values))


def disappointment(scores: Sequence[float], predicted: Sequence[float]) -> tuple[float, str]:
    """How probable it is at most that clients find answers so bad where predictions are right, and the same in words.

    Both in order of time.
    """
    found, expected = np.array(scores), np.array(predicted)
    reason = f"clients score its answers {found.mean():.2f}, where {expected.mean():.2f} was predicted"
    return float(p_values((found - expected)[None], -SCORE_TOLERANCE)[0]), reason
