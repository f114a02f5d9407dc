"""``/admin/ledger``: what was spent, entry by entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, WithJsonSchema

from gateway.api.admin.entry_query import EntryQuery, chosen_entries, moment, none_if_empty, or_empty
from gateway.api.admin.fields import FilterText, PageQuery
from gateway.api.admin.guard import Sender
from gateway.domain import Basis, GuardVerdict, LedgerEntry, MeterReading, Outcome, Stage
from gateway.stores.ledger import LedgerStore

_HEX = "[0-9a-f]"
_CURSOR = f"^([0-9]{{1,17}}\\.{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}})?$"
CONTENT = {"description": "Null, or with content logging prompt and answer."}


class LedgerQuery(EntryQuery, PageQuery):
    """``GET /admin/ledger``."""

    cursor: Annotated[
        str | None,
        WithJsonSchema({"type": "string", "pattern": _CURSOR, "description": "The next_cursor of the page before."}),
    ] = None
    request: FilterText = None
    basis: Annotated[Basis | None, BeforeValidator(none_if_empty), or_empty(Basis)] = None
    status: Annotated[Outcome | None, BeforeValidator(none_if_empty), or_empty(Outcome)] = None


def entry_schema() -> dict[str, Any]:
    """An entry as OpenAPI says it: entries are no Pydantic models, because the path writes them too."""
    kinds = {"meters": MeterReading, "guards": GuardVerdict, "stages": Stage}
    _, parts = msgspec.json.schema_components([LedgerEntry, *kinds.values()], schema_hook=lambda _: CONTENT)
    entry: dict[str, Any] = parts["LedgerEntry"]
    for name, kind in kinds.items():
        entry["properties"][name]["items"] = parts[kind.__name__]
    # What stands where in it is for its description: FastAPI knows no ``prefixItems`` where a list may be shorter.
    stage = parts[Stage.__name__]
    stage["items"] = {"anyOf": stage.pop("prefixItems")}
    return entry


def _page_schema() -> dict[str, Any]:
    properties = {"data": {"type": "array", "items": entry_schema()}, "next_cursor": {"type": ["string", "null"]}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def add_ledger(router: APIRouter, ledger: LedgerStore, flush: Callable[[], Awaitable[None]]) -> None:
    """The route. ``flush`` ships this process's charges, so that a reader finds its own last call."""

    @router.get("/ledger", responses={200: {"content": {"application/json": {"schema": _page_schema()}}}})
    async def read_ledger(query: Annotated[LedgerQuery, Query()], actor: Sender) -> Response:
        chosen = chosen_entries(
            query,
            actor,
            moment(query.from_, "from"),
            moment(query.to, "to"),
            request=query.request,
            basis=query.basis,
            status=query.status,
        )
        await flush()
        page = await ledger.page(chosen, limit=query.limit, cursor=query.cursor)
        body = msgspec.json.encode({"data": page.entries, "next_cursor": page.next_cursor})
        return Response(body, media_type="application/json")
