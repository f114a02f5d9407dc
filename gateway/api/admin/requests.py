"""``/admin/requests/{id}``: what one request went through, how long each stage took, and what it cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from gateway.api.admin.access import visible
from gateway.api.admin.fields import PathId
from gateway.api.admin.guard import Sender
from gateway.api.admin.ledger import CONTENT, entry_schema
from gateway.domain import GuardVerdict
from gateway.errors import NotFound
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.ledger import LedgerStore
from gateway.stores.paging import LIMIT_MAX
from policies.waterfall import StageRow, Tokens, Waterfall, waterfall

_JSON = "application/json"


def _schema() -> dict[str, Any]:
    """As OpenAPI says it: these are no Pydantic models, because entries are none."""
    kinds = [Waterfall, StageRow, Tokens, GuardVerdict]
    _, parts = msgspec.json.schema_components(kinds, schema_hook=lambda _: CONTENT)
    request: dict[str, Any] = parts["Waterfall"]
    row = parts["StageRow"]
    row["properties"]["tokens"] = {"anyOf": [{"type": "null"}, parts["Tokens"]], "default": None}
    for name, items in (("stages", row), ("guards", parts["GuardVerdict"]), ("entries", entry_schema())):
        request["properties"][name]["items"] = items
    return request


def add_requests(router: APIRouter, ledger: LedgerStore, flush: Callable[[], Awaitable[None]]) -> None:
    """The route. ``flush`` as for the ledger."""

    @router.get("/requests/{request_id}", responses={200: {"content": {_JSON: {"schema": _schema()}}}})
    async def read_request(request_id: PathId, actor: Sender) -> Response:
        bounds = visible(actor)
        chosen = EntryFilter(request=request_id, within_organization=bounds.organization_id, within_team=bounds.team_id)
        await flush()
        page = await ledger.page(chosen, limit=LIMIT_MAX)
        entries = list(page.entries)
        while page.next_cursor is not None:
            page = await ledger.page(chosen, limit=LIMIT_MAX, cursor=page.next_cursor)
            entries += page.entries
        if not entries:
            raise NotFound(f"There is no request {request_id!r}.", param="request_id")
        return Response(msgspec.json.encode(waterfall(entries)), media_type=_JSON)
