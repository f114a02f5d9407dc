"""Whether what Redis says of an organization's money is what ledger, journals and open holds make of it.

Right while traffic flows: balances are compared in one moment (Balances.compare), and what else differs only because
two stores were read one after the other is gone on a second look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Basis, Budget, BudgetClaim, LedgerEntry
from gateway.stores import tables
from gateway.stores.balances import Balances, Compared
from gateway.stores.books import Keys
from gateway.stores.database import translated
from gateway.stores.redis_link import Link, Script
from policies.reconciliation import correction_id
from policies.rule_book import stands_in
from policies.scopes import FIELDS
from policies.windows import balance_name, period_of

_NAMES = Script.load("books_names", "books")
_LOOSE = Script.load("books_loose", "books")
_DOUBT = Script.load("books_doubt", "books")
_BATCH = 500
_KEYS_AT_ONCE = 1000
_DIGEST_CHARACTERS = 33  # a colon and what stands for a value that is no plain word, see policies/windows.py
_CHANGING_MS = 10_000  # after a budget changed its balances are being found out anew

_STANDING = text("""
    SELECT id::text, basis, cost_nusd FROM ledger_entries
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:instants AS timestamptz[])) AS wanted (id, created_at)
    USING (id, created_at)
""")
_decode = msgspec.json.Decoder(LedgerEntry).decode


class LooseHold(NamedTuple):
    """Money held for a call that is not open."""

    instance: str
    attempt_id: str
    hold_nusd: int


class JournalDifference(NamedTuple):
    """A journaled charge that the ledger has with another amount; None: it cannot be read."""

    attempt_id: str
    journaled_nusd: int | None
    ledger_nusd: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """What one look at an organization's books found. ``journaled``: charges that wait for the ledger."""

    compared: tuple[Compared, ...]
    loose: tuple[LooseHold, ...]
    journal: tuple[JournalDifference, ...]
    journaled: int

    @property
    def different(self) -> list[Compared]:
        return [one for one in self.compared if one.standing is not None and one.standing != one.rebuilt]


