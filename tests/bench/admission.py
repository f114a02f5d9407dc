"""What admission and settlement cost alone, here and in Redis: without rules, and with all that may apply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Admission, Budget, LedgerEntry, Limit, Scope, Window
from gateway.ids import unix_ms
from gateway.stores import database, migrate, partitions
from gateway.stores.balances import Balances
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.journal import RedisJournal
from gateway.stores.ledger_sums import LedgerSums
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_link import Link
from gateway.stores.redis_open import open_link
from policies.rule_book import RuleBook
from tests.bench.entries import charge_of_call, intent_of

CALLS = 4000
_AT_ONCE = 32
_PLENTY = 1_000_000_000
_HOLD_NUSD = 100_000_000


class Cost(NamedTuple):
    """Of one call, in microseconds of CPU of this process and of time in Redis's scripts."""

    open_us: float
    open_redis_us: float
    settle_us: float
    settle_redis_us: float


@asynccontextmanager
async def journal_over(stores: EmbeddedStores, folder: Path) -> AsyncIterator[tuple[RedisJournal, AsyncEngine, Link]]:
    """The journal of one process on a migrated database."""
    engine = database.connect(stores.database_url)
    await partitions.ensure_all_partitions(engine)
    link = await open_link(stores.redis_url)
    local = LocalJournal(folder / "journal", "bench")
    journal = RedisJournal(link, local, "bench", Balances(link, LedgerSums(engine)))
    try:
        await journal.beat()
        yield journal, engine, link
    finally:
        await journal.close()
        await local.close()
        await link.close()
        await engine.dispose()


def measure(folder: Path, runs: int) -> tuple[list[Cost], list[Cost]]:
    """Without any rule, and with five budgets and ten limits, in turns."""
    stores = EmbeddedStores.start(folder)
    try:
        migrate.upgrade(stores.database_url)
        return asyncio.run(_measure(stores, folder, runs))
    finally:
        stores.stop()


async def _measure(stores: EmbeddedStores, folder: Path, runs: int) -> tuple[list[Cost], list[Cost]]:
    bare: list[Cost] = []
    ruled: list[Cost] = []
    async with journal_over(stores, folder) as (journal, _, link):
        for _ in range(runs):
            bare.append(await _once(journal, link, RuleBook()))
            ruled.append(await _once(journal, link, _rules()))
    return bare, ruled


def _rules() -> RuleBook:
    whose = [{}, {"team_id": "team_1"}, {"key_id": "key_1"}, {"route": "static"}, {"model": "bench"}]
    more = [{**one, **what} for one in whose[1:3] for what in whose[3:]]
    more.append({"route": "static", "model": "bench"})
    scopes = [Scope("org_default", **one) for one in [*whose, *more]]
    budgets = [Budget(f"budget_{n}", scopes[n], _PLENTY * 1_000_000, Window.MONTH) for n in range(len(whose))]
    rates = dict.fromkeys(("requests_per_minute", "tokens_per_minute", "parallel_requests"), _PLENTY)
    return RuleBook(budgets, [Limit(f"limit_{n}", scope, **rates) for n, scope in enumerate(scopes)])


async def _once(journal: RedisJournal, link: Link, rules: RuleBook) -> Cost:
    charges = [charge_of_call() for _ in range(CALLS + _AT_ONCE)]

    async def opened(charge: LedgerEntry) -> None:
        entry = intent_of(charge)
        claims = rules.claims(entry, unix_ms(entry.created_at))
        await journal.open(entry, Admission(claims, _HOLD_NUSD if claims.budgets else 0, 120))

    async def settled(charge: LedgerEntry) -> None:
        await journal.settle(charge, rules.claims(charge, unix_ms(charge.created_at)))

    warm, measured = charges[:_AT_ONCE], charges[_AT_ONCE:]
    await _timed(link, warm, opened)
    open_us, open_redis_us = await _timed(link, measured, opened)
    await _timed(link, warm, settled)
    settle_us, settle_redis_us = await _timed(link, measured, settled)
    await journal.acknowledge(journal.charges.take(len(charges)))
    return Cost(open_us, open_redis_us, settle_us, settle_redis_us)


async def _timed(
    link: Link, charges: Sequence[LedgerEntry], work: Callable[[LedgerEntry], Awaitable[None]]
) -> tuple[float, float]:
    """Microseconds for each, of this process's CPU and in Redis."""
    redis_us, cpu_s = await _script_us(link), time.process_time()
    for start in range(0, len(charges), _AT_ONCE):
        await asyncio.gather(*(work(one) for one in charges[start : start + _AT_ONCE]))
    cpu_s = time.process_time() - cpu_s
    return cpu_s / len(charges) * 1e6, (await _script_us(link) - redis_us) / len(charges)


async def _script_us(link: Link) -> int:
    reply = await link.command("INFO", "commandstats")
    text = reply.decode() if isinstance(reply, bytes) else ""
    lines = [line for line in text.splitlines() if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:"))]
    return sum(int(line.partition("usec=")[2].partition(",")[0]) for line in lines)
