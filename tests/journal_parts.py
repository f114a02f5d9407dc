"""What tests of the journal share: entries, a ledger in memory with the contract of the real one, and waiting."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from gateway.domain import Basis, LedgerEntry, Outcome
from gateway.errors import StoreUnavailable
from gateway.stores.balances import Balances
from gateway.stores.books import Keys
from gateway.stores.journal import RedisJournal
from gateway.stores.ledger_sums import LedgerSums
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_link import Link
from gateway.stores.redis_open import open_link

_numbers = itertools.count()


def make_intent(organization_id: str = "org", instance: str = "one", cost_nusd: int = 5) -> LedgerEntry:
    """An open call: the entry that stands if its process dies."""
    number = next(_numbers)
    return LedgerEntry(
        id=f"attempt-{number:06d}",
        request_id=f"request-{number:06d}",
        created_at="2026-01-01T00:00:00.000000Z",
        instance=instance,
        attempt=1,
        organization_id=organization_id,
        team_id="team",
        key_id="key",
        endpoint="chat/completions",
        is_stream=False,
        deployment="simulated",
        provider="simulator",
        model_asked="simulated",
        model="simulated",
        basis=Basis.ORPHANED,
        status=Outcome.ORPHANED,
        cost_nusd=cost_nusd,
    )


def charge_of(intent: LedgerEntry, cost_nusd: int = 7) -> LedgerEntry:
    """How that call ended."""
    return msgspec.structs.replace(intent, basis=Basis.REPORTED, status=Outcome.SUCCEEDED, cost_nusd=cost_nusd)


class MemoryLedger:
    """A LedgerSink with the contract of the real one: once per id, a late better entry becomes a correction."""

    def __init__(self) -> None:
        self.entries: dict[str, LedgerEntry] = {}
        self.corrections: dict[str, LedgerEntry] = {}
        self.is_away = False
        self.failures: list[Exception] = []
        self.batches: list[int] = []

    async def write(self, entries: Sequence[bytes]) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("Postgres is away.")
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(len(entries))
        decoded = [msgspec.json.decode(entry, type=LedgerEntry) for entry in entries]
        for entry in sorted(decoded, key=lambda one: one.basis != Basis.ORPHANED):
            if entry.status == Outcome.VOIDED and entry.id not in self.entries:
                continue
            standing = self.entries.setdefault(entry.id, entry)
            if standing.basis == Basis.ORPHANED and entry.basis != Basis.ORPHANED:
                self.corrections.setdefault(entry.id, entry)

    def cost_nusd(self, attempt_id: str) -> int | None:
        """What the ledger says of a call, its correction applied."""
        entry = self.corrections.get(attempt_id) or self.entries.get(attempt_id)
        return None if entry is None else entry.cost_nusd


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
    """Wait for a condition; the timeout is for a broken one only."""
    async with asyncio.timeout(timeout_s):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.005)


class NoLedger:
    """The sums of a ledger without entries."""

    @asynccontextmanager
    async def snapshot(self):
        yield self

    async def spent(self, _claim):
        return {}

    async def lacking(self, entries):
        return list(entries)


@asynccontextmanager
async def journal_on(
    url: str,
    directory: Path,
    instance: str = "one",
    timeout_s: float = 2.0,
    sums: LedgerSums | NoLedger | None = None,
    **options: Any,
) -> AsyncIterator[tuple[RedisJournal, Link, LocalJournal]]:
    """A journal with its parts, closed at the end without deregistering: as if its process had died."""
    link = await open_link(url, timeout_s=timeout_s)
    local = LocalJournal(directory, instance)
    journal = RedisJournal(link, local, instance, Balances(link, sums or NoLedger()), **options)
    try:
        if link.is_connected:
            await journal.beat()
        yield journal, link, local
    finally:
        await journal.close()
        await local.close()
        await link.close()


async def ids_in(link: Link, organization_id: str, instance: str) -> tuple[set[str], set[str]]:
    """Attempt ids of an instance in Redis: open, journal."""
    keys = Keys.of(organization_id, instance)
    both = []
    for key in (keys.open, keys.journal):
        reply = await link.command("HKEYS", key)
        assert isinstance(reply, list)
        both.append({one.decode() for one in reply})
    return both[0], both[1]
