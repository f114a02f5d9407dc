"""Organizations, teams and virtual keys in Postgres: the admin's side. The path's side is ``KeyCache``.

A secret is ``sk-obol-`` and 32 random bytes in base64url. It is shown once; the table holds its SHA-256. A plain hash
is enough, because nobody can try 2^256 secrets.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError
from sqlalchemy import Row, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Caller
from gateway.errors import BadRequest, Conflict, NotFound
from gateway.stores.database import translated
from gateway.stores.paging import decode_cursor, encode_cursor, filter_value, parse_limit
from gateway.stores.tables import keys, organizations, teams

if TYPE_CHECKING:
    from redis.asyncio.cluster import RedisCluster

log = logging.getLogger(__name__)

SECRET_PREFIX = "sk-obol-"  # noqa: S105 - how every secret begins, not one
CHANNEL = "obol:keys"
DEFAULT_ORGANIZATION = "org_default"
DEFAULT_TEAM = "team_default"

_SECRET = re.compile(r"sk-obol-[A-Za-z0-9_-]{43}")
_ANNOUNCE_S = 2.0
_SHOWN_CHARACTERS = len(SECRET_PREFIX) + 4
# A transaction's now() is its beginning; it becomes visible at most this much later (statement_timeout is 15 s).
_COMMIT_DELAY = timedelta(seconds=60)


def digest(secret: str) -> bytes | None:
    """The SHA-256 under which a secret is known; None when it has not the form of one."""
    return hashlib.sha256(secret.encode()).digest() if _SECRET.fullmatch(secret) else None


def _new_id(kind: str) -> str:
    """``team_...``: 48 bits of milliseconds, then 48 random ones, in hexadecimal, so that ids sort by birth."""
    unix_ms = int(datetime.now(UTC).timestamp() * 1000)
    return f"{kind}_{unix_ms:012x}{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Team:
    """Owns keys; what its keys spend is its spend."""

    id: str
    name: str
    organization_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key as people may see it; ``models`` None allows every model."""

    id: str
    name: str
    team: str
    prefix: str
    models: tuple[str, ...] | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class NewKey(NamedTuple):
    """The one moment at which the secret is known."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key!r}, secret=hidden)"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What the path keeps of a key that was looked up; ``caller`` None: it is revoked."""

    digest: bytes = field(repr=False)
    caller: Caller | None


@dataclass(frozen=True, slots=True)
class Changes:
    """The keys that changed since ``since``; ask next with ``until``."""

    keys: tuple[KnownKey, ...]
    until: datetime


Announce = Callable[[Sequence[bytes]], Awaitable[None]]


def redis_announcer(redis: Redis | RedisCluster) -> Announce:
    """Tell every process which keys changed, by Redis. While Redis is away their refresh finds it, within 10 s."""

    async def announce(digests: Sequence[bytes]) -> None:
        try:
            async with asyncio.timeout(_ANNOUNCE_S):
                for key in digests:
                    await redis.publish(CHANNEL, key.hex())
        except (RedisError, RedisClusterException, OSError) as exc:  # TimeoutError is an OSError
            log.warning("a change of %d keys was not announced, replicas notice it later: %s", len(digests), exc)

    return announce


async def _announce_nothing(digests: Sequence[bytes]) -> None:
    """For tools beside which no gateway runs."""


_KEY = (
    keys.c.id,
    keys.c.name,
    keys.c.team_id,
    keys.c.prefix,
    keys.c.models,
    keys.c.expires_at,
    keys.c.created_at,
    keys.c.revoked_at,
)
_KNOWN = (
    keys.c.secret_sha256,
    keys.c.id,
    keys.c.name.label("key_name"),
    keys.c.team_id,
    teams.c.name.label("team_name"),
    teams.c.organization_id,
    keys.c.models,
    keys.c.expires_at,
    keys.c.revoked_at,
)
_TEAM = (teams.c.id, teams.c.name, teams.c.organization_id, teams.c.created_at)


