"""Charges in the memory of a process, from their settlement until Postgres has acknowledged them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from gateway.stores.books import Journaled


class Unshipped:
    """The second of the two places in which a charge stands, and the queue that the Shipper takes from."""

    def __init__(self) -> None:
        self._charges: dict[str, Journaled] = {}
        self._ready: deque[str] = deque()  # ids of those that nobody is shipping, oldest first
        self._has_ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._charges)

    def __iter__(self) -> Iterator[Journaled]:
        """A snapshot of all charges."""
        return iter(list(self._charges.values()))

    def __contains__(self, attempt_id: str) -> bool:
        return attempt_id in self._charges

    def add(self, charge: Journaled) -> None:
        """Keep a charge; it may not be shipped before ``release``."""
        self._charges[charge.id] = charge

    def release(self, charge: Journaled) -> None:
        """It is journaled as well as can be: let it be shipped."""
        self._ready.append(charge.id)
        self._has_ready.set()

    def get(self, attempt_ids: Iterable[str]) -> list[Journaled]:
        """Those of them that stand here still."""
        return [self._charges[one] for one in attempt_ids if one in self._charges]

    def ids(self) -> frozenset[str]:
        """The attempts whose charges Postgres has not acknowledged yet."""
        return frozenset(self._charges)

    def has_any(self, attempt_ids: Iterable[str]) -> bool:
        return any(one in self._charges for one in attempt_ids)

    @property
    def ready(self) -> int:
        """How many may be taken."""
        return len(self._ready)

    async def wait(self) -> None:
        """Returns when there is something to take."""
        await self._has_ready.wait()

    def take(self, count_max: int) -> list[Journaled]:
        """The oldest that nobody is shipping. Each must be acknowledged to the journal or given to ``put_back``."""
        ids = [self._ready.popleft() for _ in range(min(count_max, len(self._ready)))]
        if not self._ready:
            self._has_ready.clear()
        return self.get(ids)

    def put_back(self, charges: Sequence[Journaled]) -> None:
        """The ledger did not take these."""
        self._ready.extendleft(charge.id for charge in reversed(charges))
        if self._ready:
            self._has_ready.set()

    def drop(self, charges: Iterable[Journaled]) -> list[Journaled]:
        """Forget these, the ledger has them; returns those that had not been settled anew meanwhile."""
        gone = []
        for charge in charges:  # one may be among them twice: settled again with the same figures
            if self._charges.get(charge.id) is charge:
                del self._charges[charge.id]
                gone.append(charge)
        return gone
