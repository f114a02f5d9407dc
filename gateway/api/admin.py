"""The admin API: teams, virtual keys and the ledger, under OBOL_ADMIN_KEY.

All errors are GatewayErrors or FastAPI's own, which ``gateway.api.wire`` turns into OpenAI error objects.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from gateway.errors import BadRequest, BodyTooLarge, Unauthorized
from gateway.stores.keys import Key, KeyStore, Team
from gateway.stores.ledger import LedgerStore

BODY_BYTES_MAX = 1 << 20
NAME_CHARACTERS_MAX = 200
MODEL_CHARACTERS_MAX = 500
MODELS_MAX = 1000


def _printable(value: str) -> str:
    # NUL is what Postgres cannot hold; other control characters only serve to deceive readers of logs and terminals.
    if not value.isprintable():
        raise ValueError("must hold printable characters only")
    return value


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS_MAX, strict=True),
    AfterValidator(_printable),
]
ModelName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MODEL_CHARACTERS_MAX, strict=True),
    AfterValidator(_printable),
]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies beyond the calendar") from None


# A time without a zone is refused: one reader's midnight is another's afternoon. One in the past makes a key that was
# never valid, which scripts that copy keys may want.
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TeamBody(_Body):
    """``POST /admin/teams``."""

    name: Name


class KeyBody(_Body):
    """``POST /admin/keys``. Models that the catalog does not have are taken: it may have them tomorrow."""

    team: Name
    name: Name
    expires_at: Instant | None = None
    models: Annotated[list[ModelName], Field(min_length=1, max_length=MODELS_MAX)] | None = None


def admin_router(
    keys: KeyStore, ledger: LedgerStore, admin_key: str, flush: Callable[[], Awaitable[None]]
) -> APIRouter:
    """The routes below ``/admin``. ``flush`` ships this process's charges, so that a reader finds its own last call.

    Raises ValueError for an empty admin key, which would let everyone in.
    """
    if not admin_key:
        raise ValueError("the admin key is empty")
    # A header is bytes that the framework reads as Latin-1; the operator's key is UTF-8.
    expected = hashlib.sha256(admin_key.encode()).digest()

    def authorize(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Digests, because compare_digest tells the length of what it compares.
        actual = hashlib.sha256(given.strip().encode("latin-1")).digest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(actual, expected):
            raise Unauthorized("This address needs the admin key (OBOL_ADMIN_KEY) as a bearer token.")

    router = APIRouter(prefix="/admin", tags=["admin"], route_class=_guarded_route(authorize))
    _add_teams(router, keys)
    _add_keys(router, keys)
    _add_ledger(router, ledger, flush)
    return router


def _guarded_route(authorize: Callable[[Request], None]) -> type[APIRoute]:
    """Routes that know who asks, and that the body is small, before anything of the body is kept.

    FastAPI reads the whole body before it runs dependencies, so these checks cannot be dependencies.
    """

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                authorize(request)
                body = await _bounded_body(request)

                async def replay() -> dict[str, object]:
                    return {"type": "http.request", "body": body, "more_body": False}

                return await handle(Request(request.scope, replay))

            return guarded

    return GuardedRoute


async def _bounded_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise BodyTooLarge(f"An admin request may have at most {BODY_BYTES_MAX} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _add_teams(router: APIRouter, keys: KeyStore) -> None:
    @router.post("/teams", status_code=201)
    async def create_team(body: TeamBody) -> dict[str, Any]:
        return _team(await keys.create_team(body.name))

    @router.get("/teams")
    async def list_teams() -> dict[str, Any]:
        return {"data": [_team(team) for team in await keys.teams()]}

    @router.delete("/teams/{team_id}")
    async def delete_team(team_id: str) -> dict[str, Any]:
        """Its keys stop working; what it spent stays in the ledger."""
        await keys.delete_team(_path_id(team_id))
        return {"id": team_id, "deleted": True}


def _add_keys(router: APIRouter, keys: KeyStore) -> None:
    @router.post("/keys", status_code=201)
    async def create_key(body: KeyBody) -> dict[str, Any]:
        made = await keys.create_key(body.team, body.name, expires_at=body.expires_at, models=body.models)
        return _key(made.key) | {"key": made.secret}

    @router.get("/keys")
    async def list_keys(team: str | None = None, limit: str | None = None, cursor: str | None = None) -> dict[str, Any]:
        found, next_cursor = await keys.page(team=team, limit=limit, cursor=cursor)
        return {"data": [_key(key) for key in found], "next_cursor": next_cursor}

    @router.delete("/keys/{key_id}")
    async def revoke_key(key_id: str) -> dict[str, Any]:
        return _key(await keys.revoke_key(_path_id(key_id)))


def _add_ledger(router: APIRouter, ledger: LedgerStore, flush: Callable[[], Awaitable[None]]) -> None:
    @router.get("/ledger")
    async def read_ledger(
        team: str | None = None,
        key: str | None = None,
        request: str | None = None,
        limit: str | None = None,
        cursor: str | None = None,
    ) -> Response:
        await flush()
        page = await ledger.page(team=team, key=key, request=request, limit=limit, cursor=cursor)
        body = msgspec.json.encode({"data": page.entries, "next_cursor": page.next_cursor})
        return Response(body, media_type="application/json")


def _path_id(value: str) -> str:
    if "\0" in value:
        raise BadRequest("the id in the path holds a NUL character")
    return value


def _team(team: Team) -> dict[str, Any]:
    return {
        "id": team.id,
        "name": team.name,
        "organization_id": team.organization_id,
        "created_at": team.created_at,
    }


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
