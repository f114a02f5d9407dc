"""``/admin/decisions``: what was decided for requests to routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response

from gateway.api.admin.access import visible
from gateway.api.admin.entry_query import FROM, TO, moment
from gateway.api.admin.fields import FilterText, PageQuery, PathId
from gateway.api.admin.guard import Sender
from gateway.domain import CachedPrefix, Considered, Conversation, DecisionRecord, Rates, Role
from gateway.errors import NotFound
from gateway.stores.decisions import DecisionStore
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.route_prompts import PromptStore
from policies.explanation import explanation

_JSON = "application/json"
_PROMPT = "What was asked, of a route that keeps it; null where it is not kept, or not any more, and to viewers."

_EXPLANATION = "What `POST /v1/route/explain` would have said then: the same figures, and `text` in words."


class DecisionQuery(PageQuery):
    """``GET /admin/decisions``."""

    organization: FilterText = None
    team: FilterText = None
    key: FilterText = None
    route: FilterText = None
    request: FilterText = None
    from_: Annotated[str | None, FROM] = None
    to: Annotated[str | None, TO] = None


def _record_schema() -> dict[str, Any]:
    """A record as OpenAPI says it: they are no Pydantic models, because the path makes them."""
    _, parts = msgspec.json.schema_components([DecisionRecord, Considered, Rates, Conversation, CachedPrefix])
    record: dict[str, Any] = parts["DecisionRecord"]
    considered = parts["Considered"]
    considered["properties"]["rates"] = {"anyOf": [{"type": "null"}, parts["Rates"]], "default": None}
    record["properties"]["candidates"]["items"] = considered
    before = parts["Conversation"]
    before["properties"]["cached"]["additionalProperties"] = parts["CachedPrefix"]
    record["properties"]["before"] = {"anyOf": [{"type": "null"}, before], "default": None}
    return record


def add_decisions(
    router: APIRouter, store: DecisionStore, prompts: PromptStore, flush: Callable[[], Awaitable[object]]
) -> None:
    """The two routes. ``flush`` writes what this process has recorded, so that a reader finds its own last call."""
    record = _record_schema()
    properties = {"data": {"type": "array", "items": record}, "next_cursor": {"type": ["string", "null"]}}
    page_schema = {"type": "object", "properties": properties, "required": list(properties)}

    @router.get("/decisions", responses=_answering(page_schema))
    async def list_decisions(query: Annotated[DecisionQuery, Query()], actor: Sender) -> Response:
        bounds = visible(actor)
        chosen = EntryFilter(
            organization=query.organization,
            team=query.team,
            key=query.key,
            route=query.route,
            request=query.request,
            from_at=moment(query.from_, "from"),
            to_at=moment(query.to, "to"),
            within_organization=bounds.organization_id,
            within_team=bounds.team_id,
        )
        await flush()
        page = await store.page(chosen, limit=query.limit, cursor=query.cursor)
        body = msgspec.json.encode({"data": page.records, "next_cursor": page.next_cursor})
        return Response(body, media_type=_JSON)

    prompt_schema = {"description": _PROMPT, "type": ["string", "null"]}
    further = {"prompt": prompt_schema, "explanation": {"type": "object", "description": _EXPLANATION}}
    whole = record | {"properties": record["properties"] | further}

    @router.get("/decisions/{request_id}", responses=_answering(whole))
    async def read_decision(request_id: PathId, actor: Sender) -> Response:
        bounds = visible(actor)
        chosen = EntryFilter(request=request_id, within_organization=bounds.organization_id, within_team=bounds.team_id)
        await flush()
        page = await store.page(chosen, limit=1)
        if not page.records:
            raise NotFound(f"There is no decision of request {request_id!r}.", param="request_id")
        prompt = await prompts.text_of(request_id) if actor.role is not Role.VIEWER else None
        record = page.records[0]
        told = msgspec.structs.asdict(record) | {"prompt": prompt, "explanation": explanation(record)}
        return Response(msgspec.json.encode(told), media_type=_JSON)


def _answering(schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {_JSON: {"schema": schema}}}}
