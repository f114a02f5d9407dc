"""The admin API, below ``/admin``. One file per kind of object, each with a function ``add_...(router, its stores)``.

All errors are GatewayErrors or FastAPI's own, which ``gateway.api.surface`` turns into OpenAI error objects. A route
asks for who sends it with ``actor: Sender`` (guard.py) and for what that one may do in access.py.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer

from gateway.api.admin.guard import FindActor, guarded_route
from gateway.api.admin.refusals import REFUSALS

# For readers of the OpenAPI document alone: the route itself checks, before anything of the body is read.
_BEARER = HTTPBearer(auto_error=False, scheme_name="admin key", description="OBOL_ADMIN_KEY or an admin key")


def admin_router(find_actor: FindActor) -> APIRouter:
    """The router that the composition root adds the routes to. ``find_actor`` knows who an admin key belongs to."""
    return APIRouter(
        prefix="/admin",
        tags=["admin"],
        route_class=guarded_route(find_actor),
        responses=REFUSALS,
        dependencies=[Depends(_BEARER)],
    )
