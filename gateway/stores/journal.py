"""Admits every call and makes every charge durable outside this process before anyone relies on them.

A charge stands in two places until Postgres has acknowledged it: in Redis (or, while Redis is away, in a local file)
and in the memory here, from which the Shipper takes it. What Redis loses is journaled again from memory; what this
process loses is shipped by whoever sweeps (gateway/jobs/sweeper.py).

Keys, none of which expires (more of them: lua/books.lua)::

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
from collections.abc import Callable, Iterable, Sequence

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.domain import NO_CLAIMS, NO_ROOM_TOLD, Admission, Claims, LedgerEntry, OnExhausted, Room
from gateway.errors import BudgetsUnavailable, GatewayError, JournalUnavailable
from gateway.ids import unix_ms
from gateway.stores.admission import Admissions
from gateway.stores.balances import Balances
from gateway.stores.books import ClaimPacker, Journaled, Keys
from gateway.stores.instances import INSTANCES, ORGANIZATIONS, doubt
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_clock import RedisClock
from gateway.stores.redis_link import Link, Script
from gateway.stores.redis_wire import Arg
from gateway.stores.under_way import UnderWay
from gateway.stores.unshipped import Unshipped
from policies.reconciliation import voided

log = logging.getLogger("obol.journal")

_RESTORE_BATCH = 500
_DROP_BATCH = 2000
_MISSED_US = 4_000_000  # two heartbeats: whoever was longer silent may have been swept (gateway/jobs/sweeper.py)

_VOID = Script.load("journal_void", "books")
_SETTLE = Script.load("journal_settle", "books", "rates")
_PART = Script.load("journal_part", "books", "rates")
_PROGRESS = Script.load("journal_progress", "books")
_RESTORE = Script.load("journal_restore", "books")
_AGAIN = Script.load("journal_again")
_DROP = Script.load("journal_drop", "books")
_BEAT = Script.load("journal_beat")
_LEAVE = Script.load("journal_leave", "books")


class RedisJournal:
    """The journal of one process: ports.Journal for the path, ``charges`` and ``acknowledge`` for the Shipper."""

    def __init__(
        self,
        link: Link,
        local: LocalJournal,
        instance: str,
        balances: Balances,
        *,
        clock: RedisClock | None = None,
        serves_without_redis: bool = False,
        on_alert: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``serves_without_redis``: budgeted calls go on unchecked while Redis is away, instead of being refused.

        ``on_alert`` is told the organization for which an alert was left in Redis.
        """
        self.instance = instance
        self.clock = clock or RedisClock()
        self._link = link
        self._local = local
        self._pack_claims = ClaimPacker()
        self._admissions = Admissions(
            link, balances, self._pack_claims, serves_without_balances=serves_without_redis, on_alert=on_alert
        )
        self._serves_without_redis = serves_without_redis
        self._on_alert = on_alert
        self._encode = msgspec.json.Encoder().encode
        self._keys: dict[str, Keys] = {}
        self._registered: set[str] = set()  # organizations that obol:organizations knows, as far as we know
        self._under_way = UnderWay()
        self.charges = Unshipped()
        self._shipped: dict[str, list[str]] = {}  # organization -> ids that Redis still has to drop
        self._is_behind = False  # Redis may lack something that stands here
        self._is_doubtful = not link.is_connected  # others may have charged meanwhile what no balance counts
        self._beaten_us = 0  # when Redis last took a heartbeat of ours, by its clock
        self._may_be_swept = False
        self._restoring = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        link.watch(on_back=self._on_back)

    @property
    def unshipped(self) -> int:
        """How many charges Postgres has not acknowledged yet."""
        return len(self.charges)

    @property
    def in_flight(self) -> int:
        """How many calls are open."""
        return len(self._under_way)

    async def open(self, entry: LedgerEntry, admission: Admission = Admission()) -> Room:  # noqa: B008 - frozen
        """Admit a call and record its intent.

        Raises RateLimited, BudgetExceeded, BudgetsUnavailable (a budget applies and Redis or Postgres is away), and
        JournalUnavailable when neither Redis nor the disk takes the intent.
        """
        intent = Journaled(entry.id, entry.organization_id, self._encode(entry))
        self._under_way.ask(intent, entry.request_id)
        keys = self._keys_of(intent.organization_id)  # from here on a restore tells Redis of it, whatever fails below
        was_connected = self._link.is_connected
        try:
            if intent.organization_id not in self._registered:
                await self._register(intent.organization_id)
            room = await self._admissions.admit(keys, intent, (self.instance, entry.request_id), admission)
        except RedisError as exc:
            self._fell_behind("open", exc)
            try:
                await self._open_without_redis(intent, admission)
            except GatewayError:
                end = self._under_way.end_unheard if was_connected else self._under_way.end
                end(entry)
                raise
            room = NO_ROOM_TOLD
        except asyncio.CancelledError:
            # It may have been admitted: void and leave undo that.
            self._under_way.admitted(intent, entry.request_id, admission, int(self.clock.unix_s()))
            raise
        except Exception:  # refused, in whatever way: nothing of it may stand
            self._under_way.end(entry)
            raise
        finally:
            self._under_way.answered(intent)
        self._under_way.admitted(intent, entry.request_id, admission, int(self.clock.unix_s()))
        return room

    async def _open_without_redis(self, intent: Journaled, admission: Admission) -> None:
        is_budgeted = admission.hold_nusd > 0 and any(
            claim.budget.on_exhausted is not OnExhausted.NOTIFY for claim in admission.claims.budgets
        )
        if is_budgeted and not self._serves_without_redis:
            raise BudgetsUnavailable(
                "A budget applies to this call, and what is left of it cannot be told while Redis is away."
            )
        await self._local.open(intent.organization_id, intent.id, intent.entry)

    async def void(self, entry: LedgerEntry) -> None:
        """Take an intent and its hold back: its call was never made."""
        self._under_way.end(entry)
        keys = self._keys_of(entry.organization_id)
        try:
            await self._link.script(_VOID, (keys.books, keys.open), (entry.id, self.instance))
        except RedisError as exc:
            # Restoring replaces the intents in Redis by those that stand here.
            self._under_way.end_unheard(entry)
            self._fell_behind("void", exc)
        try:
            await self._local.void(entry.organization_id, entry.id)
        except JournalUnavailable as exc:
            log.critical("intent %s could not be taken back, it will stand as orphaned: %s", entry.id, exc)

    async def leave(self, request_id: str, organization_id: str) -> None:
        """The request has ended without a last settlement: give its parallel place back."""
        if not self._under_way.leave(request_id):
            return
        keys = self._keys_of(organization_id)
        try:
            await self._link.script(_PART, (keys.books,), (request_id, self.instance))
        except RedisError as exc:
            self._fell_behind("leave", exc)

    async def progress(self, entries: Sequence[LedgerEntry]) -> None:
        """Renew intents that are still open: what would stand if this process died now."""
        renewed: dict[str, list[Arg]] = {}
        for entry in entries:
            intent = Journaled(entry.id, entry.organization_id, self._encode(entry))
            if self._under_way.renew(intent):
                renewed.setdefault(intent.organization_id, []).extend((intent.id, intent.entry))
        for organization_id, args in renewed.items():
            keys = self._keys_of(organization_id)
            try:
                for start in range(0, len(args), _RESTORE_BATCH * 2):
                    part = args[start : start + _RESTORE_BATCH * 2]
                    await self._link.script(_PROGRESS, (keys.books, keys.open), part)
            except RedisError as exc:
                self._fell_behind("progress", exc)

    async def settle(self, entry: LedgerEntry, claims: Claims = NO_CLAIMS, *, is_last: bool = True) -> None:
        """Replace the intent of the same id by its charge, and its hold by what it cost. May be repeated."""
        charge = Journaled(entry.id, entry.organization_id, self._encode(entry))
        self.charges.add(charge)
        is_doubtful = self._under_way.end(entry)
        if is_last:
            self._under_way.leave(entry.request_id)
        keys = self._keys_of(entry.organization_id)
        try:
            if entry.organization_id not in self._registered:
                await self._register(entry.organization_id)
            has_alerted = await self._link.script(
                _SETTLE,
                keys,
                (
                    charge.id,
                    charge.entry,
                    self.instance,
                    entry.cost_nusd,
                    unix_ms(entry.created_at),
                    entry.request_id,
                    entry.input_tokens + entry.output_tokens,
                    int(is_last),
                    self._pack_claims(claims).budgets,
                    int(is_doubtful),
                ),
            )
        except RedisError as exc:
            self._fell_behind("settle", exc)
            await self._settle_locally(charge)
        else:
            if has_alerted:
                self._on_alert(entry.organization_id)
            if self._local.holds(charge.id):
                await self._settle_locally(charge)
        finally:
            # Only now may it be shipped: were it dropped from Redis before it came there, it would stay for good.
            self.charges.release(charge)

    async def _settle_locally(self, charge: Journaled) -> None:
        try:
            await self._local.settle(charge.organization_id, charge.id, charge.entry)
        except JournalUnavailable as exc:
            log.critical("CHARGE %s STANDS IN MEMORY ONLY: %s", charge.id, exc)

    async def acknowledge(self, charges: Sequence[Journaled]) -> None:
        """The ledger has these: drop them here, in Redis and on disk. Never raises for a store that is away."""
        gone = self.charges.drop(charges)
        if self._link.is_connected:  # else ``restore`` finds them
            for charge in gone:
                self._shipped.setdefault(charge.organization_id, []).append(charge.id)
        self._local.forget([charge.id for charge in gone])
        await self._drop_shipped()

    async def _drop_shipped(self) -> None:
        work, self._shipped = self._shipped, {}
        for organization_id, ids in work.items():
            ids = [one for one in ids if one not in self.charges]  # noqa: PLW2901 - settled again meanwhile
            keys = self._keys_of(organization_id)
            try:
                while ids:
                    args = ids[:_DROP_BATCH]
                    if await self._link.script(_DROP, (keys.books, keys.journal), args) == -1:
                        self._shipped.setdefault(organization_id, []).extend(ids)  # the next heartbeat drops them
                        break
                    del ids[:_DROP_BATCH]
            except RedisError as exc:
                self._fell_behind("acknowledge", exc)  # ``restore`` finds them

    # What keeps Redis and this process of one mind.

    async def beat(self) -> None:
        """Say that this instance lives; journal again what Redis lost. Raises RedisError while it is away."""
        asked_at_s = self.clock.now_s()
        reply = await self._link.script(_BEAT, (INSTANCES,), (self.instance,))
        was_unknown, redis_us = map(int, reply) if isinstance(reply, list) else (0, 0)
        if redis_us:
            self.clock.read(redis_us, asked_at_s)
        if was_unknown == 1 and self._beaten_us:
            log.error("Redis does not know this instance any more: journaling again all that stands in memory")
            self._is_behind = True
            if redis_us - self._beaten_us >= _MISSED_US:
                self._may_be_swept = True
                self._under_way.doubt()
        self._beaten_us = redis_us
        if self._is_behind:
            await self.restore()
            await self._take_back()
        if self._is_doubtful:
            await self._doubt_all()
        await self._drop_shipped()

    async def _take_back(self) -> None:
        """What a sweeper may have charged as orphaned though its call was never made. Redis has just been restored."""
        uncalled, may_be_swept = self._under_way.take_uncalled(), self._may_be_swept
        self._may_be_swept = False
        for intent in uncalled if may_be_swept else ():
            await self.settle(voided(intent), is_last=False)

    async def _doubt_all(self) -> None:
        """After an outage: whoever died in it may have charged what no balance counts. Raises RedisError."""
        organizations = await self._link.command("SMEMBERS", ORGANIZATIONS)
        for organization in organizations if isinstance(organizations, list) else ():
            await doubt(self._link, organization.decode())
        self._is_doubtful = False

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
        ids = list(self.charges.ids())
        for start in range(0, len(ids), _RESTORE_BATCH):
            # Looked up only now: what was shipped meanwhile must not come back. Nothing is awaited until it is sent.
            charges = self.charges.get(ids[start : start + _RESTORE_BATCH])
            await asyncio.gather(
                *(
                    self._link.script(_AGAIN, (self._keys_of(org).journal, self._keys_of(org).instances), args)
                    for org, args in _by_organization(charges, self.instance).items()
                )
            )
        # After the charges: this begins a new generation of the books, in which they must be found.
        for organization_id in list(self._keys):
            keys = self._keys_of(organization_id)
            args = self._under_way.restore_args(organization_id, self.instance)
            await self._link.script(_RESTORE, (keys.books, keys.open, keys.instances), args)
            # What stands in our journal and not in memory was shipped, or moved there by a sweeper that took us for
            # dead and may not have been able to drop it.
            journaled = await self._link.command("HKEYS", keys.journal)
            ids = [one.decode() for one in journaled] if isinstance(journaled, list) else []
            self._shipped.setdefault(organization_id, []).extend(one for one in ids if one not in self.charges)
        await self._drop_shipped()

    async def sign_off(self) -> bool:
        """Deregister after a clean end; false when something is left, which a sweeper then takes up.

        Nothing may be opened or settled any more.
        """
        try:
            if self._is_behind:
                await self.restore()
            else:
                await self._drop_shipped()
            left = 0
            for organization_id in self._keys:
                keys = self._keys_of(organization_id)
                left += _count(await self._link.script(_LEAVE, keys, (self.instance,)))
            if left == 0 and not self.charges and not self._under_way:
                await self._link.command("HDEL", INSTANCES, self.instance)
                return True
        except RedisError as exc:
            log.warning("Redis is away at the end of this instance, what is left goes to the local journal: %s", exc)
            await self._leave_locally()
        return False

    async def _leave_locally(self) -> None:
        """Memory ends here and Redis may come back without what it had: the disk takes it all."""
        for charge in self.charges:
            if not self._local.holds(charge.id):
                await self._settle_locally(charge)
        for intent in self._under_way:
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
        self._is_behind = self._is_doubtful = True
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


def _by_organization(charges: Iterable[Journaled], instance: str) -> dict[str, list[bytes]]:
    """Script arguments (instance, id, entry, id, entry, ...) for each organization."""
    args: dict[str, list[bytes]] = {}
    for charge in charges:
        args.setdefault(charge.organization_id, [instance.encode()]).extend((charge.id.encode(), charge.entry))
    return args


def _count(reply: object) -> int:
    return reply if isinstance(reply, int) else 0
