"""What tests of budgets over a real Valkey and a real Postgres share: claims, calls, replicas."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from postgres_parts import make_entry
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import (
    Admission,
    Basis,
    Budget,
    Claims,
    Dimension,
    LedgerEntry,
    Limit,
    OnExhausted,
    Outcome,
    Scope,
    Window,
)
from gateway.ids import rfc3339, unix_ms
from gateway.stores.balances import Balances
from gateway.stores.journal import RedisJournal
from gateway.stores.ledger import LedgerStore
from gateway.stores.ledger_sums import LedgerSums
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_link import Link
from gateway.stores.redis_open import open_link
from policies.rule_book import RuleBook


def new_organization() -> str:
    """Every test has its own, and so its own books."""
    return f"org_{uuid4().hex}"


def _scope(organization_id: str, named: dict[str, str]) -> Scope:
    each = named.get("each")
    return Scope(organization_id, **{**named, "each": Dimension(each) if each else None})


def budget(organization_id: str, limit_nusd: int, window: Window = Window.MONTH, **fields: Any) -> Budget:
    """A budget for the whole organization, or for what ``scope`` names in it."""
    return Budget(
        id=f"bud_{uuid4().hex[:12]}",
        scope=_scope(organization_id, fields.pop("scope", {})),
        limit_nusd=limit_nusd,
        window=window,
        on_exhausted=fields.pop("on_exhausted", OnExhausted.REFUSE),
        **fields,
    )


def limit(organization_id: str, **fields: Any) -> Limit:
    scope = _scope(organization_id, fields.pop("scope", {}))
    return Limit(id=f"lim_{uuid4().hex[:12]}", scope=scope, **fields)


def intent(organization_id: str, hold_nusd: int = 0, *, at_s: float | None = None, **fields: Any) -> LedgerEntry:
    """The intent of a call that is about to be made."""
    entry = make_entry(
        organization_id=organization_id,
        created_at=rfc3339(time.time() if at_s is None else at_s),
        basis=Basis.ORPHANED,
        status=Outcome.ORPHANED,
        meters=(),
        cost_nusd=hold_nusd // 2,
        held_nusd=hold_nusd,
    )
    return msgspec.structs.replace(entry, **fields)


def charged(call: LedgerEntry, cost_nusd: int, **fields: Any) -> LedgerEntry:
    """How the call ended."""
    return msgspec.structs.replace(call, basis=Basis.REPORTED, status=Outcome.SUCCEEDED, cost_nusd=cost_nusd, **fields)


class Replica:
    """One gateway process, as far as money is concerned."""

    def __init__(self, journal: RedisJournal, link: Link, balances: Balances, ledger: LedgerStore, book: RuleBook):
        self.journal = journal
        self.link = link
        self.balances = balances
        self.ledger = ledger
        self.book = book

    def claims(self, call: LedgerEntry) -> Claims:
        return self.book.claims(call, unix_ms(call.created_at))

    async def open(self, call: LedgerEntry, *, tokens: int = 0, ladder_pct: int = 100) -> Any:
        """Admit it. Raises what the path would be told."""
        admission = Admission(self.claims(call), call.held_nusd, tokens, ladder_pct=ladder_pct)
        return await self.journal.open(call, admission)

    async def settle(self, call: LedgerEntry, cost_nusd: int, **fields: Any) -> LedgerEntry:
        charge = charged(call, cost_nusd, **fields)
        await self.journal.settle(charge, self.claims(charge))
        return charge

    async def void_unheard(self, call: LedgerEntry) -> None:
        """Take it back while Redis cannot be reached."""
        link, self.journal._link = self.journal._link, _Away()
        try:
            await self.journal.void(call)
        finally:
            self.journal._link = link

    async def ship(self) -> None:
        """Bring every charge to Postgres."""
        while self.journal.charges.ready:
            batch = self.journal.charges.take(100)
            await self.ledger.write([one.entry for one in batch])
            await self.journal.acknowledge(batch)

    async def standing(self, call: LedgerEntry) -> list[tuple[int, int]]:
        """Spent and held of every budget that the call draws on, in the order of the claims."""
        claims = self.claims(call).budgets
        return [tuple(one) for one in await self.balances.read(call.organization_id, claims)]


class _Away:
    """A link that is lost."""

    is_connected = False

    async def script(self, *_: object) -> object:
        raise RedisConnectionError("redis is away")


async def _no_sleep(_: float) -> None:
    """The wait after a loss of Redis is for replicas that have not told it yet; here all have, by hand."""


@asynccontextmanager
async def replicas(
    url: str, engine: AsyncEngine, directory: Path, book: RuleBook, count: int = 1, **options: Any
) -> AsyncIterator[Sequence[Replica]]:
    """Several replicas over the same stores; they end as if they had been killed."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            link = await open_link(url)
            stack.push_async_callback(link.close)
            name = uuid4().hex
            local = LocalJournal(directory, name)
            stack.push_async_callback(local.close)
            balances = Balances(link, LedgerSums(engine), sleep=_no_sleep)
            journal = RedisJournal(link, local, name, balances, **options)
            stack.push_async_callback(journal.close)
            await journal.beat()
            made.append(Replica(journal, link, balances, LedgerStore(engine), book))
        yield made
