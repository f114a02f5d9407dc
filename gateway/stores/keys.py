"""Virtual keys in Postgres: the admin's side, and what ``KeyCache``, the path's side, asks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor, Caller
from gateway.errors import BadRequest, Conflict
from gateway.networks import parse_network
from gateway.stores import records
from gateway.stores.database import translated
from gateway.stores.key_announcer import Announce, announce_nothing
from gateway.stores.key_secrets import KEY_PREFIX, new_secret
from gateway.stores.paging import filter_value
from gateway.stores.records import Kind, Place, new_id
from gateway.stores.tables import keys, teams
from gateway.stores.tenants import MEMBER, TEAM

# A transaction's now() is its beginning; it becomes visible at most this much later (statement_timeout is 15 s).
_COMMIT_DELAY = timedelta(seconds=60)
_FIRST_MAX = 10_000  # keys that a process takes in when it starts: 0.2 s and 11 MB at most
_FIRST_GUARDS_BYTES_MAX = 2_000  # of one of them; those with more are looked up when they are used
_ANYWHERE = Place()


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key as people may see it; ``models`` None allows every model, ``allowed_ips`` None every address.

    ``previous_expires_at``: until when the secret before the last rotation serves, or served. ``guards``: what it adds
    to those of the catalog and of its team, as JSON.
    """

    id: str
    name: str
    team: str
    member: str | None
    organization_id: str
    prefix: str
    models: tuple[str, ...] | None
    allowed_ips: tuple[str, ...] | None
    guards: tuple[object, ...]
    expires_at: datetime | None
    previous_expires_at: datetime | None
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
    """What the path keeps of one secret of a key that was looked up; ``caller`` None: it is revoked."""

    key_id: str
    digest: bytes = field(repr=False)
    caller: Caller | None


@dataclass(frozen=True, slots=True)
class Changes:
    """All secrets of the keys that changed; ask next with ``until``."""

    keys: tuple[KnownKey, ...]
    until: datetime


