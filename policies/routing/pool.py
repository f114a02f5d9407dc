"""The models that a router chooses from, and what is known of them before any prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """The models that may answer the prompts of a track, with what is known of them beforehand; NaN: unknown.

    ``quality``: mean score, 0..1. ``usd``: mean cost of a call. ``usd_in``, ``usd_out``: per million tokens.
    ``described_as``: what the models are publicly called, where ``models`` does not say it.
    """

    track: str
    models: tuple[str, ...]
    quality: Floats
    usd: Floats
    usd_in: Floats
    usd_out: Floats
    described_as: tuple[str, ...] | None = None

    @property
    def strongest(self) -> int:
        return int(np.argmax(self.quality))
