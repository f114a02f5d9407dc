"""``/admin/organizations``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.api.admin.access import must_outrank, must_own, must_read, must_write, visible
from gateway.api.admin.fields import Body, ChangeBody, Deleted, Name, Page, PageQuery, PathId, unchanged
from gateway.api.admin.guard import Sender
from gateway.stores.tenants import ORGANIZATION, Organization, TenantStore


class OrganizationBody(Body):
    """``POST /admin/organizations``. ``contact``: whom refusals tell people to ask."""

    name: Name
    contact: Name | None = None


class OrganizationChange(ChangeBody):
    """``PATCH /admin/organizations/{id}``."""

    name: Name = unchanged()
    contact: Name | None = None


def add_organizations(router: APIRouter, tenants: TenantStore) -> None:
    """The routes of organizations. Only an owner makes and deletes them."""

    @router.post("/organizations", status_code=201)
    async def create_organization(body: OrganizationBody, actor: Sender) -> Organization:
        must_own(actor, "make organizations")
        return await tenants.create_organization(actor, body.name, contact=body.contact)

    @router.get("/organizations")
    async def list_organizations(query: Annotated[PageQuery, Query()], actor: Sender) -> Page[Organization]:
        found, cursor = await tenants.organizations(visible(actor), limit=query.limit, cursor=query.cursor)
        return Page(data=list(found), next_cursor=cursor)

    @router.get("/organizations/{organization_id}")
    async def read_organization(organization_id: PathId, actor: Sender) -> Organization:
        must_read(actor, organization_id, None, ORGANIZATION.missing(organization_id))
        return await tenants.organization(organization_id)

    @router.patch("/organizations/{organization_id}")
    async def change_organization(organization_id: PathId, body: OrganizationChange, actor: Sender) -> Organization:
        must_write(actor, organization_id, None, ORGANIZATION.missing(organization_id))
        return await tenants.update_organization(actor, organization_id, body.changes())

    @router.delete("/organizations/{organization_id}")
    async def delete_organization(organization_id: PathId, actor: Sender) -> Deleted:
        """Refused while it has teams; what they spent stays in the ledger."""
        must_outrank(actor, organization_id, None, ORGANIZATION.missing(organization_id))
        await tenants.delete_organization(actor, organization_id)
        return Deleted(id=organization_id)
