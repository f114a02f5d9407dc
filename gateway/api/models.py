"""GET /v1/models and /v1/models/{id}: what the key may call, in OpenAI's shape or in Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request

from gateway.api.auth import authenticate
from gateway.api.refusals import KEY_REFUSALS, NEEDS_KEY
from gateway.domain import Caller
from gateway.errors import BadRequest, ModelNotFound
from gateway.ports import Services
from policies.eligibility import may_call

# OpenAI's field says when a model was made. We do not know, and clients only need it to be there and to stay.
_CREATED = 1_700_000_000
# Anthropic's own word for a date that is not known.
_CREATED_AT = "1970-01-01T00:00:00Z"
_PAGE = 20
_PAGE_MAX = 1000


def models_router(services: Services) -> APIRouter:
    """The two routes, for one process's services."""
    router = APIRouter(responses=KEY_REFUSALS, dependencies=[NEEDS_KEY])

    async def caller_of(request: Request) -> Caller:
        return await authenticate(request.scope, services.keys, services.trusted_proxies)

    @router.get("/v1/models")
    async def list_models(request: Request) -> dict[str, object]:
        caller = await caller_of(request)
        models = [(name, owner) for name, owner in services.catalog().names() if may_call(caller, name)]
        if _is_anthropics(request):
            return _page([name for name, _ in models], request.query_params)
        return {"object": "list", "data": [_model(name, owner) for name, owner in models]}

    @router.get("/v1/models/{name:path}")
    async def get_model(name: str, request: Request) -> dict[str, object]:
        caller = await caller_of(request)
        catalog = services.catalog()
        route, deployment = catalog.route(name), catalog.deployment(name)
        if (route is None and deployment is None) or not may_call(caller, name):
            raise ModelNotFound(f"The model '{name}' does not exist or you do not have access to it.", param="model")
        if _is_anthropics(request):
            return _anthropic_model(name)
        return _model(name, "obol" if deployment is None else deployment.provider.name)

    return router


def _is_anthropics(request: Request) -> bool:
    """Anthropic's clients say which version of its API they speak, OpenAI's do not."""
    return "anthropic-version" in request.headers


def _model(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": owner}


def _anthropic_model(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT, "lifecycle": "active"}


def _page(names: Sequence[str], asked: Mapping[str, str]) -> dict[str, object]:
    """One page in Anthropic's shape: ``limit`` models from ``after_id`` on, or up to ``before_id``.

    Raises BadRequest for a limit or an id that there is not.
    """
    limit = _limit(asked.get("limit", str(_PAGE)))
    if "before_id" in asked:
        rest = names[: _place("before_id", asked["before_id"], names)]
        shown = rest[-limit:]
    else:
        rest = names[_place("after_id", asked["after_id"], names) + 1 :] if "after_id" in asked else names
        shown = rest[:limit]
    return {
        "data": [_anthropic_model(name) for name in shown],
        "first_id": shown[0] if shown else None,
        "last_id": shown[-1] if shown else None,
        "has_more": len(rest) > len(shown),
    }


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(_PAGE_MAX)) and 1 <= int(text) <= _PAGE_MAX:
        return int(text)
    raise BadRequest(f"Invalid 'limit': expected a number from 1 to {_PAGE_MAX}.", param="limit", code="invalid_value")


def _place(parameter: str, name: str, names: Sequence[str]) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise BadRequest(
            f"Invalid '{parameter}': there is no model '{name}'.", param=parameter, code="invalid_value"
        ) from None
