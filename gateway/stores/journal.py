"""Makes every intent and every charge durable outside this process before anyone relies on it.

A charge stands in two places until Postgres has acknowledged it: in Redis (or, while Redis is away, in a local file)
and in the memory here, from which the Shipper takes it. What Redis loses is journaled again from memory; what this
process loses is shipped by whoever sweeps (gateway/jobs/sweeper.py).

Keys, none of which expires::

    obol:{<organization>}:open:<instance>     hash attempt id -> the entry that stands if the instance dies
    obol:{<organization>}:journal:<instance>  hash attempt id -> a charge that Postgres may not have
    obol:{<organization>}:instances           set of instances with either of them
    obol:organizations                        set of organizations with any of them
    obol:instances                            hash instance -> its last heartbeat, ms by the clock of Redis

One hash per instance, so that a sweep touches nothing of the living, however long their backlog; one hash tag per
organization, so that each script runs on one node of a cluster.

Whatever is sent twice, late or out of order is harmless: entries are inserted once by (id, created_at), and a charge
whose intent was already entered as orphaned becomes its correction (LedgerSink).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.domain import LedgerEntry
from gateway.errors import JournalUnavailable
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_link import Link, Script

log = logging.getLogger("obol.journal")

ORGANIZATIONS = "obol:organizations"
INSTANCES = "obol:instances"
_RESTORE_BATCH = 500
_DROP_BATCH = 2000

_OPEN = Script.load("journal_open")
_SETTLE = Script.load("journal_settle")
_RESTORE = Script.load("journal_restore")
_AGAIN = Script.load("journal_again")
_BEAT = Script.load("journal_beat")
_LEAVE = Script.load("journal_leave")


class Journaled(NamedTuple):
    """One entry as it lies in the journal: ``entry`` is the JSON of a LedgerEntry."""

    id: str
    organization_id: str
    entry: bytes


class Keys(NamedTuple):
    """The keys of one instance in one organization."""

    open: str
    journal: str
    instances: str

    @classmethod
    def of(cls, organization_id: str, instance: str) -> Keys:
        prefix = f"obol:{{{organization_id}}}:"
        return cls(f"{prefix}open:{instance}", f"{prefix}journal:{instance}", f"{prefix}instances")


class RedisJournal:
    """The journal of one process: ports.Journal for the path, ``take`` and ``acknowledge`` for the Shipper."""

    def __init__(self, link: Link, local: LocalJournal, instance: str) -> None:
        self.instance = instance
        self._link = link
        self._local = local
        self._encode = msgspec.json.Encoder().encode
        self._keys: dict[str, Keys] = {}
        self._registered: set[str] = set()  # organizations that obol:organizations knows, as far as we know
        self._open: dict[str, Journaled] = {}
        self._settled: dict[str, Journaled] = {}  # not yet acknowledged by Postgres
        self._ready: deque[str] = deque()  # ids of those that nobody is shipping, oldest first
        self._shipped: dict[str, list[str]] = {}  # organization -> ids that Redis still has to drop
        self._never_sent: set[str] = set()  # settled while Redis was away: Redis has nothing to drop
        self._has_entries = asyncio.Event()
        self._is_behind = False  # Redis may lack something that stands here
        self._has_beaten = False
        self._restoring = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        link.watch(on_back=self._on_back)

    @property
    def unshipped(self) -> int:
        """How many charges Postgres has not acknowledged yet."""
        return len(self._settled)

    @property
    def in_flight(self) -> int:
        """How many calls are open."""
        return len(self._open)

    async def open(self, entry: LedgerEntry) -> None:
        """Record the intent of a call. Raises JournalUnavailable when neither Redis nor the disk takes it."""
        intent = self._open[entry.id] = Journaled(entry.id, entry.organization_id, self._encode(entry))
        keys = self._keys_of(entry.organization_id)
        try:
            if entry.organization_id not in self._registered:
                await self._register(entry.organization_id)
            await self._link.script(_OPEN, (keys.open, keys.instances), (intent.id, intent.entry, self.instance))
        except RedisError as exc:
            self._fell_behind("open", exc)
            try:
                await self._local.open(intent.organization_id, intent.id, intent.entry)
            except JournalUnavailable:
                self._open.pop(intent.id, None)
                raise

    async def void(self, entry: LedgerEntry) -> None:
        """Take an intent back: its call was never made."""
        self._open.pop(entry.id, None)
        try:
            await self._link.command("HDEL", self._keys_of(entry.organization_id).open, entry.id)
        except RedisError as exc:
            # Restoring replaces the intents in Redis by those that stand here.
            self._fell_behind("void", exc)
        try:
            await self._local.void(entry.organization_id, entry.id)
        except JournalUnavailable as exc:
            log.critical("intent %s could not be taken back, it will stand as orphaned: %s", entry.id, exc)

    async def settle(self, entry: LedgerEntry) -> None:
        """Replace the intent of the same id by its charge. May be repeated."""
        charge = self._settled[entry.id] = Journaled(entry.id, entry.organization_id, self._encode(entry))
        self._open.pop(entry.id, None)
        keys = self._keys_of(entry.organization_id)
        was_connected = self._link.is_connected
        try:
            if entry.organization_id not in self._registered:
                await self._register(entry.organization_id)
            await self._link.script(_SETTLE, keys, (charge.id, charge.entry, self.instance))
        except RedisError as exc:
            if not was_connected:
                self._never_sent.add(charge.id)
            self._fell_behind("settle", exc)
            await self._settle_locally(charge)
        else:
            if self._local.holds(charge.id):
                await self._settle_locally(charge)
        finally:
            # Only now may it be shipped: were it dropped from Redis before it came there, it would stay for good.
            self._ready.append(charge.id)
            self._has_entries.set()

    async def _settle_locally(self, charge: Journaled) -> None:
        try:
            await self._local.settle(charge.organization_id, charge.id, charge.entry)
        except JournalUnavailable as exc:
            log.critical("CHARGE %s STANDS IN MEMORY ONLY: %s", charge.id, exc)

    # What the Shipper needs.

    @property
    def ready(self) -> int:
        """How many charges may be taken."""
        return len(self._ready)

    def unshipped_ids(self) -> frozenset[str]:
        """The attempts whose charges Postgres has not acknowledged yet."""
        return frozenset(self._settled)

    def is_any_unshipped(self, attempt_ids: Iterable[str]) -> bool:
        return any(one in self._settled for one in attempt_ids)

    async def wait_for_entries(self) -> None:
        """Returns when there is something to take."""
        await self._has_entries.wait()

    def take(self, count_max: int) -> list[Journaled]:
        """The oldest charges that nobody is shipping. Each must be given to ``acknowledge`` or ``put_back``."""
        ids = [self._ready.popleft() for _ in range(min(count_max, len(self._ready)))]
        if not self._ready:
            self._has_entries.clear()
        return [self._settled[one] for one in ids if one in self._settled]

    def put_back(self, charges: Sequence[Journaled]) -> None:
        """The ledger did not take these."""
        self._ready.extendleft(charge.id for charge in reversed(charges))
        if self._ready:
            self._has_entries.set()

    async def acknowledge(self, charges: Sequence[Journaled]) -> None:
        """The ledger has these: drop them here, in Redis and on disk. Never raises for a store that is away."""
        gone = []
        for charge in charges:
            if self._settled.get(charge.id) is charge:
                del self._settled[charge.id]
                gone.append(charge.id)
                if charge.id in self._never_sent:
                    self._never_sent.discard(charge.id)
                    continue
                self._shipped.setdefault(charge.organization_id, []).append(charge.id)
        self._local.forget(gone)
        await self._drop_shipped()

    async def _drop_shipped(self) -> None:
        work, self._shipped = self._shipped, {}
        for organization_id, ids in work.items():
            ids = [one for one in ids if one not in self._settled]  # noqa: PLW2901 - settled again meanwhile
            key = self._keys_of(organization_id).journal
            try:
                for start in range(0, len(ids), _DROP_BATCH):
                    await self._link.command("HDEL", key, *ids[start : start + _DROP_BATCH])
            except RedisError as exc:
                self._shipped.setdefault(organization_id, []).extend(ids)
                self._fell_behind("acknowledge", exc)

    # What keeps Redis and this process of one mind.

    async def beat(self) -> None:
        """Say that this instance lives; journal again what Redis lost. Raises RedisError while it is away."""
        was_unknown = await self._link.script(_BEAT, (INSTANCES,), (self.instance,)) == 1
        if was_unknown and self._has_beaten:
            log.error("Redis does not know this instance any more: journaling again all that stands in memory")
            self._is_behind = True
        self._has_beaten = True
        if self._is_behind:
            await self.restore()

    async def restore(self) -> None:
        """Bring Redis to what this process knows: open intents, unshipped charges, dropped ones. Raises RedisError."""
        async with self._restoring:
            self._is_behind = False
            try:
                await self._restore()
            except RedisError:
                self._is_behind = True
                raise

    async def _restore(self) -> None:
        for organization_id in list(self._keys):
            await self._register(organization_id)
            await self._restore_open(organization_id)
        ids = list(self._settled)
        for start in range(0, len(ids), _RESTORE_BATCH):
            # Looked up only now: what was shipped meanwhile must not come back. Nothing is awaited until it is sent.
            charges = [self._settled[one] for one in ids[start : start + _RESTORE_BATCH] if one in self._settled]
            self._never_sent.difference_update(charge.id for charge in charges)
            await asyncio.gather(
                *(
                    self._link.script(_AGAIN, (self._keys_of(org).journal, self._keys_of(org).instances), args)
                    for org, args in _by_organization(charges, self.instance).items()
                )
            )
        await self._drop_shipped()

    async def _restore_open(self, organization_id: str) -> None:
        keys = self._keys_of(organization_id)
        args = [self.instance.encode()]
        for intent in self._open.values():
            if intent.organization_id == organization_id:
                args += [intent.id.encode(), intent.entry]
        await self._link.script(_RESTORE, (keys.open, keys.instances), args)

    async def leave(self) -> bool:
        """Deregister after a clean end; false when something is left, which a sweeper then takes up.

        Nothing may be opened or settled any more.
        """
        try:
            await self.restore()
            left = 0
            for organization_id in self._keys:
                keys = self._keys_of(organization_id)
                left += _count(await self._link.script(_LEAVE, keys, (self.instance,)))
            if left == 0 and not self._settled and not self._open:
                await self._link.command("HDEL", INSTANCES, self.instance)
                return True
        except RedisError as exc:
            log.warning("Redis is away at the end of this instance, what is left goes to the local journal: %s", exc)
            await self._leave_locally()
        return False

    async def _leave_locally(self) -> None:
        """Memory ends here and Redis may come back without what it had: the disk takes it all."""
        for charge in list(self._settled.values()):
            if not self._local.holds(charge.id):
                await self._settle_locally(charge)
        for intent in list(self._open.values()):
            if not self._local.holds(intent.id):
                try:
                    await self._local.open(intent.organization_id, intent.id, intent.entry)
                except JournalUnavailable as exc:
                    log.critical("INTENT %s STANDS IN MEMORY ONLY: %s", intent.id, exc)

    async def close(self) -> None:
        """End what runs in the background. The link and the local journal belong to who made them."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_back(self) -> None:
        self._is_behind = True
        task = asyncio.get_running_loop().create_task(self._beat_again(), name="journal-restore")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat_again(self) -> None:
        try:
            await self.beat()
        except RedisError as exc:
            log.warning("Redis was back, but could not be brought up to date; the next heartbeat tries again: %s", exc)

    async def _register(self, organization_id: str) -> None:
        await self._link.command("SADD", ORGANIZATIONS, organization_id)
        self._registered.add(organization_id)

    def _fell_behind(self, step: str, error: RedisError) -> None:
        self._is_behind = True
        if not isinstance(error, RedisConnectionError):  # an absent Redis was logged once, by the link
            log.error("Redis refused to journal (%s), the local journal stands in: %s", step, error)

    def _keys_of(self, organization_id: str) -> Keys:
        keys = self._keys.get(organization_id)
        if keys is None:
            keys = self._keys[organization_id] = Keys.of(organization_id, self.instance)
        return keys


async def count_journaled(link: Link) -> int:
    """How many charges of all instances Postgres may not have yet. Raises RedisError."""
    organizations = await link.command("SMEMBERS", ORGANIZATIONS)
    count = 0
    for organization in organizations if isinstance(organizations, list) else ():
        name = organization.decode()
        instances = await link.command("SMEMBERS", Keys.of(name, "").instances)
        for instance in instances if isinstance(instances, list) else ():
            count += _count(await link.command("HLEN", Keys.of(name, instance.decode()).journal))
    return count


def _by_organization(charges: Iterable[Journaled], instance: str) -> dict[str, list[bytes]]:
    """Script arguments (instance, id, entry, id, entry, ...) for each organization."""
    args: dict[str, list[bytes]] = {}
    for charge in charges:
        args.setdefault(charge.organization_id, [instance.encode()]).extend((charge.id.encode(), charge.entry))
    return args


def _count(reply: object) -> int:
    return reply if isinstance(reply, int) else 0
