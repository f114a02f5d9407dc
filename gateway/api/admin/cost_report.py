"""``/admin/reports/costs``: what was spent, by whatever tells calls apart, exact to the nano-dollar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from gateway.api.admin.entry_query import EntryQuery, chosen_entries, moment, none_if_empty, or_empty
from gateway.api.admin.fields import TimeZone
from gateway.api.admin.guard import Sender
from gateway.api.admin.tables import csv_answer
from gateway.domain import Window
from gateway.errors import BadRequest
from gateway.stores.reports import GROUPS, CostQuestion, CostRow, ReportStore, Sums, labels_of
from policies.refusal_text import dollars
from policies.windows import zone_of

_DAYS_DEFAULT = 30
_GROUP = f" *({'|'.join(GROUPS)})? *"
_GROUPS_PATTERN = f"^{_GROUP}(,{_GROUP})*$"


class CostQuery(EntryQuery):
    """``GET /admin/reports/costs``."""

    bucket: Annotated[
        Literal["hour", "day", "month"] | None, BeforeValidator(none_if_empty), or_empty(("hour", "day", "month"))
    ] = None
    group_by: Annotated[
        list[Annotated[str, WithJsonSchema({"type": "string", "pattern": _GROUPS_PATTERN})]],
        Field(description=f"Any of {', '.join(GROUPS)}, separated by commas.", default_factory=list),
    ]
    time_zone: Annotated[TimeZone, Field(description="Of dates and buckets: an IANA name.")] = "UTC"
    format: Literal["json", "csv"] = "json"


class CostSums(BaseModel):
    """Amounts are whole nano-dollars, and the same as exact decimal dollars."""

    requests: int
    attempts: int
    failed: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nusd: int
    cost_usd: str
    baseline_nusd: int
    baseline_usd: str
    baseline_estimated_attempts: int
    savings_nusd: int
    savings_usd: str


class CostGroup(CostSums):
    """One group in one bucket: it has ``bucket_start`` and what the group was asked to be told apart by, no more."""

    bucket_start: datetime | None = None
    organization: str | None = None
    organization_name: str | None = None
    team: str | None = None
    team_name: str | None = None
    member: str | None = None
    member_name: str | None = None
    key: str | None = None
    key_name: str | None = None
    end_user: str | None = None
    route: str | None = None
    deployment: str | None = None
    model: str | None = None
    provider: str | None = None
    purpose: str | None = None
    source: str | None = None
    deflector: str | None = None
    stage: str | None = None
    tag: str | None = None


class CostAnswer(BaseModel):
    """A cost report as JSON."""

    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    time_zone: str
    bucket: str | None
    group_by: list[str]
    data: list[CostGroup]
    totals: CostSums


def add_cost_report(
    router: APIRouter, reports: ReportStore, flush: Callable[[], Awaitable[None]], now_s: Callable[[], float]
) -> None:
    """The route. ``flush`` as for the ledger; ``now_s`` is the ledger's clock."""

    @router.get(
        "/reports/costs",
        response_model=CostAnswer,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def read_costs(query: Annotated[CostQuery, Query()], actor: Sender) -> Response:
        zone = _zone(query.time_zone)
        from_at, to_at = _span(query, zone, now_s())
        question = CostQuestion(
            chosen_entries(query, actor, from_at, to_at),
            bucket=Window(query.bucket) if query.bucket else None,
            zone=zone,
            groups=_groups(query.group_by),
        )
        await flush()
        report = await reports.costs(question)
        rows = [_row(row, question) for row in report.rows]
        if query.format == "csv":
            labels = labels_of(question.groups)
            columns = (*(("bucket_start",) if question.bucket else ()), *labels, *CostSums.model_fields)
            return csv_answer("costs.csv", columns, labels, _one_page(rows))
        body = {
            "from": _time(from_at, zone),
            "to": _time(to_at, zone),
            "time_zone": query.time_zone,
            "bucket": question.bucket,
            "group_by": question.groups,
            "data": rows,
            "totals": _sums(report.totals),
        }
        return Response(msgspec.json.encode(body), media_type="application/json")


async def _one_page(rows: list[Mapping[str, object]]) -> AsyncIterator[list[Mapping[str, object]]]:
    yield rows


def _zone(name: str) -> ZoneInfo:
    try:
        return zone_of(name)
    except ValueError as exc:
        raise BadRequest(f"{exc}; names are as in the IANA database: UTC, Europe/Berlin", param="time_zone") from exc


def _span(query: EntryQuery, zone: ZoneInfo, now_s: float) -> tuple[datetime, datetime]:
    """What is asked for; by default today and the 29 days before. One that ends before it begins holds nothing."""
    from_at, to_at = moment(query.from_, "from", zone), moment(query.to, "to", zone)
    if to_at is None:
        to_at = _midnight(datetime.fromtimestamp(now_s, zone).date() + timedelta(days=1), zone)
    if from_at is None:
        from_at = _midnight(to_at.astimezone(zone).date() - timedelta(days=_DAYS_DEFAULT), zone)
    return from_at, to_at


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _groups(given: list[str]) -> tuple[str, ...]:
    names = [name.strip() for part in given for name in part.split(",")]
    groups = tuple(dict.fromkeys(name for name in names if name))
    if unknown := next((name for name in groups if name not in GROUPS), None):
        raise BadRequest(f"there is no grouping by {unknown[:64]!r}, but by {', '.join(GROUPS)}", param="group_by")
    return groups


def _row(row: CostRow, question: CostQuestion) -> Mapping[str, object]:
    start = {} if row.bucket_start is None else {"bucket_start": _time(row.bucket_start, question.zone)}
    return start | dict(row.labels) | _sums(row.sums)


def _time(instant: datetime, zone: ZoneInfo) -> str:
    """As the clocks of the zone show it, so that the first of a month reads as such."""
    return instant.astimezone(zone).isoformat().replace("+00:00", "Z")


def _sums(sums: Sums) -> dict[str, object]:
    """In the order of CostSums."""
    counts = sums._asdict()
    amounts = {"cost": sums.cost_nusd, "baseline": sums.baseline_nusd, "savings": sums.savings_nusd}
    values = counts | {
        name: value
        for what, nusd in amounts.items()
        for name, value in ((f"{what}_nusd", nusd), (f"{what}_usd", dollars(nusd)))
    }
    return {name: values[name] for name in CostSums.model_fields}