class KeyStore:
    """Reads and writes tenants. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, announce: Announce = _announce_nothing) -> None:
        self._engine = engine
        self._announce = announce

    async def ensure_default_team(self) -> Team:
        """The team that the first key belongs to, made with its organization where it is missing."""
        with translated():
            async with self._engine.begin() as connection:
                await connection.execute(
                    upsert(organizations).values(id=DEFAULT_ORGANIZATION, name="default").on_conflict_do_nothing()
                )
                await connection.execute(
                    upsert(teams)
                    .values(id=DEFAULT_TEAM, organization_id=DEFAULT_ORGANIZATION, name="default")
                    .on_conflict_do_nothing()
                )
                # Someone may have deleted it, or made another team of that name: the oldest live one stands in.
                found = await connection.execute(
                    select(*_TEAM)
                    .where(teams.c.organization_id == DEFAULT_ORGANIZATION, teams.c.deleted_at.is_(None))
                    .order_by(teams.c.id != DEFAULT_TEAM, teams.c.created_at)
                    .limit(1)
                )
                row = found.first()
        return Team(*row) if row else await self.create_team("default")

    async def create_team(self, name: str, organization_id: str = DEFAULT_ORGANIZATION) -> Team:
        """A new team. Raises Conflict when a live team has this name, NotFound for an unknown organization."""
        values = {"id": _new_id("team"), "name": name, "organization_id": organization_id}
        try:
            with translated():
                async with self._engine.begin() as connection:
                    if organization_id == DEFAULT_ORGANIZATION:
                        await connection.execute(
                            upsert(organizations)
                            .values(id=DEFAULT_ORGANIZATION, name="default")
                            .on_conflict_do_nothing()
                        )
                    made = await connection.execute(insert(teams).values(values).returning(*_TEAM))
                    return Team(*made.one())
        except IntegrityError as exc:
            if "teams_live_name" in str(exc.orig):
                raise Conflict(f"There is a team named {name!r} already.", param="name") from exc
            raise NotFound(f"There is no organization {organization_id!r}.", param="organization_id") from exc

    async def teams(self) -> tuple[Team, ...]:
        """Every live team, oldest first."""
        query = select(*_TEAM).where(teams.c.deleted_at.is_(None)).order_by(teams.c.created_at, teams.c.id)
        with translated():
            async with self._engine.connect() as connection:
                return tuple(Team(*row) for row in await connection.execute(query))

    async def delete_team(self, team_id: str) -> None:
        """Delete a team and revoke its keys; its ledger entries stay. Raises NotFound."""
        with translated():
            async with self._engine.begin() as connection:
                deleted = await connection.execute(
                    update(teams)
                    .where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
                    .values(deleted_at=func.now())
                )
                if not deleted.rowcount:
                    raise NotFound(f"There is no team {team_id!r}.", param="team")
                revoked = await connection.execute(
                    update(keys)
                    .where(keys.c.team_id == team_id, keys.c.revoked_at.is_(None))
                    .values(revoked_at=func.now(), updated_at=func.clock_timestamp())
                    .returning(keys.c.secret_sha256)
                )
                digests = revoked.scalars().all()
        await self._announce(digests)

    async def create_key(
        self,
        team_id: str,
        name: str,
        *,
        expires_at: datetime | None = None,
        models: Sequence[str] | None = None,
    ) -> NewKey:
        """A new key with its secret, which nobody can read again. Raises NotFound for an unknown or deleted team.

        Raises BadRequest for an empty name.
        """
        if not name.strip():
            raise BadRequest("A key needs a name.", param="name")
        secret = SECRET_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        secret_sha256 = hashlib.sha256(secret.encode()).digest()
        values = {
            "id": _new_id("key"),
            "secret_sha256": secret_sha256,
            "prefix": secret[:_SHOWN_CHARACTERS],
            "name": name,
            "team_id": team_id,
            "models": None if models is None else list(models),
            "expires_at": expires_at,
        }
        with translated():
            async with self._engine.begin() as connection:
                # The share lock keeps a deletion of the team from running between this look and the insert.
                team = select(teams.c.id).where(teams.c.id == team_id, teams.c.deleted_at.is_(None))
                if (await connection.execute(team.with_for_update(read=True))).first() is None:
                    raise NotFound(f"There is no team {team_id!r}.", param="team")
                row = (await connection.execute(insert(keys).values(values).returning(*_KEY))).one()
        await self._announce([secret_sha256])  # someone may have tried it before it was there
        return NewKey(_key(row), secret)

    async def page(
        self, *, team: str | None = None, limit: int | str | None = None, cursor: str | None = None
    ) -> tuple[tuple[Key, ...], str | None]:
        """Keys, revoked ones too, newest first, and the next cursor. Raises BadRequest."""
        count, place, team = parse_limit(limit), decode_cursor(cursor), filter_value(team, "team")
        query = select(*_KEY).order_by(keys.c.created_at.desc(), keys.c.id.desc()).limit(count + 1)
        if team is not None:
            query = query.where(keys.c.team_id == team)
        if place is not None:
            query = query.where(tuple_(keys.c.created_at, keys.c.id) < tuple_(*place))
        with translated():
            async with self._engine.connect() as connection:
                found = [_key(row) for row in await connection.execute(query)]
        if len(found) <= count:
            return tuple(found), None
        last = found[count - 1]
        return tuple(found[:count]), encode_cursor(last.created_at, last.id)

    async def revoke_key(self, key_id: str) -> Key:
        """Revoke a key for good; revoking it again changes nothing. Raises NotFound."""
        with translated():
            async with self._engine.begin() as connection:
                revoked = await connection.execute(
                    update(keys)
                    .where(keys.c.id == key_id)
                    .values(revoked_at=func.coalesce(keys.c.revoked_at, func.now()), updated_at=func.clock_timestamp())
                    .returning(*_KEY, keys.c.secret_sha256)
                )
                row = revoked.first()
        if row is None:
            raise NotFound(f"There is no key {key_id!r}.", param="key")
        await self._announce([row.secret_sha256])
        return _key(row)

    async def lookup(self, secret_sha256: bytes) -> Caller | None:
        """The caller of a key, None when it is unknown or revoked; expiry is the reader's to check."""
        query = select(*_KNOWN).join(teams).where(keys.c.secret_sha256 == secret_sha256)
        with translated():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).first()
        return _known(row).caller if row else None

    async def changes(self, since: datetime | None) -> Changes:
        """The keys that changed after ``since``, some of them perhaps seen before; none when it is None."""
        with translated():
            async with self._engine.connect() as connection:
                until = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
                if since is None:
                    return Changes((), until)
                query = select(*_KNOWN).join(teams).where(keys.c.updated_at > since - _COMMIT_DELAY)
                rows = (await connection.execute(query)).all()
        return Changes(tuple(map(_known, rows)), until)


def _key(row: Row[*tuple[Any, ...]]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        team=row.team_id,
        prefix=row.prefix,
        models=None if row.models is None else tuple(row.models),
        expires_at=row.expires_at,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


def _known(row: Row[*tuple[Any, ...]]) -> KnownKey:
    if row.revoked_at is not None:
        return KnownKey(row.secret_sha256, None)
    return KnownKey(
        row.secret_sha256,
        Caller(
            key_id=row.id,
            key_name=row.key_name,
            team_id=row.team_id,
            team_name=row.team_name,
            organization_id=row.organization_id,
            models=None if row.models is None else frozenset(row.models),
            expires_at_s=None if row.expires_at is None else row.expires_at.timestamp(),
        ),
    )
