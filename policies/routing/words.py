"""A static table of word vectors: what a small transformer makes of each word alone, looked up instead of computed.

The vectors are distilled (deploy/router/distil.py): every word once through all-MiniLM-L6-v2, the leading principal
components kept, one byte each. On the prompts that routers are trained on the mean of these vectors predicts as well as
the transformer's own sentence vectors do, at a hundredth of their cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.routing.places import Places
from policies.routing.tokens import hashes_of

TELLING_WORDS = (
    b"not except which following what how why who when where if then and or each per total more less than times half"
    b" twice percent true false statement best most find calculate determine compute prove write function return def"
    b" all many much every name required description integer string array default question choice frac sqrt i you"
    b" please can could is the of he she left remaining after first second value equation according passage text tools"
    b" answer"
).split()
_LINE = b"\n"  # no token: whoever counts the others counts it apart
#: Signs and words that are counted each for itself.
TELLING = [bytes([sign]) for sign in b"?!.,;:()[]{}\"'$\\^_=+-*/%<>|\n&#`~@"] + TELLING_WORDS
AT_LINE = TELLING.index(_LINE)
UNKNOWN_LOG_FREQUENCY = -9.8  # below the rarest word of the table
_COMMON = 0.01  # words in more documents than this weigh less than half


@dataclass(frozen=True, slots=True)
class WordTable:
    """``hashes``, ``stored``, ``scale``, ``log_frequency``: as ``of`` took them, of the words alone.

    ``places`` is of these and what is telling, by their hashes. At each place and at its ``none`` stand: ``vectors``
    (places + 1, dimensions), ``weights``, 0 for what is not known, ``rarity``, and ``telling``: which of those it is.
    """

    hashes: NDArray[np.uint64]
    stored: NDArray[np.int8]
    scale: NDArray[np.float32]
    log_frequency: NDArray[np.float32]
    places: Places
    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]
    rarity: NDArray[np.float32]
    telling: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        hashes: NDArray[np.uint64],
        vectors: NDArray[np.int8],
        scale: NDArray[np.float32],
        log_frequency: NDArray[np.float32],
    ) -> WordTable:
        """``hashes`` ascend; ``vectors``: (words, dimensions) in units of ``scale``; ``log_frequency``: of documents.

        Weights follow from frequencies: what is everywhere says little, and what is not known nothing.
        """
        numbers = [number for number in range(len(TELLING)) if number != AT_LINE]
        telling = hashes_of([TELLING[number] for number in numbers])
        every = np.union1d(hashes, telling)
        at, length = np.searchsorted(every, hashes), len(every) + 1
        whole = np.zeros((length, vectors.shape[1]), np.float32)
        whole[at] = vectors.astype(np.float32) * scale
        weights = np.zeros(length, np.float32)
        weights[at] = _COMMON / (_COMMON + np.exp(log_frequency))
        rarity = np.full(length, UNKNOWN_LOG_FREQUENCY, np.float32)
        rarity[at] = log_frequency
        which = np.full(length, len(TELLING))
        which[np.searchsorted(every, telling)] = numbers
        places = Places.of(every, rarity[:-1])
        return cls(hashes, vectors, scale, log_frequency, places, whole, weights, rarity, which)

    @property
    def dimensions(self) -> int:
        return int(self.vectors.shape[1])
