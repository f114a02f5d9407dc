"""The audit log: who changed what, from what to what. Rows are written with the change, in its transaction."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain import Actor
from gateway.ids import new_entry_id
from gateway.stores.tables import audit_log


async def record(
    connection: AsyncConnection,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: str,
    *,
    organization_id: str | None = None,
    team_id: str | None = None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Write one row. ``action``: create, update, delete, rotate, reset, raise; values are JSON, secrets never."""
    await connection.execute(
        insert(audit_log).values(
            id=new_entry_id(),
            actor=f"{actor.name} ({actor.id})",
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            organization_id=organization_id,
            team_id=team_id,
            before=before,
            after=after,
        )
    )
