"""The audit log: who changed what, from what to what. Rows are written with the change, in its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor
from gateway.ids import new_entry_id
from gateway.stores.database import translated
from gateway.stores.paging import decode_cursor, encode_cursor, filter_value, parse_limit
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


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: ``before`` and ``after`` are the object as the admin API shows it, None where there was none."""

    id: str
    created_at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    organization_id: str | None
    team_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


_ENTRY = tuple(audit_log.c[field.name] for field in fields(AuditEntry))


class AuditLog:
    """Reads the log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(
        self,
        within: tuple[str | None, str | None] = (None, None),
        *,
        object_kind: str | None = None,
        object_id: str | None = None,
        actor: str | None = None,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        limit: int | str | None = None,
        cursor: str | None = None,
    ) -> tuple[tuple[AuditEntry, ...], str | None]:
        """Changes of an organization and team, newest first, and the next cursor; ``actor`` is a name or an id.

        ``from_at`` is inclusive, ``to_at`` exclusive. Raises BadRequest and StoreUnavailable.
        """
        count, place, log = parse_limit(limit), decode_cursor(cursor), audit_log.c
        equal = {
            log.organization_id: within[0],
            log.team_id: within[1],
            log.object_kind: filter_value(object_kind, "object_kind"),
            log.object_id: filter_value(object_id, "object_id"),
        }
        conditions: list[ColumnElement[bool]] = [
            column == value for column, value in equal.items() if value is not None
        ]
        if (who := filter_value(actor, "actor")) is not None:
            conditions.append(
                or_(log.actor.startswith(f"{who} (", autoescape=True), log.actor.endswith(f"({who})", autoescape=True))
            )
        if from_at is not None:
            conditions.append(log.created_at >= from_at)
        if to_at is not None:
            conditions.append(log.created_at < to_at)
        if place is not None:
            conditions.append(tuple_(log.created_at, log.id) < tuple_(*place))
        query = select(*_ENTRY).where(*conditions).order_by(log.created_at.desc(), log.id.desc()).limit(count + 1)
        with translated():
            async with self._engine.connect() as connection:
                found = [AuditEntry(*row) for row in await connection.execute(query)]
        if len(found) <= count:
            return tuple(found), None
        last = found[count - 1]
        return tuple(found[:count]), encode_cursor(last.created_at, last.id)
