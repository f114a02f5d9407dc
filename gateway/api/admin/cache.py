"""``/admin/cache``: answers that routes give again."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from gateway.api.admin.access import must_write
from gateway.api.admin.fields import Body, Name
from gateway.api.admin.guard import Sender
from gateway.errors import BadRequest
from gateway.stores.answer_purges import AnswerPurges
from gateway.stores.tenants import ORGANIZATION, TEAM, TenantStore

_ONE_OF_THEM = {
    "oneOf": [
        {"properties": {"team": {"type": "string"}, "organization": {"type": "null"}}, "required": ["team"]},
        {"properties": {"organization": {"type": "string"}, "team": {"type": "null"}}, "required": ["organization"]},
    ]
}


class PurgeBody(Body):
    """``POST /admin/cache/purge``: one of the two."""

    model_config = ConfigDict(json_schema_extra=_ONE_OF_THEM)  # type: ignore[typeddict-item] # its values are JSON

    team: Name | None = None
    organization: Name | None = None


class Purged(BaseModel):
    """Whose answers are given no more; ``team_id`` null for all teams."""

    organization_id: str
    team_id: str | None


def add_cache(router: APIRouter, tenants: TenantStore, purges: AnswerPurges) -> None:
    """The routes."""

    @router.post("/cache/purge")
    async def purge_cache(body: PurgeBody, actor: Sender) -> Purged:
        """No answer that was kept until now is given again, on any replica."""
        match body.team, body.organization:
            case str(team_id), None:
                team = await tenants.team(team_id)
                must_write(actor, team.organization_id, team.id, TEAM.missing(team_id))
                of = Purged(organization_id=team.organization_id, team_id=team.id)
            case None, str(organization_id):
                must_write(actor, organization_id, None, ORGANIZATION.missing(organization_id))
                organization = await tenants.organization(organization_id)
                of = Purged(organization_id=organization.id, team_id=None)
            case _:
                raise BadRequest("Name either a team or an organization.", param="team", code="invalid_value")
        await purges.purge(actor, of.organization_id, of.team_id)
        return of
