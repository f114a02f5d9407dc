"""What stands of every budget, for people: spent from the ledger, held from Redis."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from gateway.domain import Budget, Period
from gateway.stores.budget_spending import may_stand_in, spent_on
from gateway.stores.budgets import BudgetStore
from gateway.stores.open_holds import OpenHolds
from gateway.stores.report_snapshots import ReportSnapshots
from policies.windows import balance_name, period_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One balance of a budget. ``limit_nusd``: with a raise that holds; ``held_nusd``: None while Redis is away.

    ``value`` and ``value_name``: of what the budget counts apart, None in the one row of a budget on which no value has
    spent yet. ``values``: how many have.
    """

    budget: Budget
    period: Period
    limit_nusd: int
    spent_nusd: int
    held_nusd: int | None
    value: str | None = None
    value_name: str | None = None
    values: int | None = None

    @property
    def remaining_nusd(self) -> int | None:
        """What a further call may cost at most."""
        return None if self.held_nusd is None else max(0, self.limit_nusd - self.spent_nusd - self.held_nusd)


class BudgetReports:
    """Reads budgets, the ledger and the holds together."""

    def __init__(self, budgets: BudgetStore, snapshots: ReportSnapshots, holds: OpenHolds) -> None:
        self._budgets = budgets
        self._snapshots = snapshots
        self._holds = holds

    async def page(
        self,
        within: tuple[str | None, str | None],
        now_ms: int,
        *,
        organization: str | None = None,
        team: str | None = None,
        limit: int | str | None = None,
        cursor: str | None = None,
    ) -> tuple[Sequence[BudgetRow], str | None]:
        """The balances of a page of live budgets, and the next cursor. Raises BadRequest and StoreUnavailable."""
        records, next_cursor = await self._budgets.page(
            within, organization=organization, team=team, limit=limit, cursor=cursor
        )
        periods = [(record.rule, period_of(record.rule, now_ms)) for record in records]
        # Holds first: what is settled and shipped meanwhile is shown in both rather than in neither.
        held = {one: await self._held(one) for one in {budget.scope.organization_id for budget, _ in periods}}
        async with self._snapshots.open() as connection:
            others = await may_stand_in(connection, [budget for budget, _ in periods])
            spendings = await spent_on(connection, periods, others, now_ms)
        rows: list[BudgetRow] = []
        for budget, period in periods:
            holds, (balances, values) = held[budget.scope.organization_id], spendings[budget.id]
            is_raised = budget.raised_until_ms is not None and now_ms < budget.raised_until_ms
            raised_nusd = budget.raised_limit_nusd if is_raised else None
            limit_nusd = budget.limit_nusd if raised_nusd is None else raised_nusd
            if not balances:
                rows.append(BudgetRow(budget, period, limit_nusd, 0, None if holds is None else 0, values=0))
            for value, name, spent_nusd in balances:
                held_nusd = None if holds is None else holds.get(balance_name(budget, period, value), 0)
                rows.append(BudgetRow(budget, period, limit_nusd, spent_nusd, held_nusd, value, name, values))
        return rows, next_cursor

    async def _held(self, organization_id: str) -> Mapping[str, int] | None:
        try:
            return await self._holds.read(organization_id)
        except RedisError as exc:
            log.warning("the budget report tells nothing of what is held: %s", exc)
            return None