def _read(row: Row[*tuple[Any, ...]]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        team=row.team_id,
        member=row.member_id,
        organization_id=row.organization_id,
        prefix=row.prefix,
        models=None if row.models is None else tuple(row.models),
        allowed_ips=None if row.allowed_ips is None else tuple(row.allowed_ips),
        guards=tuple(row.guards or ()),
        expires_at=row.expires_at,
        previous_expires_at=row.previous_expires_at,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


_OF_TEAM = keys.join(teams)
KEY = Kind(
    name="key",
    table=keys,
    source=_OF_TEAM,
    columns=(
        keys.c.id,
        keys.c.name,
        keys.c.team_id,
        keys.c.member_id,
        teams.c.organization_id,
        keys.c.prefix,
        keys.c.models,
        keys.c.allowed_ips,
        keys.c.guards,
        keys.c.expires_at,
        keys.c.previous_expires_at,
        keys.c.created_at,
        keys.c.revoked_at,
    ),
    read=_read,
    place=lambda key: Place(key.organization_id, key.team),
    organization=teams.c.organization_id,
    team=keys.c.team_id,
    is_found=keys.c.id.is_not(None),  # revoked ones too: people look for what they spent
)
_KNOWN = (
    *KEY.columns,
    keys.c.secret_sha256,
    keys.c.previous_sha256,
    teams.c.name.label("team_name"),
    teams.c.quality_loss_max,
    teams.c.call_cost_max_nusd,
    teams.c.guards.is_not(None).label("has_team_guards"),  # which are not read for each of a thousand keys
)


class KeyStore:
    """Reads and writes virtual keys. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, announce: Announce = announce_nothing) -> None:
        self._engine = engine
        self._announce = announce

    async def key(self, key_id: str) -> Key:
        """Raises NotFound."""
        return await records.get(self._engine, KEY, key_id)

    async def page(
        self,
        within: Place = _ANYWHERE,
        *,
        organization: str | None = None,
        team: str | None = None,
        member: str | None = None,
        limit: int | str | None = None,
        cursor: str | None = None,
    ) -> tuple[tuple[Key, ...], str | None]:
        """Keys, revoked ones too, newest first, and the next cursor. Raises BadRequest."""
        filters = {
            teams.c.organization_id: filter_value(organization, "organization"),
            keys.c.team_id: filter_value(team, "team"),
            keys.c.member_id: filter_value(member, "member"),
        }
        return await records.page(self._engine, KEY, within, filters, limit, cursor)

    async def create_key(
        self,
        actor: Actor,
        team_id: str,
        name: str,
        *,
        member_id: str | None = None,
        expires_at: datetime | None = None,
        models: Sequence[str] | None = None,
        allowed_ips: Sequence[str] | None = None,
        guards: Sequence[object] = (),
    ) -> NewKey:
        """A new key with its secret, which nobody can read again.

        Raises NotFound for an unknown or deleted team, or a member who is not of it, BadRequest for an empty name.
        """
        if not name.strip():
            raise BadRequest("A key needs a name.", param="name")
        secret = new_secret(KEY_PREFIX)
        values = {
            "id": new_id("key"),
            "secret_sha256": secret.sha256,
            "prefix": secret.prefix,
            "name": name,
            "team_id": team_id,
            "member_id": member_id,
            "models": None if models is None else list(models),
            "allowed_ips": None if allowed_ips is None else list(allowed_ips),
            "expires_at": expires_at,
            "guards": list(guards) or None,
        }
        with translated():
            async with self._engine.begin() as connection:
                # Kept, so that no deletion of the team can run between this look and the insert.
                await records.find(connection, TEAM, team_id, keep=True)
                await _check_member(connection, member_id, team_id)
                made = await records.make(connection, actor, KEY, values)
        await self._announce([secret.sha256])  # someone may have tried it before it was there
        return NewKey(made, secret.text)

    async def update_key(self, actor: Actor, key_id: str, changes: Mapping[str, object]) -> Key:
        """Set name, member_id, models, allowed_ips, guards or expires_at.

        Raises NotFound, and Conflict for a revoked key.
        """
        with translated():
            async with self._engine.begin() as connection:
                key = await records.find(connection, KEY, key_id)
                if key.revoked_at is not None:
                    raise _revoked(key_id)
                if changes.get("member_id") is not None:
                    await _check_member(connection, str(changes["member_id"]), key.team)
                changed = await records.change(connection, actor, KEY, key_id, changes)
                digests = await _digests(connection, key_id)
        await self._announce(digests)
        return changed

    async def rotate_key(self, actor: Actor, key_id: str, overlap: timedelta) -> NewKey:
        """A new secret for the same key, whose spend goes on; the old one serves until the end of the overlap.

        One that still serves from a rotation before ends now. Raises NotFound, and Conflict for a revoked key.
        """
        secret = new_secret(KEY_PREFIX)
        is_kept = overlap > timedelta(0)
        with translated():
            async with self._engine.begin() as connection:
                before = await _digests(connection, key_id, is_changing=True)
                if (await records.find(connection, KEY, key_id)).revoked_at is not None:
                    raise _revoked(key_id)
                values = {
                    "secret_sha256": secret.sha256,
                    "prefix": secret.prefix,
                    "previous_sha256": before[0] if is_kept else None,
                    "previous_expires_at": func.clock_timestamp() + overlap if is_kept else None,
                }
                rotated = await records.change(connection, actor, KEY, key_id, values, "rotate")
        await self._announce([*before, secret.sha256])
        return NewKey(rotated, secret.text)

    async def revoke_key(self, actor: Actor, key_id: str) -> Key:
        """Revoke a key for good; revoking it again changes nothing. Raises NotFound."""
        with translated():
            async with self._engine.begin() as connection:
                digests = await _digests(connection, key_id, is_changing=True)
                key = await records.find(connection, KEY, key_id)
                if key.revoked_at is None:
                    key = await records.change(connection, actor, KEY, key_id, {"revoked_at": func.now()}, "delete")
        await self._announce(digests)
        return key

    async def lookup(self, secret_sha256: bytes) -> Caller | None:
        """The caller of a secret, None when it is unknown or its key revoked; expiry is the reader's to check."""
        query = (
            select(*_KNOWN)
            .select_from(_OF_TEAM)
            .where(or_(keys.c.secret_sha256 == secret_sha256, keys.c.previous_sha256 == secret_sha256))
        )
        with translated():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).first()
                guards = await _guards_of_teams(connection, () if row is None else (row,))
        return next((one.caller for one in _known(row, guards) if one.digest == secret_sha256), None) if row else None

    async def changes(self, since: datetime | None) -> Changes:
        """The keys that changed after ``since``, some of them perhaps seen before; the newest live ones for None."""
        query = select(*_KNOWN).select_from(_OF_TEAM)
        if since is None:
            is_light = or_(keys.c.guards.is_(None), func.pg_column_size(keys.c.guards) < _FIRST_GUARDS_BYTES_MAX)
            query = query.where(keys.c.revoked_at.is_(None), is_light)
            query = query.order_by(keys.c.updated_at.desc()).limit(_FIRST_MAX)
        else:
            query = query.where(keys.c.updated_at > since - _COMMIT_DELAY)
        with translated():
            async with self._engine.connect() as connection:
                until = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
                rows = (await connection.execute(query)).all()
                guards = await _guards_of_teams(connection, rows)
        return Changes(tuple(known for row in rows for known in _known(row, guards)), until)


