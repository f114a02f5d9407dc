"""``/admin/reports/budgets``: what stands of every budget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from gateway.api.admin.access import visible
from gateway.api.admin.fields import FilterText, PageQuery
from gateway.api.admin.guard import Sender
from gateway.api.admin.tables import csv_answer
from gateway.stores.budget_reports import BudgetReports, BudgetRow
from gateway.stores.budget_spending import first_ms
from gateway.stores.paging import LIMIT_MAX, parse_limit
from gateway.stores.records import Place
from policies.refusal_text import dollars
from policies.scopes import FIELDS, scope_fields

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIMENSIONS = (*map(str, FIELDS), "each")


class BudgetQuery(PageQuery):
    """``GET /admin/reports/budgets``. As CSV all budgets come, whatever ``limit`` says."""

    organization: FilterText = None
    team: FilterText = None
    format: Literal["json", "csv"] = "json"


class BudgetBalance(BaseModel):
    """One balance of a budget; of a budget that counts apart there is one for each value that has spent."""

    budget: str
    subject: str
    organization: str
    scope: dict[str, str]
    value: str | None
    value_name: str | None
    values: int | None
    window: str
    time_zone: str
    is_rolling: bool
    starts_at: datetime | None
    resets_at: datetime | None
    on_exhausted: str
    contact: str | None
    limit_nusd: int
    limit_usd: str
    effective_limit_nusd: int
    effective_limit_usd: str
    spent_nusd: int
    spent_usd: str
    held_nusd: int | None
    held_usd: str | None
    remaining_nusd: int | None
    remaining_usd: str | None
    used_pct: float


class BudgetsAnswer(BaseModel):
    """A page of the budget report as JSON."""

    data: list[BudgetBalance]
    next_cursor: str | None


def add_budget_report(
    router: APIRouter, reports: BudgetReports, flush: Callable[[], Awaitable[None]], now_s: Callable[[], float]
) -> None:
    """The route. ``flush`` as for the ledger; ``now_s`` is the ledger's clock."""

    @router.get(
        "/reports/budgets",
        response_model=BudgetsAnswer,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def read_budgets(query: Annotated[BudgetQuery, Query()], actor: Sender) -> Response:
        await flush()
        within, now_ms, limit = visible(actor), int(now_s() * 1000), parse_limit(query.limit)
        is_csv = query.format == "csv"
        rows, next_cursor = await reports.page(
            within,
            now_ms,
            organization=query.organization,
            team=query.team,
            limit=LIMIT_MAX if is_csv else limit,
            cursor=query.cursor,
        )
        told = [_told(row, now_ms) for row in rows]
        if not is_csv:
            body = msgspec.json.encode({"data": told, "next_cursor": next_cursor})
            return Response(body, media_type="application/json")
        columns = [name for name in BudgetBalance.model_fields if name != "scope"]
        columns[columns.index("organization") : columns.index("value")] = _DIMENSIONS
        texts = {*_DIMENSIONS, "subject", "value", "value_name", "contact"}
        return csv_answer("budgets.csv", columns, texts, _all_pages(told, next_cursor, within, query, now_ms))

    async def _all_pages(
        first: list[dict[str, object]], cursor: str | None, within: Place, query: BudgetQuery, now_ms: int
    ) -> AsyncIterator[list[Mapping[str, object]]]:
        yield [_flat(row) for row in first]
        while cursor is not None:
            rows, cursor = await reports.page(
                within, now_ms, organization=query.organization, team=query.team, limit=LIMIT_MAX, cursor=cursor
            )
            yield [_flat(_told(row, now_ms)) for row in rows]


def _flat(told: Mapping[str, object]) -> Mapping[str, object]:
    """The row with every dimension of its scope as a field."""
    scope = told["scope"]
    named: Mapping[str, object] = scope if isinstance(scope, Mapping) else {}
    return {**told, **dict.fromkeys(_DIMENSIONS), **named, "organization": told["organization"]}


def _told(row: BudgetRow, now_ms: int) -> dict[str, object]:
    """In the order of BudgetBalance."""
    budget = row.budget
    amounts = {
        "limit": budget.limit_nusd,
        "effective_limit": row.limit_nusd,
        "spent": row.spent_nusd,
        "held": row.held_nusd,
        "remaining": row.remaining_nusd,
    }
    told: dict[str, object] = {
        "budget": budget.id,
        "subject": budget.subject,
        "organization": budget.scope.organization_id,
        "scope": scope_fields(budget.scope),
        "value": row.value,
        "value_name": row.value_name,
        "values": row.values,
        "window": str(budget.window),
        "time_zone": budget.time_zone,
        "is_rolling": budget.is_rolling,
        "starts_at": _time(first_ms(row.period, now_ms) or None),
        "resets_at": _time(row.period.end_ms),
        "on_exhausted": str(budget.on_exhausted),
        "contact": budget.contact,
    }
    for name, amount in amounts.items():
        told |= {f"{name}_nusd": amount, f"{name}_usd": None if amount is None else dollars(amount)}
    # To the hundredth of a percent, downwards: what is not all used never reads as 100.
    return told | {"used_pct": row.spent_nusd * 10_000 // max(1, row.limit_nusd) / 100}


def _time(at_ms: int | None) -> str | None:
    """None for what has no beginning or end: a total's window."""
    return None if at_ms is None else (_EPOCH + timedelta(milliseconds=at_ms)).isoformat().replace("+00:00", "Z")
