"""``/admin/members``: the people of teams."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.admin.access import must_read, must_write, visible
from gateway.api.admin.fields import Body, ChangeBody, Deleted, FilterText, Name, Page, PageQuery, PathId, unchanged
from gateway.api.admin.guard import Sender
from gateway.stores.tenants import MEMBER, TEAM, Member, TenantStore


class MemberBody(Body):
    """``POST /admin/members``."""

    team: Name
    name: Name
    email: Name | None = None


class MemberChange(ChangeBody):
    """``PATCH /admin/members/{id}``. Who changes teams becomes a new member: spend belongs to a person in a team."""

    name: Name = unchanged()
    email: Name | None = None


class MemberQuery(PageQuery):
    """``GET /admin/members``."""

    organization: FilterText = None
    team: FilterText = None


def add_members(router: APIRouter, tenants: TenantStore) -> None:
    """The routes of members."""

    @router.post("/members", status_code=201)
    async def create_member(body: MemberBody, actor: Sender) -> Member:
        team = await tenants.team(body.team)
        must_write(actor, team.organization_id, team.id, TEAM.missing(team.id))
        return await tenants.create_member(actor, team.id, body.name, email=body.email)

    @router.get("/members")
    async def list_members(query: Annotated[MemberQuery, Query()], actor: Sender) -> Page[Member]:
        found, cursor = await tenants.members(
            visible(actor),
            organization=query.organization,
            team=query.team,
            limit=query.limit,
            cursor=query.cursor,
        )
        return Page(data=list(found), next_cursor=cursor)

    @router.get("/members/{member_id}")
    async def read_member(member_id: PathId, actor: Sender) -> Member:
        member = await tenants.member(member_id)
        must_read(actor, member.organization_id, member.team, MEMBER.missing(member_id))
        return member

    @router.patch("/members/{member_id}")
    async def change_member(member_id: PathId, body: MemberChange, actor: Sender) -> Member:
        member = await tenants.member(member_id)
        must_write(actor, member.organization_id, member.team, MEMBER.missing(member_id))
        return await tenants.update_member(actor, member_id, body.changes())

    @router.delete("/members/{member_id}")
    async def delete_member(member_id: PathId, actor: Sender) -> Deleted:
        """Its keys are revoked; what it spent stays in the ledger."""
        member = await tenants.member(member_id)
        must_write(actor, member.organization_id, member.team, MEMBER.missing(member_id))
        await tenants.delete_member(actor, member_id)
        return Deleted(id=member_id)
