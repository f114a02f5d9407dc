"""``/admin/ledger``: what was spent, entry by entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter, Response

from gateway.stores.ledger import LedgerStore


def add_ledger(router: APIRouter, ledger: LedgerStore, flush: Callable[[], Awaitable[None]]) -> None:
    """The route. ``flush`` ships this process's charges, so that a reader finds its own last call."""

    @router.get("/ledger")
    async def read_ledger(
        team: str | None = None,
        key: str | None = None,
        request: str | None = None,
        limit: str | None = None,
        cursor: str | None = None,
    ) -> Response:
        await flush()
        page = await ledger.page(team=team, key=key, request=request, limit=limit, cursor=cursor)
        body = msgspec.json.encode({"data": page.entries, "next_cursor": page.next_cursor})
        return Response(body, media_type="application/json")
