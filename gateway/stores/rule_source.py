"""Reads the live budgets and limits for the rule cache: all of them at first, then what changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Table, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Budget, Limit
from gateway.stores.budgets import BUDGET
from gateway.stores.database import translated
from gateway.stores.limits import LIMIT
from gateway.stores.records import Kind, Record
from gateway.stores.tables import members, organizations, teams
from policies.windows import zone_of

log = logging.getLogger(__name__)

_BATCH = 1000  # rows that are read without a turn for anyone else
# Rules become visible in the order of their dates (rules.one_change); only a clock that was set back breaks that.
_OVERLAP = timedelta(seconds=5)
_COMMIT_DELAY = timedelta(seconds=60)  # a name's transaction may be that old when it becomes visible

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """Rules that are new or changed, and the ids of those that are no more. Ask next with ``until``."""

    budgets: tuple[Budget, ...]
    limits: tuple[Limit, ...]
    gone: frozenset[str]
    until: datetime


class RuleSource:
    """Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def changes(self, since: datetime | None) -> RuleChanges:
        """What changed since then, perhaps some of it seen before; None: all live rules."""
        with translated():
            async with self._engine.connect() as connection:
                until, is_changed = (await connection.execute(_look(since))).one()
                if not is_changed:
                    return RuleChanges((), (), frozenset(), until)
                budgets, old_budgets = await _read(connection, BUDGET, _changed(BUDGET.table, since))
                limits, old_limits = await _read(connection, LIMIT, _changed(LIMIT.table, since))
        return RuleChanges(
            budgets=tuple(_callable(record.rule) for record in budgets),
            limits=tuple(record.rule for record in limits),
            gone=old_budgets | old_limits,
            until=until,
        )

    async def renamed(self, since: datetime) -> RuleChanges:
        """The rules that are about whom people changed name or contact since then."""
        with translated():
            async with self._engine.connect() as connection:
                until = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
                budgets, _ = await _read(connection, BUDGET, _renamed(BUDGET.table, since))
                limits, _ = await _read(connection, LIMIT, _renamed(LIMIT.table, since))
        return RuleChanges(
            tuple(_callable(record.rule) for record in budgets),
            tuple(record.rule for record in limits),
            frozenset(),
            until,
        )


async def _read(
    connection: AsyncConnection, kind: Kind[R], condition: ColumnElement[bool]
) -> tuple[list[R], frozenset[str]]:
    """The live records and the ids of the deleted ones."""
    query = select(*kind.columns, kind.table.c.deleted_at).select_from(kind.source).where(condition)
    found: list[R] = []
    gone: set[str] = set()
    result = await connection.stream(query)
    async for rows in result.partitions(_BATCH):
        for row in rows:
            if row.deleted_at is None:
                found.append(kind.read(row))
            else:
                gone.add(row.id)
    return found, frozenset(gone)


def _look(since: datetime | None) -> Select[datetime, bool]:
    """The time, and whether anything changed: mostly nothing did, which one look at two indexes tells."""
    news = [exists().where(_changed(kind.table, since)) for kind in (BUDGET, LIMIT)]
    return select(func.clock_timestamp(), true() if since is None else or_(*news))


def _changed(rules: Table, since: datetime | None) -> ColumnElement[bool]:
    return rules.c.deleted_at.is_(None) if since is None else rules.c.updated_at > since - _OVERLAP


def _renamed(rules: Table, since: datetime) -> ColumnElement[bool]:
    changed: list[ColumnElement[Any]] = []
    for named, column in (
        (organizations, rules.c.organization_id),
        (teams, rules.c.team_id),
        (members, rules.c.member_id),
    ):
        changed.append(column.in_(select(named.c.id).where(named.c.updated_at > since - _COMMIT_DELAY)))
    return rules.c.deleted_at.is_(None) & or_(*changed)


def _callable(budget: Budget) -> Budget:
    """The budget with windows that can be told on this machine, whose time zones may be older than another's."""
    try:
        zone_of(budget.time_zone)
    except ValueError:
        log.exception("budget %s counts by UTC: this machine does not know its time zone", budget.id)
        return replace(budget, time_zone="UTC")
    return budget
