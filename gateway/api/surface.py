"""The whole HTTP surface of one process: the hot paths as bare ASGI, all else through FastAPI.

Every answer carries ``x-request-id`` (and the same as ``request-id``, Anthropic's name for it), every error is our
error object, whoever raised it.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Match

from gateway.api.body import Receive
from gateway.api.limit_headers import ANTHROPIC_NAMES, NAMES
from gateway.api.model_calls import PATHS, ModelCalls, Scope, Send
from gateway.api.wire import error_headers, request_id_headers, shape_for
from gateway.error_objects import error_bytes, error_status
from gateway.errors import BadRequest, BodyTooLarge, GatewayError, Internal, MethodNotAllowed, NotFound
from gateway.ids import new_request_id

App = Callable[[Scope, Receive, Send], Any]
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


_EXPOSED = [
    *("x-request-id", "request-id", "x-obol-cost-usd", "x-obol-deployment", "x-obol-source", "x-obol-cache", "age"),
    *("x-obol-deflector", "x-obol-faq"),
    *("retry-after", "retry-after-ms", "x-should-retry"),
    *NAMES,
    *ANTHROPIC_NAMES,
]


class Surface:
    """The ASGI application. ``model_calls`` comes to life with the lifespan, before the first request."""

    def __init__(self, framework: FastAPI, cors_origins: tuple[str, ...]) -> None:
        self.framework = framework
        self.model_calls: ModelCalls | None = None
        self._serve: App = self._dispatch
        if cors_origins:
            self._serve = CORSMiddleware(
                self._dispatch,
                allow_origins=cors_origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=_EXPOSED,
            )

    @property
    def state(self) -> State:
        return self.framework.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            send = _with_request_id(send)  # a preflight is answered before anything of ours is asked
        await self._serve(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.framework(scope, receive, send)
            return
        endpoint = PATHS.get(scope["path"])
        if endpoint is not None and scope["method"] == "POST" and self.model_calls is not None:
            await self.model_calls(endpoint, scope, receive, send)
        else:
            await self.framework(scope, receive, _with_request_id(send))


def _with_request_id(send: Send) -> Send:
    request_id = new_request_id().encode()

    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            known = next((value for name, value in headers if name == b"x-request-id"), None)
            ids = request_id_headers(known or request_id)
            names = {name for name, _ in ids}
            message["headers"] = [*(header for header in headers if header[0] not in names), *ids]
        await send(message)

    return send_with_id


def install_errors(framework: FastAPI) -> None:
    """Let every error of the framework and of its routes leave as our error object."""

    async def gateway_error(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, GatewayError)  # noqa: S101 - registered for nothing else
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in error_headers(exc)}
        shape, request_id = shape_for(request.url.path, request.scope["headers"]), new_request_id()
        return Response(
            error_bytes(exc, shape, request_id),
            status_code=error_status(exc, shape),
            headers={**headers, "x-request-id": request_id},
            media_type="application/json",
        )

    async def http_exception(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)  # noqa: S101 - registered for nothing else
        return await gateway_error(request, _of_status(exc, request))

    async def invalid(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)  # noqa: S101 - registered for nothing else
        return await gateway_error(request, _of_validation(exc))

    async def unforeseen(request: Request, _: Exception) -> Response:
        return await gateway_error(request, Internal())

    framework.add_exception_handler(GatewayError, gateway_error)
    framework.add_exception_handler(HTTPException, http_exception)
    framework.add_exception_handler(RequestValidationError, invalid)
    framework.add_exception_handler(Exception, unforeseen)


def _of_status(exc: HTTPException, request: Request) -> GatewayError:
    where = f"{request.method} {request.url.path}"
    match exc.status_code:
        case 404 if request.url.path in PATHS:  # served beside the framework, which knows nothing of them
            return MethodNotAllowed(f"Not allowed method: {where}.", headers={"allow": "POST"})
        case 404:
            return NotFound(f"Unknown request URL: {where}.", code="unknown_url")
        case 405:
            return MethodNotAllowed(f"Not allowed method: {where}.", headers={"allow": _methods(request)})
        case 413:
            return BodyTooLarge(str(exc.detail))
        case status if 400 <= status < 500:  # noqa: PLR2004 - the class of client errors
            return BadRequest(str(exc.detail))
        case _:
            return Internal()


def _methods(request: Request) -> str:
    """Every method of the address. The framework names those of the first of its routes alone."""
    routes = request.app.router.routes
    asked = {method: {**request.scope, "method": method} for method in _METHODS}
    return ", ".join(name for name, scope in asked.items() if any(_serves(route, scope) for route in routes))


def _serves(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


def _of_validation(exc: RequestValidationError) -> BadRequest:
    first = exc.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    reason = first["msg"].removeprefix("Value error, ")  # pydantic's word for what our own validators say
    message = reason if not place else f"Invalid '{place}': {reason}."
    return BadRequest(message, param=place or None, code="invalid_value")
