"""``/admin/keys``: virtual keys."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.api.admin.access import must_read, must_write, visible
from gateway.api.admin.fields import (
    WHOLE,
    AllowedIps,
    Body,
    ChangeBody,
    FilterText,
    Instant,
    Models,
    Name,
    Page,
    PageQuery,
    PathId,
    unchanged,
)
from gateway.api.admin.guard import Sender
from gateway.api.admin.guard_lists import AddedGuards, GuardLists
from gateway.domain import Actor
from gateway.stores.keys import KEY, Key, KeyStore, NewKey
from gateway.stores.tenants import TEAM, TenantStore

OVERLAP_S_MAX = 30 * 86_400
_OVERLAP_S = 86_400


class KeyBody(Body):
    """``POST /admin/keys``. Models that the catalog does not have are taken: it may have them tomorrow."""

    team: Name
    name: Name
    member: Name | None = None
    models: Models | None = None
    expires_at: Instant | None = None
    allowed_ips: AllowedIps | None = None
    guards: AddedGuards | None = None


class KeyChange(ChangeBody):
    """``PATCH /admin/keys/{id}``. A key stays in its team, which its ledger entries name."""

    name: Name = unchanged()
    member: Name | None = None
    models: Models | None = None
    expires_at: Instant | None = None
    allowed_ips: AllowedIps | None = None
    guards: AddedGuards | None = None


class RotationBody(Body):
    """``POST /admin/keys/{id}/rotate``. ``overlap_s``: how long the old secret goes on serving."""

    overlap_s: Annotated[int, Field(ge=0, le=OVERLAP_S_MAX), WHOLE] = _OVERLAP_S


class KeyQuery(PageQuery):
    """``GET /admin/keys``."""

    organization: FilterText = None
    team: FilterText = None
    member: FilterText = None


@dataclass(frozen=True)
class ShownKey(Key):
    """A key with its secret, which is shown this once."""

    key: str


def add_keys(router: APIRouter, tenants: TenantStore, keys: KeyStore, lists: GuardLists) -> None:
    """The routes of virtual keys. ``lists``: checks the guards that they add."""

    async def writable(key_id: str, actor: Actor) -> None:
        key = await keys.key(key_id)
        must_write(actor, key.organization_id, key.team, KEY.missing(key_id))

    @router.post("/keys", status_code=201)
    async def create_key(body: KeyBody, actor: Sender) -> ShownKey:
        team = await tenants.team(body.team)
        must_write(actor, team.organization_id, team.id, TEAM.missing(team.id))
        made = await keys.create_key(
            actor,
            team.id,
            body.name,
            member_id=body.member,
            expires_at=body.expires_at,
            models=body.models,
            allowed_ips=body.allowed_ips,
            guards=await lists.checked(body.guards),
        )
        return _shown(made)

    @router.get("/keys")
    async def list_keys(query: Annotated[KeyQuery, Query()], actor: Sender) -> Page[Key]:
        found, cursor = await keys.page(
            visible(actor),
            organization=query.organization,
            team=query.team,
            member=query.member,
            limit=query.limit,
            cursor=query.cursor,
        )
        return Page(data=list(found), next_cursor=cursor)

    @router.get("/keys/{key_id}")
    async def read_key(key_id: PathId, actor: Sender) -> Key:
        """A revoked one is in the list alone."""
        key = await keys.key(key_id)
        must_read(actor, key.organization_id, key.team, KEY.missing(key_id))
        if key.revoked_at is not None:
            raise KEY.missing(key_id)
        return key

    @router.patch("/keys/{key_id}")
    async def change_key(key_id: PathId, body: KeyChange, actor: Sender) -> Key:
        """Takes effect within a second on every replica (10 s while Redis is away)."""
        await writable(key_id, actor)
        changes = _columns(body.changes())
        if "guards" in changes:
            changes["guards"] = await lists.checked(body.guards) or None
        return await keys.update_key(actor, key_id, changes)

    @router.post("/keys/{key_id}/rotate")
    async def rotate_key(key_id: PathId, actor: Sender, body: RotationBody | None = None) -> ShownKey:
        """The id stays, and with it budgets, limits and spend."""
        await writable(key_id, actor)
        overlap = timedelta(seconds=_OVERLAP_S if body is None else body.overlap_s)
        return _shown(await keys.rotate_key(actor, key_id, overlap))

    @router.delete("/keys/{key_id}")
    async def revoke_key(key_id: PathId, actor: Sender) -> Key:
        """Takes effect within a second on every replica (10 s while Redis is away)."""
        await writable(key_id, actor)
        return await keys.revoke_key(actor, key_id)


def _columns(changes: dict[str, Any]) -> dict[str, Any]:
    return {"member_id" if name == "member" else name: value for name, value in changes.items()}


def _shown(made: NewKey) -> ShownKey:
    return ShownKey(**{field.name: getattr(made.key, field.name) for field in fields(Key)}, key=made.secret)
