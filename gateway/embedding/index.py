"""All questions that this machine knows, by tenant and space, in a bounded memory. For one thread."""

from __future__ import annotations

import heapq
from collections.abc import Collection

import msgspec
import numpy as np

from gateway.domain.similar import Neighbour
from gateway.embedding.space import LINEAR_MAX, Space, Vector

_ENTRY_BYTES = 600  # of an entry beside its text and its vector: objects, names, links of the graph
_FOUR = 4  # bytes of a number


class Held(msgspec.Struct, frozen=True):
    """A question and when its answer ends. ``name`` is its own among its tenant's; ``group``: as in Neighbour."""

    name: str
    space: str
    digest: str
    text: str
    ends_ms: int
    vector: Vector
    group: str = ""


class _Known(msgspec.Struct):
    """One that is in a space under ``number``; its vector lies there."""

    name: str
    space: str
    digest: str
    text: str
    ends_ms: int
    bytes: int
    group: str


class Index:
    """What ends first makes room, whosever it is. ``bytes_max``: of all together, roughly."""

    def __init__(self, bytes_max: int, linear_max: int = LINEAR_MAX) -> None:
        self._bytes_max = bytes_max
        self._linear_max = linear_max
        self._bytes = 0
        self._number = 0
        self._known: dict[int, _Known] = {}
        self._numbers: dict[str, dict[str, int]] = {}  # by tenant and name
        self._spaces: dict[tuple[str, str], Space] = {}
        self._unsettled: set[tuple[str, str]] = set()
        self._ends: list[tuple[int, int, str]] = []  # a heap; who is no longer known stays in it for a while

    def __len__(self) -> int:
        return len(self._known)

    @property
    def bytes_held(self) -> int:
        """About how much memory all of it takes."""
        return self._bytes

    def count_of(self, tenant: str) -> int:
        """How many a tenant has here."""
        return len(self._numbers.get(tenant, ()))

    def put(self, tenant: str, held: Held) -> None:
        """One of the same name is replaced. A vector of another length than its space has is not taken."""
        self.remove(tenant, held.name)
        dimensions = len(held.vector)
        space = self._spaces.get((tenant, held.space))
        if space is None:
            space = self._spaces[tenant, held.space] = Space(dimensions, self._linear_max)
        if space.dimensions != dimensions:
            return
        self._number += 1
        size = _ENTRY_BYTES + len(held.text) + dimensions * _FOUR
        known = _Known(held.name, held.space, held.digest, held.text, held.ends_ms, size, held.group)
        space.put(self._number, held.vector)
        if space.is_unsettled:
            self._unsettled.add((tenant, held.space))
        self._known[self._number] = known
        self._numbers.setdefault(tenant, {})[held.name] = self._number
        heapq.heappush(self._ends, (held.ends_ms, self._number, tenant))
        self._bytes += size
        while self._bytes > self._bytes_max:
            self._end_first()
        if len(self._ends) > 2 * len(self._known) + 100:
            self._ends = [one for one in self._ends if one[1] in self._known]
            heapq.heapify(self._ends)

    def remove(self, tenant: str, name: str) -> None:
        """One that is not there is none."""
        names = self._numbers.get(tenant, {})
        number = names.pop(name, None)
        if number is None:
            return
        known = self._known.pop(number)
        self._bytes -= known.bytes
        space = self._spaces[tenant, known.space]
        space.remove(number)
        if not len(space):
            del self._spaces[tenant, known.space]
        if not names:
            del self._numbers[tenant]

    def keep_only(self, tenant: str, names: Collection[str]) -> None:
        """Forget what the tenant has under other names."""
        for name in [one for one in self._numbers.get(tenant, ()) if one not in names]:
            self.remove(tenant, name)

    def end(self, now_ms: int) -> None:
        """Forget what has ended."""
        while self._ends and self._ends[0][0] <= now_ms:
            self._end_first()

    def nearest(self, tenant: str, space: str, vector: Vector, count: int, now_ms: int) -> tuple[Neighbour, ...]:
        """Those of this space alone, nearest first."""
        self.end(now_ms)
        held = self._spaces.get((tenant, space))
        if held is None or held.dimensions != len(vector):
            return ()
        found = ((cosine, self._known[number]) for cosine, number in held.nearest(vector, count))
        return tuple(
            Neighbour(cosine, known.text, known.digest, known.group or known.digest) for cosine, known in found
        )

    def settle(self, count: int) -> bool:
        """Bring some order into large spaces; whether more is to be done."""
        for place in self._unsettled:
            space = self._spaces.get(place)
            if space is not None:
                space.settle(count)
            if space is None or not space.is_unsettled:
                self._unsettled.discard(place)
            break
        return bool(self._unsettled)

    def _end_first(self) -> None:
        _, number, tenant = heapq.heappop(self._ends)
        known = self._known.get(number)
        if known is not None:
            self.remove(tenant, known.name)


def unit(numbers: Vector) -> Vector | None:
    """The vector at length 1; ``None`` for one that has no direction."""
    length = float(np.linalg.norm(numbers))
    return (numbers / np.float32(length)).astype(np.float32) if 0 < length < np.inf else None
