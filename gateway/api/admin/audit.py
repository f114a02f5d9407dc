"""``/admin/audit``: who changed what from what to what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.admin.access import visible
from gateway.api.admin.entry_query import FROM, TO, moment
from gateway.api.admin.fields import FilterText, Page, PageQuery
from gateway.api.admin.guard import Sender
from gateway.stores.audit import AuditEntry, AuditLog


class AuditQuery(PageQuery):
    """``GET /admin/audit``. ``actor``: the name or the id of an admin key."""

    object_kind: FilterText = None
    object_id: FilterText = None
    actor: FilterText = None
    from_: Annotated[str | None, FROM] = None
    to: Annotated[str | None, TO] = None


def add_audit(router: APIRouter, log: AuditLog) -> None:
    """The route of the audit log, which only grows."""

    @router.get("/audit")
    async def read_audit_log(query: Annotated[AuditQuery, Query()], actor: Sender) -> Page[AuditEntry]:
        found, cursor = await log.page(
            visible(actor),
            object_kind=query.object_kind,
            object_id=query.object_id,
            actor=query.actor,
            from_at=moment(query.from_, "from"),
            to_at=moment(query.to, "to"),
            limit=query.limit,
            cursor=query.cursor,
        )
        return Page(data=list(found), next_cursor=cursor)
