"""``/admin/keys``: virtual keys."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway.api.admin.fields import Body, Instant, Models, Name, PathId
from gateway.stores.keys import Key, KeyStore


class KeyBody(Body):
    """``POST /admin/keys``. Models that the catalog does not have are taken: it may have them tomorrow."""

    team: Name
    name: Name
    expires_at: Instant | None = None
    models: Models | None = None


def add_keys(router: APIRouter, keys: KeyStore) -> None:
    """The routes of virtual keys."""

    @router.post("/keys", status_code=201)
    async def create_key(body: KeyBody) -> dict[str, Any]:
        made = await keys.create_key(body.team, body.name, expires_at=body.expires_at, models=body.models)
        return _key(made.key) | {"key": made.secret}

    @router.get("/keys")
    async def list_keys(team: str | None = None, limit: str | None = None, cursor: str | None = None) -> dict[str, Any]:
        found, next_cursor = await keys.page(team=team, limit=limit, cursor=cursor)
        return {"data": [_key(key) for key in found], "next_cursor": next_cursor}

    @router.delete("/keys/{key_id}")
    async def revoke_key(key_id: PathId) -> dict[str, Any]:
        return _key(await keys.revoke_key(key_id))


def _key(key: Key) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "team": key.team,
        "prefix": key.prefix,
        "models": key.models,
        "expires_at": key.expires_at,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