class BooksCheck:
    """Looks at the books of organizations, and mends them. Raises StoreUnavailable, RedisError, BudgetsUnavailable."""

    def __init__(self, link: Link, engine: AsyncEngine, balances: Balances) -> None:
        self._link = link
        self._engine = engine
        self._balances = balances

    async def look(self, organization_id: str, budgets: Sequence[Budget], now_ms: int) -> Found:
        """Compare all balances in Redis, look for holds without a call, and compare the journals with the ledger."""
        claims = await self.claims(organization_id, budgets, now_ms)
        compared: list[Compared] = []
        for start in range(0, len(claims), _BATCH):
            compared += await self._balances.compare(organization_id, claims[start : start + _BATCH])
        journal, journaled = await self._journal_differences(organization_id)
        return Found(tuple(compared), tuple(await self._loose(organization_id)), tuple(journal), journaled)

    async def rebuild(self, organization_id: str, budgets: Sequence[Budget], now_ms: int) -> int:
        """Begin a new generation of the books and rebuild every balance that stands in Redis; returns how many."""
        claims = await self.claims(organization_id, budgets, now_ms)
        await self._loose(organization_id, let_go=True)
        await self._link.script(_DOUBT, (Keys.of(organization_id, "").books,), ())
        for start in range(0, len(claims), _BATCH):
            await self._balances.read(organization_id, claims[start : start + _BATCH])
        return len(claims)

    async def claims(self, organization_id: str, budgets: Sequence[Budget], now_ms: int) -> list[BudgetClaim]:
        """What the balances in Redis are balances of. Those whose budget is gone or changed count for nobody."""
        mine = {one.id: one for one in budgets}
        found = []
        values: dict[str, dict[str, str]] = {}
        names = sorted(await self._names(organization_id))
        for name in names:
            budget_id, start, *suffix = name.split(":", 2)
            budget = mine.get(budget_id)
            if budget is None or budget.is_rolling is not start.startswith("r"):
                continue
            period = period_of(budget, now_ms if budget.is_rolling else int(start))
            base = balance_name(budget, period, None)
            if budget.updated_at_ms > now_ms - _CHANGING_MS or name != ":".join([base, *suffix]):
                continue
            claim = BudgetClaim(budget, None, name, period, budget.limit_nusd)
            if suffix:
                if base not in values:
                    is_any_digest = any(
                        one.startswith(base) and len(one) == len(base) + _DIGEST_CHARACTERS for one in names
                    )
                    values[base] = await self._values(claim) if is_any_digest else {}
                claim = claim._replace(value=values[base].get(name, suffix[0]))
            if not any(_takes_the_place(other, claim) for other in mine.values()):
                found.append(claim)
        return found

    async def _names(self, organization_id: str) -> set[str]:
        names: set[str] = set()
        cursor = b"0"
        while True:
            reply = await self._link.script(_NAMES, (Keys.of(organization_id, "").books,), (cursor, _KEYS_AT_ONCE))
            cursor, *part = reply if isinstance(reply, list) else [b"0"]
            names.update(one.decode() for one in part)
            if cursor == b"0":
                return names

    async def _values(self, claim: BudgetClaim) -> dict[str, str]:
        """By the balance's name, the values that a budget counted apart in a period: some are named by their digest."""
        budget, period = claim.budget, claim.period
        if budget.scope.each is None:
            return {}
        field = FIELDS[budget.scope.each]
        entries = tables.ledger_entries.c
        chosen = select(entries[field]).where(
            entries.organization_id == budget.scope.organization_id,
            entries[field].is_not(None),
            entries.created_at >= datetime.fromtimestamp(period.start_ms / 1000, UTC),
        )
        if period.end_ms is not None:
            chosen = chosen.where(entries.created_at < datetime.fromtimestamp(period.end_ms / 1000, UTC))
        with translated():
            async with self._engine.connect() as connection:
                found = set((await connection.execute(chosen.distinct())).scalars())
        async for entry in self._journaled(budget.scope.organization_id):
            found.add(getattr(entry, field, None))  # one that cannot be read has none
        return {balance_name(budget, period, value): value for value in found if value is not None}

    async def _loose(self, organization_id: str, *, let_go: bool = False) -> list[LooseHold]:
        keys = Keys.of(organization_id, "")
        reply = await self._link.script(_LOOSE, (keys.books, keys.instances), ("1" if let_go else "0",))
        flat = [one.decode() for one in reply] if isinstance(reply, list) else []
        return [LooseHold(flat[start], flat[start + 1], int(flat[start + 2])) for start in range(0, len(flat), 3)]

    async def _journal_differences(self, organization_id: str) -> tuple[list[JournalDifference], int]:
        """Charges that stand in a journal and, otherwise, in the ledger; and how many stand in a journal."""
        differences: list[JournalDifference] = []
        batch: list[LedgerEntry] = []
        count = 0
        async for entry in self._journaled(organization_id):
            count += 1
            if isinstance(entry, str):
                differences.append(JournalDifference(entry, None, None))
                continue
            batch.append(entry)
            if len(batch) == _BATCH:
                differences += await self._differing(batch)
                batch.clear()
        return differences + await self._differing(batch), count

    async def _journaled(self, organization_id: str) -> AsyncIterator[LedgerEntry | str]:
        """Every journaled charge; the attempt id of one that cannot be read."""
        keys = Keys.of(organization_id, "")
        instances = await self._link.command("SMEMBERS", keys.instances)
        for instance in instances if isinstance(instances, list) else ():
            journal = Keys.of(organization_id, instance.decode()).journal
            cursor = b"0"
            while True:
                reply = await self._link.command("HSCAN", journal, cursor, "COUNT", _BATCH)
                cursor, flat = reply if isinstance(reply, list) else (b"0", [])
                for attempt_id, entry in zip(flat[::2], flat[1::2], strict=True):
                    try:
                        yield _decode(entry)
                    except msgspec.DecodeError:
                        yield attempt_id.decode()
                if cursor == b"0":
                    break

    async def _differing(self, entries: Sequence[LedgerEntry]) -> list[JournalDifference]:
        places = [(UUID(identity), entry.created_at) for entry in entries for identity in _ids_of(entry)]
        parameters = {
            "ids": [one for one, _ in places],
            "instants": [datetime.fromisoformat(instant) for _, instant in places],
        }
        with translated():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(_STANDING, parameters)).all()
        standing = {identity: (basis, cost) for identity, basis, cost in rows}
        found = []
        for entry in entries:
            basis, cost_nusd = standing.get(entry.id, (None, 0))
            _, correction_nusd = standing.get(correction_id(entry.id), (None, 0))
            is_settled = basis is not None and (basis != Basis.ORPHANED or entry.basis == Basis.ORPHANED)
            is_corrected = correction_id(entry.id) in standing
            if (is_settled or is_corrected) and cost_nusd + correction_nusd != entry.cost_nusd:
                found.append(JournalDifference(entry.id, entry.cost_nusd, cost_nusd + correction_nusd))
        return found


def _ids_of(entry: LedgerEntry) -> tuple[str, str]:
    return entry.id, correction_id(entry.id)


def _takes_the_place(other: Budget, claim: BudgetClaim) -> bool:
    """Whether calls of the claim's value draw on another budget, which names it, and so not on this one."""
    each = claim.budget.scope.each
    return each is not None and stands_in(other, claim.budget) and getattr(other.scope, FIELDS[each]) == claim.value
