"""``/admin/teams``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.admin.access import must_cap, must_outrank, must_read, must_screen, must_write, visible
from gateway.api.admin.amounts import Usd
from gateway.api.admin.fields import (
    Body,
    ChangeBody,
    Deleted,
    FilterText,
    Name,
    Page,
    PageQuery,
    PathId,
    Share,
    unchanged,
)
from gateway.api.admin.guard import Sender
from gateway.api.admin.guard_lists import AddedGuards, GuardLists
from gateway.stores.tenants import DEFAULT_ORGANIZATION, ORGANIZATION, TEAM, Team, TenantStore


class TeamBody(Body):
    """``POST /admin/teams``. ``organization``: the sender's own, for an owner the default one."""

    name: Name
    organization: Name | None = None
    contact: Name | None = None
    quality_loss_max: Share | None = None
    call_cost_max_usd: Usd | None = None
    guards: AddedGuards | None = None


class TeamChange(ChangeBody):
    """``PATCH /admin/teams/{id}``. A team stays in its organization, which its ledger entries name."""

    name: Name = unchanged()
    contact: Name | None = None
    quality_loss_max: Share | None = None
    call_cost_max_usd: Usd | None = None
    guards: AddedGuards | None = None

    def columns(self) -> dict[str, object]:
        """What it sets, as columns."""
        changes = self.changes()
        if "call_cost_max_usd" in changes:
            changes["call_cost_max_nusd"] = changes.pop("call_cost_max_usd")
        return changes


class TeamQuery(PageQuery):
    """``GET /admin/teams``."""

    organization: FilterText = None


def add_teams(router: APIRouter, tenants: TenantStore, lists: GuardLists) -> None:
    """The routes of teams. ``lists``: checks the guards that they add."""

    @router.post("/teams", status_code=201)
    async def create_team(body: TeamBody, actor: Sender) -> Team:
        organization_id = body.organization or actor.organization_id or DEFAULT_ORGANIZATION
        must_write(actor, organization_id, None, ORGANIZATION.missing(organization_id))
        return await tenants.create_team(
            actor,
            body.name,
            organization_id,
            contact=body.contact,
            quality_loss_max=body.quality_loss_max,
            call_cost_max_nusd=body.call_cost_max_usd,
            guards=await lists.checked(body.guards),
        )

    @router.get("/teams")
    async def list_teams(query: Annotated[TeamQuery, Query()], actor: Sender) -> Page[Team]:
        found, cursor = await tenants.teams(
            visible(actor), organization=query.organization, limit=query.limit, cursor=query.cursor
        )
        return Page(data=list(found), next_cursor=cursor)

    @router.get("/teams/{team_id}")
    async def read_team(team_id: PathId, actor: Sender) -> Team:
        team = await tenants.team(team_id)
        must_read(actor, team.organization_id, team.id, TEAM.missing(team_id))
        return team

    @router.patch("/teams/{team_id}")
    async def change_team(team_id: PathId, body: TeamChange, actor: Sender) -> Team:
        team = await tenants.team(team_id)
        must_write(actor, team.organization_id, team.id, TEAM.missing(team_id))
        changes = body.columns()
        if "call_cost_max_nusd" in changes:
            must_cap(actor)
        if "guards" in changes:
            must_screen(actor)
            changes["guards"] = await lists.checked(body.guards) or None
        return await tenants.update_team(actor, team_id, changes)

    @router.delete("/teams/{team_id}")
    async def delete_team(team_id: PathId, actor: Sender) -> Deleted:
        """Its keys stop working; what it spent stays in the ledger."""
        team = await tenants.team(team_id)
        must_outrank(actor, team.organization_id, team.id, TEAM.missing(team_id))
        await tenants.delete_team(actor, team_id)
        return Deleted(id=team_id)
