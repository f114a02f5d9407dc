"""Who sends an admin request, known before anything of its body is read; and a bound on that body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from gateway.api.admin.exact_json import ExactRequest
from gateway.api.body import read_body
from gateway.domain import Actor
from gateway.errors import Unauthorized

BODY_BYTES_MAX = 1 << 20
_ACTOR = "obol.actor"

# Finds who an admin secret belongs to, None for one that is unknown or revoked.
FindActor = Callable[[str], Awaitable[Actor | None]]


def any_of(*finders: FindActor) -> FindActor:
    """The first actor that one of them finds."""

    async def find(secret: str) -> Actor | None:
        for finder in finders:
            if (actor := await finder(secret)) is not None:
                return actor
        return None

    return find


def actor_of(request: Request) -> Actor:
    """Who sends this request: every route of the admin API has one."""
    actor: Actor = request.scope[_ACTOR]
    return actor


# How a route asks for it: ``async def create_team(body: TeamBody, actor: Sender)``.
Sender = Annotated[Actor, Depends(actor_of)]


def guarded_route(find_actor: FindActor) -> type[APIRoute]:
    """Routes that know who asks, and that the body is small, before anything of the body is kept.

    FastAPI reads the whole body before it runs dependencies, so these checks cannot be dependencies.
    """

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                request.scope[_ACTOR] = await _authenticated(request, find_actor)
                body = await read_body(request.scope["headers"], request.receive, BODY_BYTES_MAX)

                async def replay() -> dict[str, object]:
                    return {"type": "http.request", "body": body, "more_body": False}

                return await handle(ExactRequest(request.scope, replay))

            return guarded

    return GuardedRoute


async def _authenticated(request: Request, find_actor: FindActor) -> Actor:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    actor = await find_actor(secret.strip()) if scheme.lower() == "bearer" else None
    if actor is None:
        raise Unauthorized("This address needs an admin key (OBOL_ADMIN_KEY or one made of it) as a bearer token.")
    return actor