async def _check_member(connection: AsyncConnection, member_id: str | None, team_id: str) -> None:
    """Raises NotFound for a member that is not of the team; a good one stays until the transaction ends."""
    if member_id is not None:
        member = await records.find(connection, MEMBER, member_id, keep=True)
        if member.team != team_id:
            raise MEMBER.missing(member_id)


async def _digests(connection: AsyncConnection, key_id: str, *, is_changing: bool = False) -> list[bytes]:
    """Of the secret and of the one before; ``is_changing``: nobody else changes the key meanwhile."""
    query = select(keys.c.secret_sha256, keys.c.previous_sha256).where(keys.c.id == key_id)
    if is_changing:
        query = query.with_for_update(key_share=True)
    return [digest for row in await connection.execute(query) for digest in row if digest is not None]


async def _guards_of_teams(connection: AsyncConnection, known: Sequence[Row[*tuple[Any, ...]]]) -> Mapping[str, str]:
    """What the teams of these keys add, as JSON lists; those that add nothing are left out."""
    ids = {row.team_id for row in known if row.has_team_guards}
    if not ids:
        return {}
    found = await connection.execute(select(teams.c.id, teams.c.guards).where(teams.c.id.in_(ids)))
    return {row.id: _as_text(row.guards) for row in found if row.guards}


def _as_text(guards: Sequence[object]) -> str:
    return sys.intern(msgspec.json.encode(guards).decode())  # one text for all keys of a team


def _added(team: str, own: Sequence[object] | None) -> str:
    """What a team adds, then its key: one JSON list, empty for nothing."""
    if not own:
        return team
    return _as_text([*msgspec.json.decode(team or "[]"), *own])


def _known(row: Row[*tuple[Any, ...]], guards_of_teams: Mapping[str, str]) -> tuple[KnownKey, ...]:
    """What the path keeps of each secret of a key: the one before expires with the overlap, if not sooner."""
    secrets = [(row.secret_sha256, row.expires_at)]
    if row.previous_sha256 is not None:
        ends = [end for end in (row.expires_at, row.previous_expires_at) if end is not None]
        secrets.append((row.previous_sha256, min(ends, default=datetime.min.replace(tzinfo=UTC))))
    guards = _added(guards_of_teams.get(row.team_id, ""), row.guards)
    return tuple(
        KnownKey(row.id, digest, None if row.revoked_at is not None else _caller(row, expires_at, guards))
        for digest, expires_at in secrets
    )


def _caller(row: Row[*tuple[Any, ...]], expires_at: datetime | None, guards: str) -> Caller:
    return Caller(
        key_id=row.id,
        key_name=row.name,
        team_id=row.team_id,
        team_name=row.team_name,
        organization_id=row.organization_id,
        models=None if row.models is None else frozenset(row.models),
        expires_at_s=None if expires_at is None else expires_at.timestamp(),
        member_id=row.member_id,
        allowed_ips=None if row.allowed_ips is None else tuple(map(parse_network, row.allowed_ips)),
        quality_loss_max=row.quality_loss_max,
        cost_max_nusd=row.call_cost_max_nusd,
        guards=guards,
    )


def _revoked(key_id: str) -> Conflict:
    return Conflict(f"The key {key_id!r} is revoked.", code="key_revoked")
