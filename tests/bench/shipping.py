"""How fast charges reach Postgres: journal, shipper and ledger of one process over real stores."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from gateway.domain import NO_CLAIMS
from gateway.jobs.shipper import Shipper
from gateway.stores import migrate
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.journal import RedisJournal
from gateway.stores.ledger import LedgerStore
from tests.bench.admission import journal_over
from tests.bench.entries import charge_of_call, intent_of

ENTRIES = 20_000
_AT_ONCE = 500
_TICK_S = 0.001


class Shipped(NamedTuple):
    """One run. ``lag_ms``: the longest that anything else in the process had to wait, the median and 99 % of waits."""

    entries_per_s: float
    cpu_us: float  # of this process, for each entry
    lag_ms: tuple[float, float, float]


def measure(folder: Path, runs: int) -> list[Shipped]:
    """Settle 20,000 charges each time, then let the shipper bring them to Postgres."""
    stores = EmbeddedStores.start(folder)
    try:
        migrate.upgrade(stores.database_url)
        return asyncio.run(_measure(stores, folder, runs))
    finally:
        stores.stop()


async def _measure(stores: EmbeddedStores, folder: Path, runs: int) -> list[Shipped]:
    async with journal_over(stores, folder) as (journal, engine, _):
        return [await _once(journal, LedgerStore(engine)) for _ in range(runs)]


async def _once(journal: RedisJournal, ledger: LedgerStore) -> Shipped:
    entries = [charge_of_call() for _ in range(ENTRIES)]
    for start in range(0, ENTRIES, _AT_ONCE):
        part = entries[start : start + _AT_ONCE]
        await asyncio.gather(*(journal.open(intent_of(one)) for one in part))
        await asyncio.gather(*(journal.settle(one, NO_CLAIMS) for one in part))
    shipper = Shipper(journal, ledger)
    waits: list[float] = []
    ticker = asyncio.create_task(_tick(waits))
    began_s, cpu_s = time.perf_counter(), time.process_time()
    shipper.start()
    await shipper.flush(600)
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    ticker.cancel()
    await shipper.stop(10)
    waits.sort()
    lag_ms = (waits[-1] * 1000, waits[len(waits) // 2] * 1000, waits[len(waits) * 99 // 100] * 1000)
    return Shipped(ENTRIES / seconds, cpu_s / ENTRIES * 1e6, lag_ms)


async def _tick(waits: list[float]) -> None:
    """What a request beside it would wait for its turn."""
    while True:
        due_s = time.perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        waits.append(max(0.0, time.perf_counter() - due_s))
