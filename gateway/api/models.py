"""GET /v1/models and /v1/models/{id}: what the key may call."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.api.auth import authenticate
from gateway.domain import Caller
from gateway.errors import ModelNotFound
from gateway.ports import Services
from policies.eligibility import may_call

# OpenAI's field says when a model was made. We do not know, and clients only need it to be there and to stay.
_CREATED = 1_700_000_000


def models_router(services: Services) -> APIRouter:
    """The two routes, for one process's services."""
    router = APIRouter()

    async def caller_of(request: Request) -> Caller:
        return await authenticate(request.scope["headers"], services.keys)

    @router.get("/v1/models")
    async def list_models(request: Request) -> dict[str, object]:
        caller = await caller_of(request)
        names = services.catalog().names()
        return {"object": "list", "data": [_model(name, owner) for name, owner in names if may_call(caller, name)]}

    @router.get("/v1/models/{name:path}")
    async def get_model(name: str, request: Request) -> dict[str, object]:
        caller = await caller_of(request)
        catalog = services.catalog()
        route, deployment = catalog.route(name), catalog.deployment(name)
        if (route is None and deployment is None) or not may_call(caller, name):
            raise ModelNotFound(f"The model '{name}' does not exist or you do not have access to it.", param="model")
        return _model(name, "obol" if deployment is None else deployment.provider.name)

    return router


def _model(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": owner}
