"""Keeps what this machine knows in step with the store, tenant by tenant, from when one is first asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import numpy as np

from gateway.embedding.index import Held, Index, unit
from gateway.embedding.truth import Position, StoredQuestion, Truth
from gateway.embedding.turns import Turns
from gateway.errors import StoreUnavailable

_log = logging.getLogger("obol.embedder")

POLL_S = 0.5
IDLE_S = 3600.0  # a tenant that nobody asks for is forgotten here
_SLICE = 64  # questions that are put in one turn: about a millisecond
_SETTLED_AT_ONCE = 4  # rows that move to a graph in one turn: about two milliseconds


class _Tenant:
    __slots__ = ("asked_s", "is_read", "lock", "name", "position")

    def __init__(self, name: str) -> None:
        self.name = name
        self.position = Position()
        self.lock = asyncio.Lock()
        self.is_read = asyncio.Event()
        self.asked_s = 0.0


class Following:
    """``run`` is a task of its own; the index is touched in turns alone."""

    def __init__(self, truth: Truth, index: Index, turns: Turns, monotonic_s: Callable[[], float]) -> None:
        self._truth = truth
        self._index = index
        self._turns = turns
        self._monotonic_s = monotonic_s
        self._tenants: dict[str, _Tenant] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def known(self, tenant: str) -> None:
        """Return when all that the tenant has been read; from then on it is kept in step."""
        one = self._tenants.get(tenant)
        if one is None:
            one = self._tenants[tenant] = _Tenant(tenant)
            task = asyncio.get_running_loop().create_task(self._catch_up_if_there(one))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        one.asked_s = self._monotonic_s()
        await one.is_read.wait()

    async def catch_up(self, tenant: str) -> None:
        """Learn of the latest changes of a tenant that is followed. Raises StoreUnavailable."""
        one = self._tenants.get(tenant)
        if one is not None:
            await self._catch_up(one)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle())
            while True:
                await self.look()
                await asyncio.sleep(POLL_S)

    async def _settle(self) -> None:
        """Bring large spaces in order, whenever nothing else is to be done."""
        while True:
            if not await self._turns.patient(lambda: self._index.settle(_SETTLED_AT_ONCE)):
                await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Catch up with all that is followed, and give up what nobody asks for."""
        idle_s = self._monotonic_s() - IDLE_S
        for one in [one for one in self._tenants.values() if one.asked_s < idle_s]:
            async with one.lock:
                del self._tenants[one.name]
                await self._remove(one.name, ())
        await asyncio.gather(*(self._catch_up_if_there(one) for one in self._tenants.values()))

    async def _catch_up_if_there(self, one: _Tenant) -> None:
        with contextlib.suppress(StoreUnavailable):  # the next look may find it back
            await self._catch_up(one)

    async def _catch_up(self, one: _Tenant) -> None:
        async with one.lock:
            while True:
                found = await self._truth.changes(one.name, one.position)
                if found.changes is None:
                    await self._read_all(one.name)
                else:
                    for change in found.changes:
                        if change.put is not None:
                            await self._put(one.name, [change.put])
                        if change.gone:
                            await self._turns.patient(lambda gone=change.gone: self._drop(one.name, gone))  # type: ignore[misc]
                is_at_end = found.changes is not None and not found.changes
                one.position = found.position
                if is_at_end:
                    break
            one.is_read.set()

    async def _read_all(self, tenant: str) -> None:
        """Read everything, and forget what is not there any more."""
        seen: set[str] = set()
        async for questions in self._truth.all_of(tenant):
            for start in range(0, len(questions), _SLICE):
                await self._put(tenant, questions[start : start + _SLICE])
            seen.update(one.name for one in questions)
        await self._remove(tenant, seen)
        _log.info("%d questions of %s are read", len(seen), tenant)

    async def _put(self, tenant: str, questions: Sequence[StoredQuestion]) -> None:
        await self._turns.patient(lambda: self._put_all(tenant, questions))

    async def _remove(self, tenant: str, but: set[str] | tuple[()]) -> None:
        await self._turns.patient(lambda: self._index.keep_only(tenant, but))

    def _put_all(self, tenant: str, questions: Sequence[StoredQuestion]) -> None:
        for one in questions:
            vector = unit(np.frombuffer(one.vector, np.int8).astype(np.float32))
            if vector is not None:
                self._index.put(tenant, Held(one.name, one.space, one.digest, one.text, one.ends_ms, vector, one.group))

    def _drop(self, tenant: str, names: Sequence[str]) -> None:
        for name in names:
            self._index.remove(tenant, name)
