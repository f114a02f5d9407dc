"""Finds many hashes among many others at once: by their first bits, which tell nearly all of them at the first look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BITS = 16
_SHIFT = np.uint64(64 - _BITS)


@dataclass(frozen=True, slots=True)
class Places:
    """Where hashes stand among ascending ones that all differ. ``none``, behind the last: the place of all others.

    ``first``: for each beginning of a hash the likeliest place of those that begin so, ``none`` where none does.
    """

    none: int
    first: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    @classmethod
    def of(cls, hashes: NDArray[np.uint64], likelihood: NDArray[np.float32]) -> Places:
        """``likelihood``: of each to be looked for; more of them only makes ``find`` slower."""
        first = np.full(1 << _BITS, len(hashes), np.int64)
        order = np.argsort(likelihood, kind="stable")
        first[hashes[order] >> _SHIFT] = order  # of several the last one stays
        return cls(
            len(hashes), first, np.append(hashes, np.uint64(0))
        )  # ``none`` can be looked at, and is refused below

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of each of them."""
        places = self.first[(hashes >> _SHIFT).view(np.int64)]
        others = (self.hashes[places] != hashes).nonzero()[0]
        if len(others):
            sought = hashes[others]
            found = self.hashes[:-1].searchsorted(sought)
            found[self.hashes[found] != sought] = self.none
            places[others] = found
        return places
