"""What every kind of record that people administer shares: finding, listing, making, changing, each change audited.

A record is one row of a table, shown as a frozen dataclass with ``id`` and ``created_at``. Rows are never deleted,
because the ledger and the audit log name them: they end, and are then found no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    false,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor
from gateway.errors import Conflict, NotFound
from gateway.stores import audit
from gateway.stores.database import translated
from gateway.stores.paging import decode_cursor, encode_cursor, parse_limit


class Record(Protocol):
    """A row as people may see it: without secrets."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


R = TypeVar("R", bound=Record)


class Place(NamedTuple):
    """The organization and team that something belongs to, or that a list is bounded by; None: none."""

    organization_id: str | None = None
    team_id: str | None = None


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """How one kind of record lies in the database."""

    name: str  # what people and the audit log call it
    table: Table
    source: FromClause  # the table, perhaps joined with another that says whose the record is
    columns: tuple[ColumnElement[Any], ...]
    read: Callable[[Row[*tuple[Any, ...]]], R]
    place: Callable[[R], Place]
    organization: ColumnElement[str]
    team: ColumnElement[str] | None  # None: such records belong to whole organizations
    is_found: ColumnElement[bool]

    def missing(self, record_id: str, param: str | None = None) -> NotFound:
        """What says that there is none of that id: the same for one that somebody may not know of."""
        return NotFound(f"There is no {self.name} {record_id!r}.", param=param or self.name.replace(" ", "_"))

    def query(self) -> Select[*tuple[Any, ...]]:
        return select(*self.columns).select_from(self.source).where(self.is_found)


def new_id(kind: str) -> str:
    """``team_...``: 48 bits of milliseconds, then 48 random ones, in hexadecimal, so that ids sort by birth."""
    unix_ms = int(datetime.now(UTC).timestamp() * 1000)
    return f"{kind}_{unix_ms:012x}{secrets.token_hex(6)}"


async def get(engine: AsyncEngine, kind: Kind[R], record_id: str) -> R:
    """One record. Raises NotFound and StoreUnavailable."""
    with translated():
        async with engine.connect() as connection:
            return await find(connection, kind, record_id)


async def find(
    connection: AsyncConnection, kind: Kind[R], record_id: str, *, keep: bool = False, param: str | None = None
) -> R:
    """One record; ``keep``: nobody ends it before this transaction does. Raises NotFound, blaming ``param``."""
    query = kind.query().where(kind.table.c.id == record_id)
    if keep:
        query = query.with_for_update(read=True, of=kind.table)
    row = (await connection.execute(query)).first()
    if row is None:
        raise kind.missing(record_id, param)
    return kind.read(row)


async def page(
    engine: AsyncEngine,
    kind: Kind[R],
    within: tuple[str | None, str | None],
    filters: Mapping[Column[Any], str | None],
    limit: int | str | None,
    cursor: str | None,
) -> tuple[tuple[R, ...], str | None]:
    """Records within a place, newest first, and the next cursor. Raises BadRequest and StoreUnavailable."""
    count, position, table = parse_limit(limit), decode_cursor(cursor), kind.table
    query = kind.query().where(_within(kind, Place(*within)))
    for column, value in filters.items():
        if value is not None:
            query = query.where(column == value)
    if position is not None:
        query = query.where(tuple_(table.c.created_at, table.c.id) < tuple_(*position))
    query = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(count + 1)
    with translated():
        async with engine.connect() as connection:
            found = [kind.read(row) for row in await connection.execute(query)]
    if len(found) <= count:
        return tuple(found), None
    last = found[count - 1]
    return tuple(found[:count]), encode_cursor(last.created_at, last.id)


def _within(kind: Kind[R], place: Place) -> ColumnElement[bool]:
    conditions = []
    if place.organization_id is not None:
        conditions.append(kind.organization == place.organization_id)
    if place.team_id is not None:
        conditions.append(false() if kind.team is None else kind.team == place.team_id)
    return and_(*conditions) if conditions else kind.is_found


async def make(connection: AsyncConnection, actor: Actor, kind: Kind[R], values: Mapping[str, object]) -> R:
    """A new record. Raises IntegrityError, for the caller to explain."""
    await connection.execute(insert(kind.table).values(values))
    made = await find(connection, kind, str(values["id"]))
    await _audit(connection, actor, kind, "create", made, None, made)
    return made


async def change(
    connection: AsyncConnection,
    actor: Actor,
    kind: Kind[R],
    record_id: str,
    values: Mapping[str, object],
    action: str = "update",
) -> R:
    """Set columns of a record. Raises NotFound, and IntegrityError, for the caller to explain."""
    await lock(connection, kind, record_id)
    before = await find(connection, kind, record_id)
    # The clock, not the transaction's beginning: who asks for what changed since then must not be too early.
    changed = update(kind.table).where(kind.table.c.id == record_id)
    await connection.execute(changed.values(dict(values) | {"updated_at": func.clock_timestamp()}))
    after = await find(connection, kind, record_id)
    if after != before or action != "update":
        await _audit(connection, actor, kind, action, after, before, after)
    return after


async def end(connection: AsyncConnection, actor: Actor, kind: Kind[R], record_id: str) -> R:
    """Delete a record, whose row stays; returns what it was. Raises NotFound."""
    await lock(connection, kind, record_id)
    ended = await find(connection, kind, record_id)
    await connection.execute(
        update(kind.table)
        .where(kind.table.c.id == record_id)
        .values(deleted_at=func.now(), updated_at=func.clock_timestamp())
    )
    await _audit(connection, actor, kind, "delete", ended, ended, None)
    return ended


async def lock(connection: AsyncConnection, kind: Kind[R], record_id: str) -> None:
    """Wait for others that change or keep it; what is read after that is what they left."""
    row = select(kind.table.c.id).where(kind.table.c.id == record_id).with_for_update(key_share=True)
    await connection.execute(row)


async def _audit(
    connection: AsyncConnection,
    actor: Actor,
    kind: Kind[R],
    action: str,
    record: R,
    before: R | None,
    after: R | None,
) -> None:
    place = kind.place(record)
    await audit.record(
        connection,
        actor,
        action,
        kind.name.replace(" ", "_"),
        record.id,
        organization_id=place.organization_id,
        team_id=place.team_id,
        before=None if before is None else msgspec.to_builtins(before),
        after=None if after is None else msgspec.to_builtins(after),
    )


@contextmanager
def free_name(kind: Kind[R], name: object) -> Iterator[None]:
    """Raises Conflict where a live record of that name exists, StoreUnavailable where Postgres is away."""
    try:
        with translated():
            yield
    except IntegrityError as exc:
        if f"{kind.table.name}_live_name" in str(exc.orig):
            raise Conflict(f"There is a {kind.name} named {name!r} already.", param="name") from exc
        raise
