"""``/admin/teams``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.api.admin.fields import Body, Name, PathId
from gateway.stores.keys import KeyStore, Team


class TeamBody(Body):
    """``POST /admin/teams``."""

    name: Name


def add_teams(router: APIRouter, keys: KeyStore) -> None:
    """The routes of teams."""

    @router.post("/teams", status_code=201)
    async def create_team(body: TeamBody) -> dict[str, Any]:
        return _team(await keys.create_team(body.name))

    @router.get("/teams")
    async def list_teams() -> dict[str, Any]:
        return {"data": [_team(team) for team in await keys.teams()]}

    @router.delete("/teams/{team_id}")
    async def delete_team(team_id: PathId) -> dict[str, Any]:
        """Its keys stop working; what it spent stays in the ledger."""
        await keys.delete_team(team_id)
        return {"id": team_id, "deleted": True}


def _team(team: Team) -> dict[str, Any]:
    return {
        "id": team.id,
        "name": team.name,
        "organization_id": team.organization_id,
        "created_at": team.created_at,
    }
