"""``/admin/admin-keys``: the credentials of those who administer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, model_validator
from pydantic.config import JsonDict

from gateway.api.admin.access import may_change, must_read, must_write, not_allowed, visible
from gateway.api.admin.fields import Body, Instant, Name, Page, PageQuery, PathId
from gateway.api.admin.guard import Sender
from gateway.domain import Actor, Role
from gateway.errors import BadRequest
from gateway.stores.admin_keys import ADMIN_KEY, AdminKey, AdminKeyStore
from gateway.stores.records import Place
from gateway.stores.tenants import ORGANIZATION, TEAM, TenantStore


def _naming(named: str, other: str) -> JsonDict:
    """The schema of a scope that names the one."""
    return {
        "type": "object",
        "properties": {named: {"type": "string"}, other: {"type": "null"}},
        "required": [named],
    }


_ORGANIZATION, _TEAM = _naming("organization", "team"), _naming("team", "organization")


class ScopeBody(Body):
    """One organization or one team."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_ORGANIZATION, _TEAM]})

    organization: Name | None = None
    team: Name | None = None

    @model_validator(mode="after")
    def _is_one(self) -> ScopeBody:
        if (self.organization is None) == (self.team is None):
            raise ValueError("must name either an organization or a team")
        return self


def _role(role: Role, scope: JsonDict) -> JsonDict:
    """The schema of a body with that role, whose scope must be so."""
    return {"properties": {"role": {"const": str(role)}, "scope": scope}, "required": ["scope"]}


_SCOPE_OF_ROLE: JsonDict = {
    "anyOf": [
        {"properties": {"role": {"enum": [str(Role.OWNER), str(Role.VIEWER)]}, "scope": {"type": "null"}}},
        _role(Role.VIEWER, {"anyOf": [_ORGANIZATION, _TEAM]}),
        _role(Role.ORGANIZATION_ADMIN, _ORGANIZATION),
        _role(Role.TEAM_ADMIN, _TEAM),
    ]
}


class AdminKeyBody(Body):
    """``POST /admin/admin-keys``. An owner has no scope, a viewer may have any or none."""

    model_config = ConfigDict(json_schema_extra=_SCOPE_OF_ROLE)

    name: Name
    role: Role
    scope: ScopeBody | None = None
    expires_at: Instant | None = None


@dataclass(frozen=True)
class ShownAdminKey(AdminKey):
    """An admin key with its secret, which is shown this once."""

    key: str


def add_admin_keys(router: APIRouter, tenants: TenantStore, admin_keys: AdminKeyStore) -> None:
    """The routes of admin keys."""

    @router.post("/admin-keys", status_code=201)
    async def create_admin_key(body: AdminKeyBody, actor: Sender) -> ShownAdminKey:
        """Only an owner makes owners and viewers of everything; a team's admin makes none."""
        _check_scope(body)
        _may_make(actor, body)
        place = await _place(body.scope, tenants, actor)
        made = await admin_keys.create(actor, body.name, body.role, place, body.expires_at)
        return ShownAdminKey(
            **{field.name: getattr(made.key, field.name) for field in fields(AdminKey)}, key=made.secret
        )

    @router.get("/admin-keys")
    async def list_admin_keys(query: Annotated[PageQuery, Query()], actor: Sender) -> Page[AdminKey]:
        found, cursor = await admin_keys.page(visible(actor), limit=query.limit, cursor=query.cursor)
        return Page(data=list(found), next_cursor=cursor)

    @router.get("/admin-keys/{admin_key_id}")
    async def read_admin_key(admin_key_id: PathId, actor: Sender) -> AdminKey:
        """A revoked one is in the list alone."""
        key = await admin_keys.key(admin_key_id)
        must_read(actor, *ADMIN_KEY.place(key), ADMIN_KEY.missing(admin_key_id))
        if key.revoked_at is not None:
            raise ADMIN_KEY.missing(admin_key_id)
        return key

    @router.delete("/admin-keys/{admin_key_id}")
    async def revoke_admin_key(admin_key_id: PathId, actor: Sender) -> AdminKey:
        """Takes effect within a second on every replica."""
        key = await admin_keys.key(admin_key_id)
        must_write(actor, *ADMIN_KEY.place(key), ADMIN_KEY.missing(admin_key_id))
        if actor.role is Role.TEAM_ADMIN:
            raise not_allowed(actor, "revoke admin keys")
        return await admin_keys.revoke(actor, admin_key_id)


def _check_scope(body: AdminKeyBody) -> None:
    """Raises BadRequest where role and scope do not go together."""
    named = None if body.scope is None else "team" if body.scope.organization is None else "organization"
    wanted: dict[Role, set[str | None]] = {
        Role.OWNER: {None},
        Role.ORGANIZATION_ADMIN: {"organization"},
        Role.TEAM_ADMIN: {"team"},
        Role.VIEWER: {"organization", "team", None},
    }
    if named not in wanted[body.role]:
        one = next(iter(wanted[body.role]))
        needs = "has no scope" if one is None else f'needs the scope {{"{one}": id}}'
        raise BadRequest(f"The role {body.role} {needs}.", param="scope", code="invalid_value")


def _may_make(actor: Actor, body: AdminKeyBody) -> None:
    """Raises Forbidden for keys that reach further than the sender's own."""
    may_change(actor)
    if actor.role is Role.TEAM_ADMIN:
        raise not_allowed(actor, "make admin keys")
    if actor.role is not Role.OWNER and body.scope is None:
        raise not_allowed(actor, "make admin keys without a scope")


async def _place(scope: ScopeBody | None, tenants: TenantStore, actor: Actor) -> Place:
    """Where a scope lies. Raises NotFound for one that is not there, or not the sender's."""
    if scope is None:
        return Place()
    if scope.team is not None:
        team = await tenants.team(scope.team)
        must_write(actor, team.organization_id, team.id, TEAM.missing(team.id))
        return Place(team.organization_id, team.id)
    assert scope.organization is not None  # noqa: S101 - a scope names one of the two
    must_write(actor, scope.organization, None, ORGANIZATION.missing(scope.organization))
    return Place(scope.organization)
