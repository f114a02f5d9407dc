"""The credentials of those who administer: admin keys in Postgres, each with a role and a scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Actor, Role
from gateway.stores import records
from gateway.stores.database import translated
from gateway.stores.key_secrets import ADMIN_KEY_PREFIX, new_secret
from gateway.stores.records import Kind, Place, new_id
from gateway.stores.tables import admin_keys
from gateway.stores.tenants import ORGANIZATION, TEAM

_ANYWHERE = Place()


@dataclass(frozen=True, slots=True)
class AdminKey:
    """An admin key as people may see it. ``scope``: the organization or the team it is bounded by, None: everything."""

    id: str
    name: str
    role: Role
    scope: dict[str, str] | None
    organization_id: str | None
    prefix: str
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class NewAdminKey(NamedTuple):
    """The one moment at which the secret is known."""

    key: AdminKey
    secret: str

    def __repr__(self) -> str:
        return f"NewAdminKey({self.key!r}, secret=hidden)"


def _read(row: Row[*tuple[Any, ...]]) -> AdminKey:
    scope = None
    if row.team_id is not None:
        scope = {"team": row.team_id}
    elif row.organization_id is not None:
        scope = {"organization": row.organization_id}
    return AdminKey(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        scope=scope,
        organization_id=row.organization_id,
        prefix=row.prefix,
        expires_at=row.expires_at,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


ADMIN_KEY = Kind(
    name="admin key",
    table=admin_keys,
    source=admin_keys,
    columns=(
        admin_keys.c.id,
        admin_keys.c.name,
        admin_keys.c.role,
        admin_keys.c.organization_id,
        admin_keys.c.team_id,
        admin_keys.c.prefix,
        admin_keys.c.expires_at,
        admin_keys.c.created_at,
        admin_keys.c.revoked_at,
    ),
    read=_read,
    place=lambda key: Place(key.organization_id, key.scope.get("team") if key.scope else None),
    organization=admin_keys.c.organization_id,
    team=admin_keys.c.team_id,
    is_found=admin_keys.c.id.is_not(None),  # revoked ones too: the audit log names them
)


class AdminKeyStore:
    """Reads and writes admin keys. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def key(self, key_id: str) -> AdminKey:
        """Raises NotFound."""
        return await records.get(self._engine, ADMIN_KEY, key_id)

    async def page(
        self, within: Place = _ANYWHERE, *, limit: int | str | None = None, cursor: str | None = None
    ) -> tuple[tuple[AdminKey, ...], str | None]:
        """Those within a place, revoked ones too, newest first, and the next cursor. Raises BadRequest."""
        return await records.page(self._engine, ADMIN_KEY, within, {}, limit, cursor)

    async def create(
        self, actor: Actor, name: str, role: Role, place: Place, expires_at: datetime | None = None
    ) -> NewAdminKey:
        """A new admin key with its secret, which nobody can read again. Raises NotFound for an unknown scope."""
        secret = new_secret(ADMIN_KEY_PREFIX)
        values = {
            "id": new_id("admin"),
            "secret_sha256": secret.sha256,
            "prefix": secret.prefix,
            "name": name,
            "role": role.value,
            "organization_id": place.organization_id,
            "team_id": place.team_id,
            "expires_at": expires_at,
        }
        with translated():
            async with self._engine.begin() as connection:
                # Kept, so that no deletion of the scope leaves a key of it behind.
                if place.organization_id is not None:
                    await records.find(connection, ORGANIZATION, place.organization_id, keep=True, param="scope")
                if place.team_id is not None:
                    await records.find(connection, TEAM, place.team_id, keep=True, param="scope")
                return NewAdminKey(await records.make(connection, actor, ADMIN_KEY, values), secret.text)

    async def revoke(self, actor: Actor, key_id: str) -> AdminKey:
        """Revoke a key for good; revoking it again changes nothing. Raises NotFound."""
        with translated():
            async with self._engine.begin() as connection:
                await records.lock(connection, ADMIN_KEY, key_id)
                key = await records.find(connection, ADMIN_KEY, key_id)
                if key.revoked_at is None:
                    values = {"revoked_at": func.now()}
                    key = await records.change(connection, actor, ADMIN_KEY, key_id, values, "delete")
                return key

    async def actor(self, secret_sha256: bytes) -> Actor | None:
        """Who a live secret belongs to."""
        is_live = or_(admin_keys.c.expires_at.is_(None), admin_keys.c.expires_at > func.now())
        query = select(
            admin_keys.c.id, admin_keys.c.name, admin_keys.c.role, admin_keys.c.organization_id, admin_keys.c.team_id
        ).where(admin_keys.c.secret_sha256 == secret_sha256, admin_keys.c.revoked_at.is_(None), is_live)
        with translated():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).first()
        return None if row is None else Actor(row.id, row.name, Role(row.role), row.organization_id, row.team_id)
