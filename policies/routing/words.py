"""A static table of word vectors: what a small transformer makes of each word alone, looked up instead of computed.

The vectors are distilled (deploy/router/distil.py): every word once through all-MiniLM-L6-v2, the leading principal
components kept, one byte each. On the prompts that routers are trained on the mean of these vectors predicts as well as
the transformer's own sentence vectors do, at a hundredth of their cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN_LOG_FREQUENCY = -9.8  # below the rarest word of the table
_COMMON = 0.01  # words in more documents than this weigh less than half


@dataclass(frozen=True, slots=True)
class WordTable:
    """``hashes`` ascends; ``vectors``: (words, dimensions); ``log_frequency``: of documents; the rest: see ``of``."""

    hashes: NDArray[np.uint64]
    vectors: NDArray[np.float32]
    log_frequency: NDArray[np.float32]
    weights: NDArray[np.float32]
    stored: NDArray[np.int8]
    scale: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        hashes: NDArray[np.uint64],
        vectors: NDArray[np.int8],
        scale: NDArray[np.float32],
        log_frequency: NDArray[np.float32],
    ) -> WordTable:
        """Stored are vectors in units of ``scale``. Weights follow from frequencies: what is everywhere says little."""
        weights = (_COMMON / (_COMMON + np.exp(log_frequency))).astype(np.float32)
        return cls(hashes, vectors.astype(np.float32) * scale, log_frequency, weights, vectors, scale)

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The row of each word, and whether it is really there."""
        rows = np.searchsorted(self.hashes, hashes)
        rows[rows == len(self.hashes)] = 0
        return rows, self.hashes[rows] == hashes
