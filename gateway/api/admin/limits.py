"""``/admin/limits``: how fast may be asked, by whom."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.api.admin.access import visible
from gateway.api.admin.fields import WHOLE, Body, ChangeBody, Deleted, ModelName, Page, PathId
from gateway.api.admin.guard import Sender
from gateway.api.admin.scopes import RuleQuery, ScopeBody, readable_rule, writable_rule, writable_scope
from gateway.errors import BadRequest
from gateway.stores.limits import LimitRecord, LimitStore
from policies.rule_book import RATES

# Of zero nothing is allowed. Lua counts in doubles, whole up to here.
Rate = Annotated[int, Field(ge=0, lt=2**53), WHOLE]


_STATES_A_RATE: JsonDict = {
    "anyOf": [{"properties": {rate: {"type": "integer"}}, "required": [rate]} for rate in RATES]
}
_UNNAMED: JsonDict = {"properties": {"model": {"type": "null"}}}
_NAMES_ONE_MODEL: JsonDict = {"anyOf": [_UNNAMED, {"properties": {"scope": _UNNAMED}}]}


class LimitBody(Body):
    """``POST /admin/limits``: at least one rate. ``model`` is the scope's, in short."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_STATES_A_RATE, _NAMES_ONE_MODEL]})

    scope: ScopeBody
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    tokens_per_day: Rate | None = None
    parallel_requests: Rate | None = None
    model: ModelName | None = None

    def whole_scope(self) -> ScopeBody:
        """The scope with the model. Raises BadRequest where two different ones are named."""
        if self.model is None:
            return self.scope
        if self.scope.model not in {None, self.model}:
            raise BadRequest("Two different models are named.", param="model", code="contradicting_scope")
        return self.scope.model_copy(update={"model": self.model})


class LimitChange(ChangeBody):
    """``PATCH /admin/limits/{id}``: null takes a rate away, if another is left."""

    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    tokens_per_day: Rate | None = None
    parallel_requests: Rate | None = None


class LimitAnswer(BaseModel):
    """A limit as it stands; null is unlimited."""

    id: str
    organization_id: str
    scope: dict[str, str]
    model: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    tokens_per_day: int | None
    parallel_requests: int | None
    created_at: datetime
    updated_at: datetime


def add_limits(router: APIRouter, engine: AsyncEngine, limits: LimitStore) -> None:
    """The routes."""

    def answer(record: LimitRecord) -> LimitAnswer:
        return LimitAnswer.model_validate(limits.told(record))

    @router.post("/limits", status_code=201)
    async def create_limit(body: LimitBody, actor: Sender) -> LimitAnswer:
        rates = body.model_dump(include=set(RATES))
        if all(rate is None for rate in rates.values()):
            raise BadRequest(f"A limit states at least one of {', '.join(RATES)}.", param=RATES[0])
        owned = await writable_scope(engine, actor, body.whole_scope())
        return answer(await limits.create(actor, owned.scope, rates))

    @router.get("/limits")
    async def list_limits(query: Annotated[RuleQuery, Query()], actor: Sender) -> Page[LimitAnswer]:
        found, cursor = await limits.page(visible(actor), **query.model_dump())
        return Page(data=[answer(record) for record in found], next_cursor=cursor)

    @router.get("/limits/{limit_id}")
    async def read_limit(limit_id: PathId, actor: Sender) -> LimitAnswer:
        return answer(await readable_rule(limits, actor, limit_id))

    @router.patch("/limits/{limit_id}")
    async def change_limit(limit_id: PathId, body: LimitChange, actor: Sender) -> LimitAnswer:
        await writable_rule(limits, actor, limit_id)
        return answer(await limits.update(actor, limit_id, body.changes()))

    @router.delete("/limits/{limit_id}")
    async def delete_limit(limit_id: PathId, actor: Sender) -> Deleted:
        """Nothing counts in it any more."""
        await writable_rule(limits, actor, limit_id)
        await limits.delete(actor, limit_id)
        return Deleted(id=limit_id)
