"""``/admin/budgets``: how much may be spent, by whom, in which window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.config import JsonDict
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.api.admin.access import visible
from gateway.api.admin.amounts import Usd
from gateway.api.admin.fields import WHOLE, Body, ChangeBody, Deleted, Instant, Page, PathId, TimeZone, unchanged
from gateway.api.admin.guard import Sender
from gateway.api.admin.scopes import RuleQuery, ScopeBody, readable_rule, writable_rule, writable_scope
from gateway.domain import OnExhausted, Window
from gateway.errors import Conflict
from gateway.stores.budgets import BudgetRecord, BudgetStore
from gateway.stores.rules import moment_of, unix_ms
from policies.windows import can_roll, period_of, zone_of

_KINDS = ("calendar", "rolling")


class Starts(NamedTuple):
    """When windows begin."""

    time_zone: str
    is_rolling: bool


def _parse_starts(value: object) -> Starts:
    """Of ``calendar``, ``rolling``, a time zone, or ``{"time_zone", "kind"}``. Raises ValueError."""
    fields = {"kind": value} if value in _KINDS else {"time_zone": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or not fields.keys() <= {"time_zone", "kind"}:
        raise ValueError('must be "calendar", "rolling", a time zone, or {"time_zone", "kind"}')
    zone, kind = fields.get("time_zone", "UTC"), fields.get("kind", "calendar")
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}")
    if not isinstance(zone, str):
        raise ValueError("time_zone must be the name of a time zone")  # noqa: TRY004 - what pydantic takes for a finding
    zone_of(zone)
    return Starts(zone, kind == "rolling")


def _ascending(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("must name each once")
    return sorted(values)


def _can_begin_so(starts: Starts, info: ValidationInfo) -> Starts:
    """For a field after ``window``. What another window of the same budget says is for its store to look at."""
    window = info.data.get("window")
    if starts.is_rolling and window and not can_roll(window):
        raise ValueError(f"a window of {window} cannot be rolling")
    return starts


class StartsBody(Body):
    """Both at once."""

    time_zone: TimeZone = "UTC"
    kind: Literal["calendar", "rolling"] = "calendar"


StartsField = Annotated[
    Any,
    BeforeValidator(_parse_starts, json_schema_input_type=Literal["calendar", "rolling"] | TimeZone | StartsBody),
    AfterValidator(_can_begin_so),
    Field(description="calendar (the default), rolling, the name of a time zone, or both."),
]
# ... as OpenAPI says it.
_CALENDAR: JsonDict = {
    "anyOf": [
        {"type": "string", "not": {"const": "rolling"}},
        {"type": "object", "properties": {"kind": {"const": "calendar"}}},
    ]
}
_TOTAL_NEVER_ROLLS: JsonDict = {
    "anyOf": [
        {"properties": {"window": {"enum": [str(window) for window in Window if can_roll(window)]}}},
        {"properties": {"starts": _CALENDAR}},
    ]
}
SoftLimits = Annotated[
    list[Annotated[int, Field(ge=1, le=100), WHOLE]],
    Field(max_length=100, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_ascending),
]


class BudgetBody(Body):
    """``POST /admin/budgets``."""

    model_config = ConfigDict(json_schema_extra=_TOTAL_NEVER_ROLLS)

    scope: ScopeBody
    limit_usd: Usd
    window: Window
    starts: StartsField = Starts("UTC", is_rolling=False)
    soft_limit_pct: SoftLimits = Field(default=[50, 80, 95])
    on_exhausted: OnExhausted = OnExhausted.REFUSE


class BudgetChange(ChangeBody):
    """``PATCH /admin/budgets/{id}``. Whom a budget is about stays: for another scope make another."""

    model_config = ConfigDict(json_schema_extra=_TOTAL_NEVER_ROLLS)

    limit_usd: Usd = unchanged()
    window: Window = unchanged()
    starts: StartsField = unchanged()
    soft_limit_pct: SoftLimits = unchanged()
    on_exhausted: OnExhausted = unchanged()

    def columns(self) -> dict[str, object]:
        """What it sets, as columns."""
        changes = self.changes()
        if "limit_usd" in changes:
            changes["limit_nusd"] = changes.pop("limit_usd")
        if "starts" in changes:
            changes["time_zone"], changes["is_rolling"] = changes.pop("starts")
        return {name: str(value) if isinstance(value, str) else value for name, value in changes.items()}


class RaiseBody(Body):
    """``POST /admin/budgets/{id}/raise``."""

    limit_usd: Usd
    until: Instant


class PeriodAnswer(BaseModel):
    """The window now. A total that was never reset has no beginning; totals and rolling windows have no end."""

    starts_at: datetime | None
    resets_at: datetime | None


class RaiseAnswer(BaseModel):
    """The limit that holds until then."""

    limit_usd: str
    until: datetime


class BudgetAnswer(BaseModel):
    """A budget as it stands."""

    id: str
    organization_id: str
    scope: dict[str, str]
    limit_usd: str
    window: Window
    starts: str | dict[str, str]
    soft_limit_pct: list[int]
    on_exhausted: OnExhausted
    period: PeriodAnswer
    raised: RaiseAnswer | None
    reset_at: datetime | None
    created_at: datetime
    updated_at: datetime


def add_budgets(router: APIRouter, engine: AsyncEngine, budgets: BudgetStore, unix_s: Callable[[], float]) -> None:
    """The routes. ``unix_s``: the time that decides which window a charge falls into."""

    def answer(record: BudgetRecord) -> BudgetAnswer:
        return _answer(budgets, record, _ms(unix_s))

    @router.post("/budgets", status_code=201)
    async def create_budget(body: BudgetBody, actor: Sender) -> BudgetAnswer:
        owned = await writable_scope(engine, actor, body.scope)
        made = await budgets.create(
            actor,
            owned.scope,
            limit_nusd=body.limit_usd,
            window=body.window,
            time_zone=body.starts.time_zone,
            is_rolling=body.starts.is_rolling,
            soft_limit_pct=tuple(body.soft_limit_pct),
            on_exhausted=body.on_exhausted,
        )
        return answer(made)

    @router.get("/budgets")
    async def list_budgets(query: Annotated[RuleQuery, Query()], actor: Sender) -> Page[BudgetAnswer]:
        found, cursor = await budgets.page(visible(actor), **query.model_dump())
        return Page(data=[answer(record) for record in found], next_cursor=cursor)

    @router.get("/budgets/{budget_id}")
    async def read_budget(budget_id: PathId, actor: Sender) -> BudgetAnswer:
        return answer(await readable_rule(budgets, actor, budget_id))

    @router.patch("/budgets/{budget_id}")
    async def change_budget(budget_id: PathId, body: BudgetChange, actor: Sender) -> BudgetAnswer:
        await writable_rule(budgets, actor, budget_id)
        return answer(await budgets.update(actor, budget_id, body.columns()))

    @router.delete("/budgets/{budget_id}")
    async def delete_budget(budget_id: PathId, actor: Sender) -> Deleted:
        """Nothing draws on it any more; what was spent stays in the ledger."""
        await writable_rule(budgets, actor, budget_id)
        await budgets.delete(actor, budget_id)
        return Deleted(id=budget_id)

    _add_actions(router, budgets, unix_s)


def _add_actions(router: APIRouter, budgets: BudgetStore, unix_s: Callable[[], float]) -> None:
    """What is done to a budget beside changing it."""

    def answer(record: BudgetRecord) -> BudgetAnswer:
        return _answer(budgets, record, _ms(unix_s))

    @router.post("/budgets/{budget_id}/raise")
    async def raise_budget(budget_id: PathId, body: RaiseBody, actor: Sender) -> BudgetAnswer:
        """A higher limit until a date; then the budget's own holds again."""
        record = await writable_rule(budgets, actor, budget_id)
        until_ms = unix_ms(body.until) or 0
        if until_ms <= _ms(unix_s):
            raise Conflict("until must lie ahead.", param="until", code="invalid_value")
        if body.limit_usd <= record.rule.limit_nusd:
            raise Conflict("A raise must be more than the budget's own limit.", param="limit_usd", code="invalid_value")
        return answer(await budgets.raise_until(actor, budget_id, body.limit_usd, until_ms))

    @router.delete("/budgets/{budget_id}/raise")
    async def end_raise(budget_id: PathId, actor: Sender) -> BudgetAnswer:
        """The budget's own limit holds again at once."""
        await writable_rule(budgets, actor, budget_id)
        return answer(await budgets.end_raise(actor, budget_id))

    @router.post("/budgets/{budget_id}/reset")
    async def reset_budget(budget_id: PathId, actor: Sender) -> BudgetAnswer:
        """What was spent before does not count any more; the ledger keeps it."""
        await writable_rule(budgets, actor, budget_id)
        return answer(await budgets.reset(actor, budget_id, _ms(unix_s)))


def _ms(unix_s: Callable[[], float]) -> int:
    return int(unix_s() * 1000)


def _answer(budgets: BudgetStore, record: BudgetRecord, now_ms: int) -> BudgetAnswer:
    budget, told = record.rule, budgets.told(record)
    period = period_of(budget, now_ms)
    start_ms = max(period.start_ms, now_ms - period.cells * period.cell_ms) if period.cells else period.start_ms
    told["period"] = PeriodAnswer(starts_at=moment_of(start_ms or None), resets_at=moment_of(period.end_ms))
    if budget.raised_until_ms is not None and budget.raised_until_ms <= now_ms:
        told["raised"] = None
    return BudgetAnswer.model_validate(told)
