"""Budgets in Postgres: what admins do with them. The path asks the rule cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor, Budget, OnExhausted, Scope, Window
from gateway.errors import Conflict
from gateway.stores.records import new_id
from gateway.stores.rules import (
    Announce,
    RuleRecord,
    RuleStore,
    announce_nothing,
    kind_of_rule,
    moment_of,
    unix_ms,
)
from gateway.stores.scopes import is_same_scope, scope_values, subject_in
from gateway.stores.tables import budgets
from policies.refusal_text import dollars
from policies.scopes import scope_fields
from policies.windows import can_roll

BudgetRecord: TypeAlias = RuleRecord[Budget]


def _read(row: Row[*tuple[Any, ...]], scope: Scope) -> Budget:
    return Budget(
        id=row.id,
        scope=scope,
        limit_nusd=row.limit_nusd,
        window=Window(row.window),
        time_zone=row.time_zone,
        is_rolling=row.is_rolling,
        soft_limit_pct=tuple(row.soft_limit_pct),
        on_exhausted=OnExhausted(row.on_exhausted),
        raised_limit_nusd=row.raised_limit_nusd,
        raised_until_ms=unix_ms(row.raised_until),
        reset_at_ms=unix_ms(row.reset_at),
        updated_at_ms=unix_ms(row.updated_at) or 0,
        subject=subject_in(row, scope),
        contact=row.contact,
    )


_COLUMNS = (
    *("limit_nusd", "window", "time_zone", "is_rolling", "soft_limit_pct", "on_exhausted"),
    *("raised_limit_nusd", "raised_until", "reset_at"),
)
BUDGET = kind_of_rule("budget", budgets, _COLUMNS, _read)


class BudgetStore(RuleStore[Budget]):
    """Reads and writes budgets. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, announce: Announce = announce_nothing) -> None:
        super().__init__(engine, BUDGET, announce)

    async def create(
        self,
        actor: Actor,
        scope: Scope,
        *,
        limit_nusd: int,
        window: Window,
        time_zone: str = "UTC",
        is_rolling: bool = False,
        soft_limit_pct: tuple[int, ...] = (50, 80, 95),
        on_exhausted: OnExhausted = OnExhausted.REFUSE,
    ) -> BudgetRecord:
        """Raises Conflict where the scope has such a budget already, and for a total that rolls."""
        return await self._create(
            actor,
            {
                "id": new_id("budget"),
                **scope_values(scope),
                "limit_nusd": limit_nusd,
                "window": str(window),
                "time_zone": time_zone,
                "is_rolling": is_rolling,
                "soft_limit_pct": list(soft_limit_pct),
                "on_exhausted": str(on_exhausted),
            },
        )

    async def update(self, actor: Actor, budget_id: str, changes: Mapping[str, object]) -> BudgetRecord:
        """Set columns. Raises NotFound, and Conflict as ``create`` does."""
        return await self._change(actor, budget_id, changes)

    async def raise_until(self, actor: Actor, budget_id: str, limit_nusd: int, until_ms: int) -> BudgetRecord:
        """Let another limit hold until then. Raises NotFound."""
        values = {"raised_limit_nusd": limit_nusd, "raised_until": moment_of(until_ms)}
        return await self._change(actor, budget_id, values, "raise")

    async def end_raise(self, actor: Actor, budget_id: str) -> BudgetRecord:
        """Let the budget's own limit hold again. Raises NotFound."""
        return await self._change(actor, budget_id, {"raised_limit_nusd": None, "raised_until": None}, "end_raise")

    async def reset(self, actor: Actor, budget_id: str, at_ms: int) -> BudgetRecord:
        """Let its window begin anew at that moment. Raises NotFound."""
        return await self._change(actor, budget_id, {"reset_at": moment_of(at_ms)}, "reset")

    def told(self, record: BudgetRecord) -> dict[str, object]:
        """The budget as the admin API and the audit log show it."""
        budget = record.rule
        raised = None
        if budget.raised_limit_nusd is not None:
            raised = {"limit_usd": dollars(budget.raised_limit_nusd), "until": moment_of(budget.raised_until_ms)}
        return {
            "id": budget.id,
            "organization_id": budget.scope.organization_id,
            "scope": scope_fields(budget.scope),
            "limit_usd": dollars(budget.limit_nusd),
            "window": str(budget.window),
            "starts": starts_of(budget),
            "soft_limit_pct": list(budget.soft_limit_pct),
            "on_exhausted": str(budget.on_exhausted),
            "raised": raised,
            "reset_at": moment_of(budget.reset_at_ms),
            "created_at": record.created_at,
            "updated_at": record.updated_at,
        }

    async def _check(self, connection: AsyncConnection, record: BudgetRecord) -> None:
        budget = record.rule
        if budget.is_rolling and not can_roll(budget.window):
            raise Conflict(f"A window of {budget.window} cannot be rolling.", param="starts", code="invalid_value")
        same = select(budgets.c.id).where(
            is_same_scope(budgets, budget.scope),
            budgets.c.window == budget.window,
            budgets.c.time_zone == budget.time_zone,
            budgets.c.is_rolling == budget.is_rolling,
            budgets.c.on_exhausted == budget.on_exhausted,
            budgets.c.deleted_at.is_(None),
            budgets.c.id != budget.id,
        )
        if (other := (await connection.execute(same.limit(1))).scalar()) is not None:
            raise Conflict(
                f"The budget {other!r} has the same scope, window, beginning and on_exhausted.", param="scope"
            )

    async def _affect(self, connection: AsyncConnection, record: BudgetRecord) -> None:
        """Date the defaults anew that this budget stands in for.

        While it does, calls of its value do not draw on them: what their balances say of it becomes old, and the date
        is what tells so.
        """
        affected = [default.id for default in await self._defaults_behind(connection, record)]
        if affected:
            dated = update(budgets).where(budgets.c.id.in_(affected))
            await connection.execute(dated.values(updated_at=func.clock_timestamp()))


def starts_of(budget: Budget) -> str | dict[str, str]:
    """When windows begin, as the admin API shows it."""
    kind = "rolling" if budget.is_rolling else "calendar"
    return kind if budget.time_zone == "UTC" else {"time_zone": budget.time_zone, "kind": kind}
