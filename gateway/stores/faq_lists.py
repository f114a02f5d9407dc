"""Teams' lists of questions with their answers: each change is a new version, and no version ever changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import Row, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor, FaqEntry, FaqList, FaqVersion
from gateway.errors import Conflict, NotFound
from gateway.stores import audit, records
from gateway.stores.announcements import publish
from gateway.stores.database import translated
from gateway.stores.paging import decode_cursor, encode_cursor, parse_limit
from gateway.stores.tables import faq_versions
from gateway.stores.tenants import TEAM

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

CHANNEL = "obol:faq"
_VERSION_DIGITS_MAX = 9  # what Postgres can compare with
_COMMIT_DELAY = timedelta(seconds=60)  # a version's transaction may be that old when it becomes visible

# Tells every process whose list has changed, and its version.
Announce = Callable[[str, int], Awaitable[None]]


def redis_announcer(redis: Redis | RedisCluster) -> Announce:
    """Announce changes by Redis. While it is away, the refresh of every process finds them, within 10 s."""

    async def announce(team_id: str, version: int) -> None:
        await publish(redis, CHANNEL, [f"{version}:{team_id}"], "a list of questions")

    return announce


async def announce_nothing(team_id: str, version: int) -> None:
    """For tools beside which no gateway runs."""


class FaqChanges(NamedTuple):
    """The newest version of each team whose list changed. Ask next with ``until``."""

    versions: Mapping[str, int]
    until: datetime


class FaqStore:
    """Reads and writes them. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, announce: Announce = announce_nothing) -> None:
        self._engine = engine
        self._announce = announce

    async def current(self, team_id: str) -> FaqList:
        """The newest version; version 0, with nothing on it, for a team that never had a list."""
        with translated():
            async with self._engine.connect() as connection:
                return await _newest(connection, team_id)

    async def version(self, team_id: str, version: int) -> FaqList:
        """One that was. Raises NotFound."""
        query = select(faq_versions).where(faq_versions.c.team_id == team_id, faq_versions.c.version == version)
        with translated():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound(f"The team {team_id!r} has no list of version {version}.", param="version")
        return _list(row)

    async def versions(
        self, team_id: str, *, limit: int | str | None = None, cursor: str | None = None
    ) -> tuple[tuple[FaqVersion, ...], str | None]:
        """All that were, newest first, without what is on them, and the next cursor. Raises BadRequest."""
        count, place = parse_limit(limit), decode_cursor(cursor)
        table = faq_versions.c
        query = select(table.team_id, table.version, table.created_at, table.changed_by).where(table.team_id == team_id)
        if place is not None:
            query = query.where(table.version < _version(place[1]))
        with translated():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query.order_by(table.version.desc()).limit(count + 1))).all()
        found = tuple(FaqVersion(*row) for row in rows[:count])
        if len(rows) <= count:
            return found, None
        return found, encode_cursor(rows[count - 1].created_at, str(rows[count - 1].version))

    async def put(self, actor: Actor, team_id: str, version: int, entries: Sequence[FaqEntry]) -> FaqList:
        """Replace the list, which must still be of that version; what is the same already makes no new one.

        Raises NotFound for an unknown team, and Conflict where somebody changed the list since.
        """
        try:
            with translated():
                async with self._engine.begin() as connection:
                    team = await records.find(connection, TEAM, team_id, keep=True)
                    before = await _newest(connection, team_id)
                    if before.version != version:
                        raise _changed(before.version)
                    if before.entries == tuple(entries):
                        return before
                    await _insert(connection, actor, before, entries)
                    after = await _newest(connection, team_id)
                    await _audit(connection, actor, team.organization_id, before, after)
        except IntegrityError as exc:  # two at once: the other one was first
            raise _changed(version + 1) from exc
        await self._announce(team_id, after.version)
        return after

    async def changes(self, since: datetime) -> FaqChanges:
        """Whose lists changed since then, perhaps some seen before."""
        newest = (
            select(faq_versions.c.team_id, func.max(faq_versions.c.version))
            .where(faq_versions.c.created_at > since - _COMMIT_DELAY)
            .group_by(faq_versions.c.team_id)
        )
        with translated():
            async with self._engine.connect() as connection:
                until = await _now(connection)
                rows = await connection.execute(newest)
                return FaqChanges({team_id: version for team_id, version in rows}, until)  # noqa: C416 - rows are no pairs

    async def now(self) -> datetime:
        """By the clock of the database."""
        with translated():
            async with self._engine.connect() as connection:
                return await _now(connection)


async def _now(connection: AsyncConnection) -> datetime:
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def _newest(connection: AsyncConnection, team_id: str) -> FaqList:
    query = select(faq_versions).where(faq_versions.c.team_id == team_id).order_by(faq_versions.c.version.desc())
    row = (await connection.execute(query.limit(1))).one_or_none()
    return FaqList(team_id, 0, None, None, ()) if row is None else _list(row)


def _list(row: Row[*tuple[Any, ...]]) -> FaqList:
    entries = msgspec.convert(row.entries, tuple[FaqEntry, ...])
    return FaqList(row.team_id, row.version, row.created_at, row.changed_by, entries)


async def _insert(connection: AsyncConnection, actor: Actor, before: FaqList, entries: Sequence[FaqEntry]) -> None:
    await connection.execute(
        insert(faq_versions).values(
            team_id=before.team_id,
            version=before.version + 1,
            changed_by=f"{actor.name} ({actor.id})",
            entries=msgspec.to_builtins(tuple(entries)),
        )
    )


async def _audit(
    connection: AsyncConnection, actor: Actor, organization_id: str, before: FaqList, after: FaqList
) -> None:
    """Which entries changed. What they said stands in the versions."""
    was, now = ({entry.id: entry for entry in one.entries} for one in (before, after))
    await audit.record(
        connection,
        actor,
        "update",
        "faq",
        after.team_id,
        organization_id=organization_id,
        team_id=after.team_id,
        before={"version": before.version},
        after={
            "version": after.version,
            "added": sorted(now.keys() - was.keys()),
            "changed": sorted(name for name in now.keys() & was.keys() if now[name] != was[name]),
            "removed": sorted(was.keys() - now.keys()),
        },
    )


def _changed(version: int) -> Conflict:
    return Conflict(
        f"The list has been changed: it is of version {version} now. Read it again, and make your change to that.",
        code="version_changed",
        param="version",
    )


def _version(cursor_id: str) -> int:
    """The version that a cursor names; before one that names none there is nothing."""
    return int(cursor_id) if cursor_id.isdecimal() and len(cursor_id) <= _VERSION_DIGITS_MAX else 0
