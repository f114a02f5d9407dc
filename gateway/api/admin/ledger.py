"""``/admin/ledger``: what was spent, entry by entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator

from gateway.api.admin.entry_query import EntryQuery, chosen_entries, moment, none_if_empty
from gateway.api.admin.guard import Sender
from gateway.domain import Basis, Outcome
from gateway.stores.ledger import LedgerStore


class LedgerQuery(EntryQuery):
    """``GET /admin/ledger``."""

    request: str | None = None
    basis: Annotated[Basis | None, BeforeValidator(none_if_empty)] = None
    status: Annotated[Outcome | None, BeforeValidator(none_if_empty)] = None
    limit: str | None = None
    cursor: str | None = None


def add_ledger(router: APIRouter, ledger: LedgerStore, flush: Callable[[], Awaitable[None]]) -> None:
    """The route. ``flush`` ships this process's charges, so that a reader finds its own last call."""

    @router.get("/ledger")
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
