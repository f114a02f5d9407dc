"""Who a virtual key belongs to, answered in microseconds and without Postgres for every key seen before."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from gateway.domain import Caller
from gateway.errors import StoreUnavailable
from gateway.stores.key_announcer import CHANNEL
from gateway.stores.key_secrets import digest
from gateway.stores.keys import Changes

KNOWN_MAX = 50_000
UNKNOWN_MAX = 10_000
OUTAGE_S_MAX = 3600.0  # while Postgres is away, the last good entry of a key serves for so long
LOOKUPS_MAX = 2  # at once: a flood of made-up keys must leave the ledger its connections
LOOKUP_S = 5.0  # including the wait for its turn


class KeySource(Protocol):
    """What the cache asks: KeyStore."""

    async def lookup(self, secret_sha256: bytes) -> Caller | None:
        """The caller of a live key. Raises StoreUnavailable."""

    async def changes(self, since: datetime | None) -> Changes:
        """The keys that changed since then, None: many that are live. Raises StoreUnavailable."""


class KeyCache:
    """The KeyDirectory of the path. It holds digests, never secrets.

    Three things keep it right: ``heard`` for changes that another process announces, ``refresh`` every 10 s for
    announcements that were lost, and the expiry, which every ``find`` checks.
    """

    channel = CHANNEL

    def __init__(
        self,
        source: KeySource,
        *,
        unix_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._unix_s = unix_s
        self._monotonic_s = monotonic_s
        self._known: dict[bytes, Caller] = {}
        self._unknown: OrderedDict[bytes, None] = OrderedDict()  # least recently asked first
        self._pending: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._since: datetime | None = None
        self._news = 0  # announcements heard
        self._refreshed_s = monotonic_s()

    async def find(self, secret: str) -> Caller | None:
        """The caller of a live key, None for a malformed, unknown, revoked or expired one. Raises StoreUnavailable."""
        key = digest(secret)
        if key is None:
            return None
        caller = self._known.get(key)
        if caller is None:
            if key in self._unknown:
                self._unknown.move_to_end(key)
                return None
            caller = await self._look_up(key)
            if caller is None:
                return None
        if caller.expires_at_s is not None and caller.expires_at_s <= self._unix_s():
            return None
        return caller

    async def refresh(self) -> None:
        """Take in what changed since the last time; run it before the first request and every 10 s.

        The first time many keys are taken in unasked: a process that was just started must serve them too when
        Postgres goes away. After an hour without success nothing is believed any more. Raises StoreUnavailable.
        """
        news = self._news
        try:
            changes = await self._source.changes(self._since)
        except StoreUnavailable:
            if self._monotonic_s() - self._refreshed_s > OUTAGE_S_MAX:
                self.forget()
            raise
        if self._since is None:
            self.forget()  # what was looked up before the first refresh may have changed before it too
            if self._news == news:  # else what was read may be older than the news
                self._known = {one.digest: one.caller for one in reversed(changes.keys) if one.caller is not None}
        self._since, self._refreshed_s = changes.until, self._monotonic_s()
        for changed in changes.keys:
            self._take(changed.digest, changed.caller)
        self._drop_rotated(changes)

    def heard(self, announcement: bytes) -> None:
        """A message of the channel: a digest in hexadecimal, whose key must be looked up anew, or ``*`` for all."""
        self._news += 1
        try:
            key = bytes.fromhex(announcement.decode("ascii"))
        except ValueError:
            self.forget()  # "*", or a newer version's word that we do not know: forgetting is always right
            return
        self._known.pop(key, None)
        self._unknown.pop(key, None)
        self._pending.pop(key, None)  # its answer may be older than this news: nobody else may get it

    def forget(self) -> None:
        """Know nothing; every key is looked up anew."""
        self._known.clear()
        self._unknown.clear()
        self._pending.clear()

    def _take(self, key: bytes, caller: Caller | None) -> None:
        """A changed key: only those that were asked for are kept, so that memory follows traffic, not the table."""
        self._pending.pop(key, None)
        if caller is None:
            if self._known.pop(key, None) is not None:
                self._remember_unknown(key)
        else:
            self._unknown.pop(key, None)
            if key in self._known:
                self._known[key] = caller

    def _drop_rotated(self, changes: Changes) -> None:
        """Forget the secrets that a changed key had once: a rotation replaced them, and their overlap was cut short."""
        ids, current = {one.key_id for one in changes.keys}, {one.digest for one in changes.keys}
        if ids:
            rotated = [key for key, caller in self._known.items() if caller.key_id in ids and key not in current]
            for key in rotated:
                del self._known[key]

    async def _look_up(self, key: bytes) -> Caller | None:
        """Ask the store, once for all that wait for this key; a waiter that leaves takes the answer from no other."""
        task = self._pending.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key))
            self._pending[key] = task
            task.add_done_callback(lambda done: self._fetched(key, done))
        return await asyncio.shield(task)

    async def _fetch(self, key: bytes) -> Caller | None:
        try:
            async with asyncio.timeout(LOOKUP_S), self._lookups:
                return await self._source.lookup(key)
        except TimeoutError as exc:
            raise StoreUnavailable("The database did not say in time whose key this is. Please retry.") from exc

    def _fetched(self, key: bytes, task: asyncio.Task[Caller | None]) -> None:
        """Remember an answer, unless the key was changed, and so dropped from the pending, while it was fetched."""
        is_current = self._pending.get(key) is task
        if is_current:
            del self._pending[key]
        if task.cancelled() or task.exception() is not None or not is_current:
            return
        caller = task.result()
        if caller is None:
            self._remember_unknown(key)
        else:
            self._known[key] = caller
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]

    def _remember_unknown(self, key: bytes) -> None:
        self._unknown[key] = None
        if len(self._unknown) > UNKNOWN_MAX:
            self._unknown.popitem(last=False)
