"""What Postgres and the rules know of an alert's subject: names, and the budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Budget, Limit
from gateway.domain.alert import Alert
from gateway.errors import StoreUnavailable
from gateway.stores import tables
from gateway.stores.database import translated
from policies.alert_text import alert_data

log = logging.getLogger("obol.alerts")

_NAMES_S = 5.0


class AlertFacts:
    """``find_rule`` gives a live rule by its id."""

    def __init__(self, engine: AsyncEngine, find_rule: Callable[[str], Budget | Limit | None]) -> None:
        self._engine = engine
        self._find_rule = find_rule

    async def describe(self, organization_id: str, alert: Alert) -> dict[str, object]:
        """All that is said of an alert; while Postgres is away, without names."""
        rule = None if alert.budget is None else self._find_rule(alert.budget)
        budget = rule if isinstance(rule, Budget) else None
        ids = [organization_id, alert.team]
        if budget is not None:
            ids.append(budget.scope.team_id)
        names: dict[str, str] = {}
        try:
            async with asyncio.timeout(_NAMES_S):
                names = await self._names([one for one in ids if one is not None])
        except (StoreUnavailable, TimeoutError) as exc:
            log.warning("alert %r is told without names: %s", alert.id, exc)
        return alert_data(organization_id, alert, budget, names)

    async def _names(self, ids: Sequence[str]) -> dict[str, str]:
        of_all = union_all(
            *(
                select(table.c.id, table.c.name).where(table.c.id.in_(ids))
                for table in (tables.organizations, tables.teams)
            )
        )
        with translated():
            async with self._engine.connect() as connection:
                return {row[0]: row[1] for row in await connection.execute(of_all)}
