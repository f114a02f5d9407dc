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
    """``hashes`` ascends; ``vectors`` is (words, dimensions) in units of ``scale``; ``log_frequency``: of documents."""

    hashes: NDArray[np.uint64]
    vectors: NDArray[np.int8]
    scale: NDArray[np.float32]
    log_frequency: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        hashes: NDArray[np.uint64],
        vectors: NDArray[np.int8],
        scale: NDArray[np.float32],
        log_frequency: NDArray[np.float32],
    ) -> WordTable:
        """Weights follow from frequencies: a word that is everywhere says little."""
        weights = _COMMON / (_COMMON + np.exp(log_frequency))
        return cls(hashes, vectors, scale, log_frequency, weights.astype(np.float32))

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The row of each word, and whether it is really there."""
        rows = np.searchsorted(self.hashes, hashes)
        rows[rows == len(self.hashes)] = 0
        return rows, self.hashes[rows] == hashes
