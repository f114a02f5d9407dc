"""Vectors that are compared with one another: all of them while they are few, a graph of them when they are many."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from usearch.index import Index as Graph

Vector = NDArray[np.float32]

#: A product with so many rows of 384 numbers takes about a millisecond; twice as many no longer fit a core's cache.
LINEAR_MAX = 10_000
# Of 20,000 vectors in clusters, the nearest is found in each of 400 searches, and 99 % of the nearest eight; twice as
# many candidates at an addition find the same and take half as long again.
_LINKS, _ADD_BREADTH, _SEARCH_BREADTH = 16, 64, 96
_ROWS_MIN = 16


class Space:
    """Unit vectors of one length under numbers. For one thread.

    A put is always quick. ``settle`` moves rows into the graph once there are more than ``linear_max``; until it has,
    they are found among the rows.
    """

    def __init__(self, dimensions: int, linear_max: int = LINEAR_MAX) -> None:
        self.dimensions = dimensions
        self._linear_max = linear_max
        self._rows: Vector = np.empty((_ROWS_MIN, dimensions), np.float32)
        self._numbers: list[int] = []
        self._place: dict[int, int] = {}
        self._graph: Graph | None = None
        self._in_graph: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers) + len(self._in_graph)

    @property
    def is_unsettled(self) -> bool:
        """Whether ``settle`` has something to do."""
        return len(self._numbers) > (self._linear_max if self._graph is None else 0)

    def put(self, number: int, vector: Vector) -> None:
        """A number that is there gets the new vector."""
        place = self._place.get(number)
        if place is None:
            self._leave_graph(number)
            place = len(self._numbers)
            if place == len(self._rows):
                grown = np.empty((2 * place, self.dimensions), np.float32)
                grown[:place] = self._rows
                self._rows = grown
            self._numbers.append(number)
            self._place[number] = place
        self._rows[place] = vector

    def remove(self, number: int) -> None:
        """One that is not there is none."""
        self._leave_graph(number)
        place = self._place.pop(number, None)
        if place is None:
            return
        last = self._numbers.pop()
        if last != number:  # the last row fills the gap
            self._numbers[place] = last
            self._place[last] = place
            self._rows[place] = self._rows[len(self._numbers)]
        if len(self._rows) > max(_ROWS_MIN, 4 * len(self._numbers)):
            self._rows = self._rows[: 2 * len(self._numbers) + _ROWS_MIN].copy()

    def settle(self, count: int) -> None:
        """Move so many rows into the graph: about half a millisecond each."""
        if not self.is_unsettled:
            return
        if self._graph is None:
            self._graph = _graph(self.dimensions)
        for _ in range(min(count, len(self._numbers))):
            number = self._numbers[-1]
            self._graph.add(number, self._rows[len(self._numbers) - 1], threads=1)
            self.remove(number)
            self._in_graph.add(number)

    def nearest(self, vector: Vector, count: int) -> list[tuple[float, int]]:
        """The cosines and numbers of the nearest, nearest first; those equally near in no particular order."""
        found: list[tuple[float, int]] = []
        held = len(self._numbers)
        if held:
            cosines = self._rows[:held] @ vector
            best = np.argpartition(-cosines, count)[:count] if held > count else np.arange(held)
            found += [(float(cosines[place]), self._numbers[place]) for place in best]
        if self._graph is not None:
            matches = self._graph.search(vector, count, threads=1)
            near = zip(matches.distances.tolist(), matches.keys.tolist(), strict=True)
            found += [(1.0 - distance, number) for distance, number in near if number in self._in_graph]
        return sorted(((min(cosine, 1.0), number) for cosine, number in found), reverse=True)[:count]

    def _leave_graph(self, number: int) -> None:
        if number in self._in_graph and self._graph is not None:
            self._in_graph.discard(number)
            if self._in_graph:
                self._graph.remove(number)
            else:
                self._graph = None


def _graph(dimensions: int) -> Graph:
    """What usearch makes; it is loaded by the first space that has grown large.

    onnxruntime comes before it: a process that loads onnxruntime 1.32 after usearch 2.26 dies (SIGSEGV).
    """
    with contextlib.suppress(ImportError):
        import onnxruntime  # noqa: F401, PLC0415
    from usearch.index import Index as Graph  # noqa: PLC0415

    return Graph(
        ndim=dimensions,
        metric="ip",
        dtype="f16",
        connectivity=_LINKS,
        expansion_add=_ADD_BREADTH,
        expansion_search=_SEARCH_BREADTH,
    )
