"""What was spent on budgets in their windows, from the ledger: one statement for all budgets of the same shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain import Budget, Dimension, Period, Window
from gateway.stores.budgets import BUDGET
from gateway.stores.tables import budgets
from policies.rule_book import stands_in
from policies.scopes import FIELDS

VALUES_MAX = 1000  # rows of one budget that counts apart: the dearest values
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Names that a value which is counted apart has.
_NAMES = {Dimension.TEAM: "teams", Dimension.MEMBER: "members", Dimension.KEY: "keys"}


class Spending(NamedTuple):
    """What was spent on one balance. ``value`` and its name: of what the budget counts apart."""

    value: str | None
    name: str | None
    spent_nusd: int


class BudgetSpending(NamedTuple):
    """What was spent on one budget in its window, and of one that counts apart the number of values that spent."""

    balances: Sequence[Spending]
    values: int | None


class _Shape(NamedTuple):
    """What one statement can answer for many budgets."""

    organization_id: str
    start_ms: int
    end_ms: int | None
    named: tuple[Dimension, ...]
    each: Dimension | None


def first_ms(period: Period, now_ms: int) -> int:
    """Since when what is spent counts in this window, in ms since 1970."""
    if not period.cell_ms:
        return period.start_ms
    return max(period.start_ms, (now_ms // period.cell_ms - period.cells) * period.cell_ms)


async def may_stand_in(connection: AsyncConnection, asked: Iterable[Budget]) -> Sequence[Budget]:
    """The live budgets that may stand in for values which some of those asked about count apart."""
    organizations = sorted({budget.scope.organization_id for budget in asked if budget.scope.each is not None})
    if not organizations:
        return ()
    query = BUDGET.query().where(budgets.c.organization_id.in_(organizations), budgets.c.each.is_(None))
    return [BUDGET.read(row).rule for row in await connection.execute(query)]


async def spent_on(
    connection: AsyncConnection, periods: Sequence[tuple[Budget, Period]], others: Iterable[Budget], now_ms: int
) -> Mapping[str, BudgetSpending]:
    """By budget id. Values for which one of ``others`` stands in are left out of a budget that counts them apart."""
    shapes: dict[_Shape, list[Budget]] = defaultdict(list)
    for budget, period in periods:
        named = tuple(
            dimension
            for dimension, field in FIELDS.items()
            if dimension is not Dimension.ORGANIZATION and getattr(budget.scope, field) is not None
        )
        since_ms = first_ms(period, now_ms)
        shapes[_Shape(budget.scope.organization_id, since_ms, period.end_ms, named, budget.scope.each)].append(budget)
    instead = _counted_elsewhere([budget for budget, _ in periods], others)
    found: dict[str, BudgetSpending] = {}
    for shape, alike in shapes.items():
        found |= await _spent(connection, shape, alike, instead)
    return found


async def _spent(
    connection: AsyncConnection, shape: _Shape, alike: Sequence[Budget], instead: Mapping[str, Collection[str]]
) -> Mapping[str, BudgetSpending]:
    wanted = {"number": list(range(len(alike)))} | {
        FIELDS[dimension]: [getattr(budget.scope, FIELDS[dimension]) for budget in alike] for dimension in shape.named
    }
    left_out = [(number, value) for number, budget in enumerate(alike) for value in instead.get(budget.id, ())]
    parameters: dict[str, object] = {
        **{f"wanted_{name}": values for name, values in wanted.items()},
        "organization_id": shape.organization_id,
        "start": _EPOCH + timedelta(milliseconds=shape.start_ms),
        "values_max": VALUES_MAX,
    }
    if shape.end_ms is not None:
        parameters["end"] = _EPOCH + timedelta(milliseconds=shape.end_ms)
    if left_out:
        parameters |= {
            "left_out_numbers": [number for number, _ in left_out],
            "left_out_values": [value for _, value in left_out],
        }
    rows = (await connection.execute(text(_query(shape, has_left_out=bool(left_out))), parameters)).all()
    by_number: dict[int, list[Spending]] = defaultdict(list)
    values: dict[int, int] = {}
    for number, value, spent_nusd, count, name in rows:
        by_number[number].append(Spending(value, name, int(spent_nusd)))
        values[number] = count
    if shape.each is None:
        nothing = [Spending(None, None, 0)]
        return {budget.id: BudgetSpending(by_number.get(n, nothing), None) for n, budget in enumerate(alike)}
    return {budget.id: BudgetSpending(by_number[n], values.get(n, 0)) for n, budget in enumerate(alike)}


def _query(shape: _Shape, *, has_left_out: bool) -> str:
    """All names in it are ours."""
    fields = [FIELDS[dimension] for dimension in shape.named]
    arrays = ", ".join(("CAST(:wanted_number AS int[])", *(f"CAST(:wanted_{field} AS text[])" for field in fields)))
    conditions = ["entry.organization_id = :organization_id", "entry.created_at >= :start"]
    if shape.end_ms is not None:
        conditions.append("entry.created_at < :end")
    conditions += [
        "wanted.model IN (entry.model_asked, entry.deployment, entry.model)"
        if dimension is Dimension.MODEL
        else f"entry.{FIELDS[dimension]} = wanted.{FIELDS[dimension]}"
        for dimension in shape.named
    ]
    value, name, join = "NULL::text", "NULL", ""
    if shape.each is not None:
        value = f"entry.{FIELDS[shape.each]}"
        conditions.append(f"{value} IS NOT NULL")
    if shape.each in _NAMES:
        name, join = "named.name", f"LEFT JOIN {_NAMES[shape.each]} AS named ON named.id = placed.value"
    if has_left_out:
        conditions.append(f"""NOT EXISTS (
            SELECT FROM unnest(CAST(:left_out_numbers AS int[]), CAST(:left_out_values AS text[]))
                AS other (number, value)
            WHERE other.number = wanted.number AND other.value = {value})""")
    return f"""
        WITH sums AS (
            SELECT wanted.number, {value} AS value, sum(entry.cost_nusd) AS spent_nusd
            FROM unnest({arrays}) AS wanted ({", ".join(("number", *fields))})
            JOIN ledger_entries AS entry ON {" AND ".join(conditions)}
            GROUP BY 1, 2
        ), placed AS (
            SELECT *, count(*) OVER (PARTITION BY number) AS values,
                row_number() OVER (PARTITION BY number ORDER BY spent_nusd DESC, value) AS place
            FROM sums
        )
        SELECT placed.number, placed.value, placed.spent_nusd, placed.values, {name}
        FROM placed {join} WHERE place <= :values_max ORDER BY placed.number, placed.place
    """  # noqa: S608 - see above


def _counted_elsewhere(asked: Iterable[Budget], others: Iterable[Budget]) -> Mapping[str, Collection[str]]:
    """By the id of a budget that counts apart: the values for which another one stands in."""
    by_place: dict[tuple[str, Window], list[Budget]] = defaultdict(list)
    for other in others:
        by_place[other.scope.organization_id, other.window].append(other)
    return {
        budget.id: {
            str(getattr(other.scope, FIELDS[budget.scope.each]))
            for other in by_place[budget.scope.organization_id, budget.window]
            if stands_in(other, budget)
        }
        for budget in asked
        if budget.scope.each is not None
    }
