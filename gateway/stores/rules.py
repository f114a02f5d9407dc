"""What budgets and limits have in common as rows: one change at a time, audited, told to every process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from sqlalchemy import Row, Table, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor, Budget, Limit, Scope
from gateway.errors import Forbidden, NotFound
from gateway.stores import audit, records
from gateway.stores.announcements import publish
from gateway.stores.database import translated
from gateway.stores.paging import filter_value
from gateway.stores.records import Kind, Place
from gateway.stores.scopes import columns_of, scope_in, source_of, team_of
from policies.rule_book import loosens, stands_in

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

Q = TypeVar("Q", bound=Budget | Limit)

CHANNEL = "obol:rules"
_RULES_LOCK = 0x0B01_0004  # advisory lock key
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# Tells every process that a budget or limit has changed.
Announce = Callable[[], Awaitable[None]]


def redis_announcer(redis: Redis | RedisCluster) -> Announce:
    """Announce changes by Redis. While it is away, their refresh finds them, within a second."""

    async def announce() -> None:
        await publish(redis, CHANNEL, ["changed"], "budgets or limits")

    return announce


async def announce_nothing() -> None:
    """For tools beside which no gateway runs."""


@asynccontextmanager
async def one_change(engine: AsyncEngine, announce: Announce) -> AsyncIterator[AsyncConnection]:
    """A transaction that changes rules, beside which no other does; announced when it is committed.

    So rows become visible in the order of their ``updated_at``, and who asks for what is newer than the newest that it
    has seen misses nothing; and what contradicts a new rule can be looked for before it is made. Raises
    StoreUnavailable.
    """
    with translated():
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_RULES_LOCK})"))
            yield connection
    await announce()


@dataclass(frozen=True, slots=True)
class RuleRecord(Generic[Q]):
    """A budget or limit as a row. ``team_id``: the team that its scope lies within, if any."""

    rule: Q
    team_id: str | None
    created_at: datetime
    updated_at: datetime = field(compare=False)

    @property
    def id(self) -> str:
        return self.rule.id


def kind_of_rule(
    name: str, table: Table, columns: Sequence[str], read: Callable[[Row[*tuple[Any, ...]], Scope], Q]
) -> Kind[RuleRecord[Q]]:
    """How such rules lie in the database. ``columns``: those that they have beside their scope; ``read`` reads them."""

    def record(row: Row[*tuple[Any, ...]]) -> RuleRecord[Q]:
        return RuleRecord(read(row, scope_in(row)), row.within_team_id, row.created_at, row.updated_at)

    return Kind(
        name=name,
        table=table,
        source=source_of(table),
        columns=(*columns_of(table), *(table.c[column] for column in columns)),
        read=record,
        place=lambda record: Place(record.rule.scope.organization_id, record.team_id),
        organization=table.c.organization_id,
        team=team_of(table),
        is_found=table.c.deleted_at.is_(None),
    )


class RuleStore(ABC, Generic[Q]):
    """Reads and writes one kind of rule. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, kind: Kind[RuleRecord[Q]], announce: Announce = announce_nothing) -> None:
        self._engine = engine
        self._kind = kind
        self._announce = announce

    @abstractmethod
    def told(self, record: RuleRecord[Q]) -> dict[str, object]:
        """The rule as the admin API and the audit log show it."""

    @abstractmethod
    async def _check(self, connection: AsyncConnection, record: RuleRecord[Q]) -> None:
        """Raises Conflict where another rule says the same, and for one that contradicts itself or says nothing."""

    async def _affect(self, connection: AsyncConnection, record: RuleRecord[Q]) -> None:
        """What a new, changed or deleted rule means for others."""

    def missing(self, rule_id: str) -> NotFound:
        """What says that there is none of that id: the same for one that somebody may not know of."""
        return self._kind.missing(rule_id)

    async def get(self, rule_id: str) -> RuleRecord[Q]:
        """Raises NotFound."""
        return await records.get(self._engine, self._kind, rule_id)

    async def page(
        self,
        within: tuple[str | None, str | None] = (None, None),
        *,
        organization: str | None = None,
        team: str | None = None,
        member: str | None = None,
        key: str | None = None,
        limit: int | str | None = None,
        cursor: str | None = None,
    ) -> tuple[tuple[RuleRecord[Q], ...], str | None]:
        """Those within a place, newest first, and the next cursor; a team's are its members' and keys' too.

        Raises BadRequest.
        """
        columns = self._kind.table.c
        filters: dict[Any, str | None] = {  # by column, the team's by an expression
            columns.organization_id: filter_value(organization, "organization"),
            columns.member_id: filter_value(member, "member"),
            columns.key_id: filter_value(key, "key"),
        }
        if self._kind.team is not None:
            filters[self._kind.team] = filter_value(team, "team")
        return await records.page(self._engine, self._kind, within, filters, limit, cursor)

    async def delete(self, actor: Actor, rule_id: str) -> None:
        """Delete a rule, whose row stays. Raises NotFound."""
        async with one_change(self._engine, self._announce) as connection:
            ended = await records.find(connection, self._kind, rule_id)
            await self._set(connection, rule_id, {"deleted_at": func.clock_timestamp()})
            await self._affect(connection, ended)
            await self._audit(connection, actor, "delete", ended, None)

    async def _create(self, actor: Actor, values: Mapping[str, object]) -> RuleRecord[Q]:
        async with one_change(self._engine, self._announce) as connection:
            # The time of now, not of the transaction's beginning, which lies before its turn.
            await connection.execute(insert(self._kind.table).values({**values, "updated_at": func.clock_timestamp()}))
            made = await records.find(connection, self._kind, str(values["id"]))
            await self._check(connection, made)
            await self._must_not_loosen(connection, actor, made)
            await self._affect(connection, made)
            await self._audit(connection, actor, "create", None, made)
        return made

    async def _change(
        self, actor: Actor, rule_id: str, values: Mapping[str, object], action: str = "update"
    ) -> RuleRecord[Q]:
        async with one_change(self._engine, self._announce) as connection:
            before = await records.find(connection, self._kind, rule_id)
            await self._set(connection, rule_id, values)
            after = await records.find(connection, self._kind, rule_id)
            await self._check(connection, after)
            await self._must_not_loosen(connection, actor, after)
            for record in (before, after):
                await self._affect(connection, record)
            await self._audit(connection, actor, action, before, after)
        return after

    async def _defaults_behind(self, connection: AsyncConnection, record: RuleRecord[Q]) -> list[RuleRecord[Q]]:
        """Those that count apart what this rule names, and that it stands in for."""
        if record.rule.scope.each is not None:
            return []
        columns = self._kind.table.c
        defaults = self._kind.query().where(
            columns.organization_id == record.rule.scope.organization_id, columns.each.is_not(None)
        )
        found = [self._kind.read(row) for row in await connection.execute(defaults)]
        return [default for default in found if stands_in(record.rule, default.rule)]

    async def _must_not_loosen(self, connection: AsyncConnection, actor: Actor, record: RuleRecord[Q]) -> None:
        """Raises Forbidden where a team's admin would take one of its own out of what its organization gives each."""
        if actor.team_id is None:
            return
        for default in await self._defaults_behind(connection, record):
            if default.team_id is None and loosens(record.rule, default.rule):
                raise Forbidden(
                    f"The admin key {actor.name!r} ({actor.role}) may not allow more than the {self._kind.name}"
                    f" {default.id!r}, which its organization sets for each {default.rule.scope.each}.",
                    code="role_not_allowed",
                )

    async def _set(self, connection: AsyncConnection, rule_id: str, values: Mapping[str, object]) -> None:
        changed = update(self._kind.table).where(self._kind.table.c.id == rule_id)
        await connection.execute(changed.values({**values, "updated_at": func.clock_timestamp()}))

    async def _audit(
        self,
        connection: AsyncConnection,
        actor: Actor,
        action: str,
        before: RuleRecord[Q] | None,
        after: RuleRecord[Q] | None,
    ) -> None:
        place = next(self._kind.place(record) for record in (after, before) if record is not None)
        await audit.record(
            connection,
            actor,
            action,
            self._kind.name,
            next(record.id for record in (after, before) if record is not None),
            organization_id=place.organization_id,
            team_id=place.team_id,
            before=None if before is None else msgspec.to_builtins(self.told(before)),
            after=None if after is None else msgspec.to_builtins(self.told(after)),
        )


def unix_ms(moment: datetime | None) -> int | None:
    """A time of the database in whole milliseconds since 1970."""
    return None if moment is None else (moment - _EPOCH) // _MILLISECOND


def moment_of(at_ms: int | None) -> datetime | None:
    """Milliseconds since 1970 as a time of the database."""
    return None if at_ms is None else _EPOCH + at_ms * _MILLISECOND
