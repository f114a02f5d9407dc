"""What is known of how a route keeps its promise: the record of a calibration, and the point it allows for a question.

A certificate is of the mean over all prompts, and could be kept at the expense of some. So a slice of prompts (one
language, length, domain, or those with tools) may lose at most ``SLICE_LOSS_RATIO`` times the target: where it lost
more, the questions that are taken to belong to it are answered at a safer point, its *cap*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.routing.features import Vector
from policies.routing.operating import STRONGEST
from policies.routing.slices import BY_SELF, KIND, seen_in

Floats = NDArray[np.float32]

SLICE_LOSS_RATIO = 2.0
HELD_MIN = 100  # prompts of a slice: of fewer a loss cannot be told from chance
TOLD_MIN = 25  # ... which is said of some smaller ones all the same


@dataclass(frozen=True, slots=True)
class Slice:
    """Calibration prompts that have something in common, by one of language, length, domain or tools."""

    dimension: str
    value: str
    prompts: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How it went on ``prompts`` prompts, for each of the ``t`` TARGETS; ``calibrated_at`` in Unix seconds, if known.

    ``points`` (t,): the point that keeps the target, STRONGEST where none does; ``caps`` (t, r): the boldest one for
    what is ``recognised`` of a question, by dimension and value. ``loss`` (t,), of the strongest model's quality,
    ``saving`` (t,), of its cost, and for each of ``slices`` (t, s): the same, and what its loss is below with 95 %
    confidence. ``familiarity``, ``quality``: quantiles, from least to greatest, of what was predicted of the prompts,
    quality as the mean over models.
    """

    prompts: int
    calibrated_at: float | None
    slices: tuple[Slice, ...]
    recognised: tuple[tuple[str, str], ...]
    points: NDArray[np.int16]
    caps: NDArray[np.int16]
    loss: Floats
    saving: Floats
    slice_loss: Floats
    slice_loss_upper: Floats
    slice_saving: Floats
    familiarity: Floats
    quality: Floats

    def is_kept(self, row: int) -> bool:
        """Whether the target of that row of TARGETS is."""
        return int(self.points[row]) != STRONGEST

    def point(self, row: int, features: Vector, kind: int) -> int:
        """At which a question is answered within that target; ``kind`` is what the predictor takes it to be."""
        point = int(self.points[row])
        caps = self.caps[row]
        capped = np.flatnonzero(caps < point).tolist()
        if not capped:
            return point
        kinds = [value for dimension, value in self.recognised if dimension == KIND]
        belongs = {*zip(BY_SELF, seen_in(features), strict=True), (KIND, kinds[kind])}
        return min([point, *(int(caps[at]) for at in capped if self.recognised[at] in belongs)])
