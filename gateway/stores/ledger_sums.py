"""What the ledger says was spent on a budget, in one snapshot of Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Basis, BudgetClaim, Dimension, LedgerEntry
from gateway.ids import unix_ms
from gateway.stores.database import translated
from policies.reconciliation import correction_id
from policies.scopes import is_within

Spent: TypeAlias = dict[int, int]  # nano-dollars by cell; a calendar window is the one cell 0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STANDING = text("""
    SELECT id, basis, cost_nusd FROM ledger_entries
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:instants AS timestamptz[])) AS wanted (id, created_at)
    USING (id, created_at)
""")
_COUNTED_APART = {
    Dimension.TEAM: "team_id",
    Dimension.MEMBER: "member_id",
    Dimension.KEY: "key_id",
    Dimension.END_USER: "end_user",
}
# Ids are unique, and a key or member never leaves its team, nor a team its organization: the narrowest says it all.
# Without the others the sum comes from an index alone.
_IMPLIED = {
    "key_id": ("team_id", "organization_id"),
    "member_id": ("team_id", "organization_id"),
    "team_id": ("organization_id",),
}


class LedgerSums:
    """Opens snapshots. Every use raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[LedgerSnapshot]:
        """All that is read inside is of one moment: that of the first reading."""
        with translated():
            async with self._engine.connect() as connection:
                yield LedgerSnapshot(connection)


class LedgerSnapshot:
    """The ledger at one moment."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def spent(self, claim: BudgetClaim) -> Spent:
        """What the entries of the claim's scope and period cost, corrections included."""
        conditions, parameters = _conditions(claim)
        period = claim.period
        cell = f"floor(extract(epoch FROM created_at) * 1000 / {period.cell_ms})::bigint" if period.cell_ms else "0"
        query = f"SELECT {cell}, sum(cost_nusd)::bigint FROM ledger_entries WHERE {conditions} GROUP BY 1"  # noqa: S608 - of the names here; values are parameters
        rows = await self._connection.execute(text(query), parameters)
        return {int(cell): int(amount) for cell, amount in rows}

    async def lacking(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """Those that the snapshot has not; of one that stands as orphaned, what its charge adds to that."""
        places = [(UUID(entry.id), entry.created_at) for entry in entries]
        places += [(UUID(correction_id(entry.id)), entry.created_at) for entry in entries]
        parameters = {
            "ids": [one for one, _ in places],
            "instants": [datetime.fromisoformat(instant) for _, instant in places],
        }
        rows = await self._connection.execute(_STANDING, parameters)
        standing = {str(one): (basis, int(cost)) for one, basis, cost in rows}
        found = []
        for entry in entries:
            basis, cost_nusd = standing.get(entry.id, (None, 0))
            if basis is None:
                found.append(entry)
            elif basis == Basis.ORPHANED and entry.basis != Basis.ORPHANED and correction_id(entry.id) not in standing:
                found.append(msgspec.structs.replace(entry, cost_nusd=entry.cost_nusd - cost_nusd))
        return found


def count(entry: LedgerEntry, claim: BudgetClaim, spent: Spent) -> None:
    """Add an entry that the ledger has not to what was spent on the claim, if it is of its scope and period."""
    at_ms, period = unix_ms(entry.created_at), claim.period
    is_in_period = period.start_ms <= at_ms and (period.end_ms is None or at_ms < period.end_ms)
    if is_in_period and is_within(entry, claim.budget.scope, claim.value):
        cell = at_ms // period.cell_ms if period.cell_ms else 0
        spent[cell] = spent.get(cell, 0) + entry.cost_nusd


def _conditions(claim: BudgetClaim) -> tuple[str, dict[str, object]]:
    """An SQL condition for the claim's scope and period, and its parameters."""
    scope, period = claim.budget.scope, claim.period
    named = {
        "organization_id": scope.organization_id,
        "team_id": scope.team_id,
        "member_id": scope.member_id,
        "key_id": scope.key_id,
        "end_user": scope.end_user,
        "route": scope.route,
    }
    if scope.each is not None:
        named[_COUNTED_APART[scope.each]] = claim.value
    parameters: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    for implied in [other for name in parameters for other in _IMPLIED.get(name, ())]:
        parameters.pop(implied, None)
    conditions = [f"{name} = :{name}" for name in parameters]
    if "end_user" in parameters:
        conditions.append("substr(end_user, 1, 200) = substr(:end_user, 1, 200)")  # as its index has it
    if scope.model is not None:
        conditions.append(":any_model IN (model_asked, deployment, model)")
        parameters["any_model"] = scope.model
    if period.start_ms:
        conditions.append("created_at >= :start")
        parameters["start"] = _EPOCH + timedelta(milliseconds=period.start_ms)
    if period.end_ms is not None:
        conditions.append("created_at < :end")
        parameters["end"] = _EPOCH + timedelta(milliseconds=period.end_ms)
    if period.cell_ms:
        # What Postgres takes for now may be off by the skew of its clock: a few cells more cost nothing, and the
        # script that installs them knows which are over.
        conditions.append("created_at >= now() - make_interval(secs => :window_s)")
        parameters["window_s"] = (period.cells + 60) * period.cell_ms / 1000
    return " AND ".join(conditions), parameters
