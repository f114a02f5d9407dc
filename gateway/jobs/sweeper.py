"""Takes up what dead gateway processes left: their open calls become orphaned entries, their charges are shipped.

Any number of replicas may sweep at once: intents move in one atomic step, the ledger takes an entry once, and what it
took is dropped from the journal only if it is still what was read.

An instance is dead when its heartbeat (every 2 s) has stood still for 8 s *while we watched*. Its age by the clock is
no evidence: after an outage of Redis or a pause of a whole machine every heartbeat is old and everyone lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.ports import LedgerSink
from gateway.stores.books import Keys
from gateway.stores.instances import INSTANCES, ORGANIZATIONS, doubt
from gateway.stores.local_journal import DeadJournal, dead_journals
from gateway.stores.redis_link import Link, Script

log = logging.getLogger("obol.jobs")

SWEEP_INTERVAL_S = 3.0
DEAD_AFTER_S = 8.0
_BATCH = 500
_ORGANIZATIONS_AT_ONCE = 200

_T = TypeVar("_T")

_SWEEP = Script.load("journal_sweep", "books")
_SWEPT = Script.load("journal_swept", "books")


@dataclass(slots=True)
class _Watched:
    beat: bytes | None
    stood_still_s: float = 0.0


class Sweeper:
    """``sweep`` is one look and what follows from it; to be run every SWEEP_INTERVAL_S."""

    def __init__(
        self,
        link: Link,
        sink: LedgerSink,
        *,
        instance: str,
        local_directory: Path,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._sink = sink
        self._instance = instance
        self._local_directory = local_directory
        self._monotonic_s = monotonic_s
        self._watched: dict[str, _Watched] = {}
        self._looked_at_s: float | None = None
        link.watch(on_lost=self._watched.clear)

    async def sweep(self) -> None:
        """Ship what the dead left. Raises StoreUnavailable or RedisError; the next sweep goes on from there."""
        # Files first: what a process settled while Redis was away is better than its intent there.
        await self._replay_dead_files()
        if not self._link.is_connected:
            return
        organizations = await self._organizations_by_instance()
        for instance in await self._dead(organizations):
            await self._sweep_instance(instance, organizations.get(instance, []))

    async def _organizations_by_instance(self) -> dict[str, list[str]]:
        """The organizations in which each instance has something open or in its journal."""
        organizations = sorted(_texts(await self._link.command("SMEMBERS", ORGANIZATIONS)))
        found: dict[str, list[str]] = {}
        for start in range(0, len(organizations), _ORGANIZATIONS_AT_ONCE):
            part = organizations[start : start + _ORGANIZATIONS_AT_ONCE]
            replies = await asyncio.gather(
                *(self._link.command("SMEMBERS", Keys.of(org, "").instances) for org in part)
            )
            for organization_id, reply in zip(part, replies, strict=True):
                for instance in _texts(reply):
                    found.setdefault(instance, []).append(organization_id)
        return found

    async def _dead(self, organizations: dict[str, list[str]]) -> list[str]:
        """Instances whose heartbeat stood still long enough, or that have none."""
        beats = dict(_pairs(await self._link.command("HGETALL", INSTANCES)))
        now_s = self._monotonic_s()
        # Never more than one interval and a half per look: while we were paused, we watched nothing.
        passed_s = 0.0 if self._looked_at_s is None else min(now_s - self._looked_at_s, SWEEP_INTERVAL_S * 1.5)
        self._looked_at_s = now_s
        dead = []
        for instance in set(beats) | set(organizations):
            beat = beats.get(instance)
            watched = self._watched.get(instance)
            if watched is None or watched.beat != beat:
                self._watched[instance] = _Watched(beat)
                continue
            watched.stood_still_s += passed_s
            if watched.stood_still_s >= DEAD_AFTER_S and instance != self._instance:
                dead.append(instance)
        for gone in set(self._watched) - set(beats) - set(organizations):
            del self._watched[gone]
        return dead

    async def _sweep_instance(self, instance: str, organizations: list[str]) -> None:
        shipped = 0
        for organization_id in organizations:
            shipped += await self._sweep_organization(Keys.of(organization_id, instance), instance)
        # Whether it has beaten meanwhile or not: should it live, its next beat tells it that it was swept, and it mends
        # what it finds. Should it be dead, whatever is left of it is swept again.
        await self._link.command("HDEL", INSTANCES, instance)
        if shipped:
            log.warning("instance %s is dead; %d entries of it went to the ledger", instance, shipped)

    async def _sweep_organization(self, keys: Keys, instance: str) -> int:
        """How many entries were shipped; some are left if their owner woke up and wrote them anew."""
        shipped = 0
        while True:
            entries = _pairs(await self._link.script(_SWEEP, (keys.books, keys.open, keys.journal), (_BATCH, instance)))
            if entries:
                await self._sink.write([entry for _, entry in entries])
            args = [instance.encode()]
            for attempt_id, entry in entries:
                args += [attempt_id.encode(), entry]
            left = await self._link.script(_SWEPT, keys, args)
            shipped += len(entries)
            # -1: balances are being rebuilt from the journals just now. The next sweep drops what the ledger has, or
            # the owner does.
            if not isinstance(left, int) or left <= 0 or not entries:
                return shipped

    async def _replay_dead_files(self) -> None:
        if not await asyncio.to_thread(self._local_directory.is_dir):
            return
        journals = dead_journals(self._local_directory)
        while (journal := await asyncio.to_thread(_next, journals)) is not None:
            try:
                await self._replay(journal)
            finally:
                journal.release()

    async def _replay(self, journal: DeadJournal) -> None:
        batches = journal.batches(_BATCH)
        shipped = 0
        while (batch := await asyncio.to_thread(_next, batches)) is not None:
            await self._sink.write(batch)
            await self._doubt_balances(batch)
            shipped += len(batch)
        await asyncio.to_thread(journal.remove)
        log.warning(
            "instance %s is dead; %d entries of its local journal went to the ledger", journal.instance, shipped
        )

    async def _doubt_balances(self, entries: Sequence[bytes]) -> None:
        """No balance counts what was journaled on a disk, nor knows what of it Redis had still open."""
        for organization_id in {_organization_of(entry).organization_id for entry in entries}:
            with contextlib.suppress(RedisConnectionError):  # a Redis that comes back has all its balances rebuilt
                await doubt(self._link, organization_id)


class _Owner(msgspec.Struct):
    organization_id: str


_organization_of = msgspec.json.Decoder(_Owner).decode


def _next(items: Iterator[_T]) -> _T | None:
    return next(items, None)


def _texts(reply: object) -> list[str]:
    return [one.decode() for one in reply] if isinstance(reply, (list, set)) else []


def _pairs(reply: object) -> list[tuple[str, bytes]]:
    """A flat reply of names and values as pairs."""
    if not isinstance(reply, list):
        return []
    return [(name.decode(), value) for name, value in zip(reply[::2], reply[1::2], strict=True)]
