"""Responses that an upstream keeps: fetched, listed, cancelled and deleted by the team that asked for them.

Each goes to the deployment that made it; the upstream's answer comes back as it is, or as guards let it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from gateway.api.auth import authenticate
from gateway.api.dialects import ClientDialect
from gateway.api.framing import EventFrames
from gateway.api.refusals import KEY_REFUSALS, NEEDS_KEY, refusals
from gateway.api.response_objects import next_number
from gateway.domain import Body, Call, Caller, Deployment, Endpoint
from gateway.domain import Request as ModelRequest
from gateway.errors import BadRequest, GatewayError, NotFound, StoreUnavailable, UpstreamError
from gateway.ids import new_request_id
from gateway.pipeline import Pipeline
from gateway.ports import Reply, Services
from gateway.reading import hide_secrets

_PARAMETERS = frozenset(
    {"include", "include[]", "include_obfuscation", "stream", "starting_after", "limit", "order", "after", "before"}
)
_JSON = "application/json"
_NOT_FOUND = 404
_REFUSED_ABOVE = refusals({"5XX": "The upstream that keeps the response fails."})


def stored_responses_router(services: Services, pipeline: Pipeline) -> APIRouter:
    """The four routes, for one process's services."""
    router = APIRouter(responses=KEY_REFUSALS | _REFUSED_ABOVE, dependencies=[NEEDS_KEY])
    stored = _StoredResponses(services, pipeline)

    @router.get("/v1/responses/{response_id}")
    async def fetch(response_id: str, request: Request) -> Response:
        return await stored.forward(request, response_id)

    @router.get("/v1/responses/{response_id}/input_items")
    async def list_input_items(response_id: str, request: Request) -> Response:
        return await stored.forward(request, response_id, "input_items")

    @router.post("/v1/responses/{response_id}/cancel")
    async def cancel(response_id: str, request: Request) -> Response:
        return await stored.forward(request, response_id, "cancel")

    @router.delete("/v1/responses/{response_id}")
    async def delete(response_id: str, request: Request) -> Response:
        answer = await stored.forward(request, response_id)
        with contextlib.suppress(StoreUnavailable):  # the upstream says from now on that it is unknown
            await services.stored.forget(response_id)
        return answer

    return router


class _StoredResponses:
    """Finds the upstream of a response and asks it."""

    def __init__(self, services: Services, pipeline: Pipeline) -> None:
        self._services = services
        self._pipeline = pipeline

    async def forward(self, request: Request, response_id: str, *rest: str) -> Response:
        """The upstream's own answer. Raises NotFound for what this team has not, else the upstream's error."""
        caller = await authenticate(request.scope, self._services.keys, self._services.trusted_proxies)
        stored = await self._services.stored.find(response_id)
        if stored is None or stored.team_id != caller.team_id:
            raise _unknown(response_id)
        deployment = self._services.catalog().deployment(stored.deployment)
        if deployment is None:
            raise NotFound(
                f"Response with id '{response_id}' not found: its deployment '{stored.deployment}' is not in the "
                "catalog any more."
            )
        query = _query(request.scope["query_string"])
        call = Call(
            deployment,
            Endpoint.RESPONSES,
            b"",
            is_stream=request.method == "GET" and query.get("stream") == "true",
            headers={},
            query=query,
            method=request.method,
            item=(response_id, *rest),
        )
        if call.is_stream and self._pipeline.is_screened(deployment.name, caller):
            raise BadRequest("Guards look at this response whole: fetch it without 'stream'.", param="stream")
        reply = await self._open(call, response_id)
        headers = {"x-obol-deployment": deployment.name.encode("latin-1", "replace").decode("latin-1")}
        if call.is_stream:
            return StreamingResponse(_events(reply, deployment), headers=headers, media_type="text/event-stream")
        answer = await _whole(reply)
        if request.method != "DELETE" and rest != ("input_items",):
            answer = await self._screened(answer, deployment, caller)
        return Response(answer, headers=headers, media_type=_JSON)

    async def _screened(self, answer: bytes, deployment: Deployment, caller: Caller) -> bytes:
        asked = ModelRequest(new_request_id(), Endpoint.RESPONSES, deployment.name, Body({}), 0)
        return await self._pipeline.screened_again(answer, asked, ClientDialect(asked), caller)

    async def _open(self, call: Call, response_id: str) -> Reply:
        deployment = call.deployment
        try:
            return await self._services.backends[deployment.provider.kind].open(call)
        except UpstreamError as exc:
            if exc.http_status == _NOT_FOUND:
                raise _unknown(response_id) from exc
            hide_secrets(exc, deployment)
            raise


async def _whole(reply: Reply) -> bytes:
    """The one block of a whole answer. Raises UpstreamError for one that was cut."""
    await reply.next()
    reply.finish()
    return reply.first


async def _events(reply: Reply, deployment: Deployment) -> AsyncIterator[bytes]:
    """The upstream's events as they come; one that breaks off ends with an event that no client takes for an end."""
    frames, last = EventFrames(), b""
    try:
        block: bytes | None = reply.first
        while block is not None:
            for event in frames.split(block):
                last = event if b"data:" in event else last
                yield event + b"\n\n"
            block = await reply.next()
        if rest := frames.rest():
            yield rest + b"\n\n"
    except UpstreamError as exc:
        hide_secrets(exc, deployment)
        yield _error_event(exc, next_number(last))
    finally:
        reply.close()


def _error_event(error: GatewayError, number: int) -> bytes:
    said = {"type": "error", "sequence_number": number, "code": error.code, "message": error.message, "param": None}
    return b"event: error\ndata: " + msgspec.json.encode(said) + b"\n\n"


def _query(query_string: bytes) -> Mapping[str, str | tuple[str, ...]]:
    """The parameters of these routes that were given, those given several times as tuples."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name in _PARAMETERS:
            found[name] = (*found.get(name, ()), value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _unknown(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id}' not found.")
