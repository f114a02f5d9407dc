"""POST /v1/route/explain: what would be decided for a request, and why. Nothing is called, held or charged."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request

from gateway.api.auth import authenticate
from gateway.api.body import read_body
from gateway.api.dialects import ClientDialect
from gateway.api.model_calls import read_request
from gateway.decision_records import record_of
from gateway.domain import Endpoint
from gateway.errors import BadRequest
from gateway.ids import new_request_id, rfc3339
from gateway.pipeline import Pipeline
from gateway.ports import Services
from policies.explanation import explanation, explanation_of_named

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def explain_router(services: Services, pipeline: Pipeline, body_bytes_max: int) -> APIRouter:
    """The route. Its body is that of a chat completion, a message or a response; headers of routing count as there."""
    router = APIRouter()

    @router.post("/v1/route/explain", include_in_schema=False)  # its bodies are those of the model endpoints
    async def explain(request: Request) -> dict[str, Any]:
        caller = await authenticate(request.scope, services.keys, services.trusted_proxies)
        data = await read_body(request.scope["headers"], request.receive, body_bytes_max)
        asked = read_request(services.catalog(), _endpoint_of(data), new_request_id(), request.scope, data)
        dialect = ClientDialect(asked)
        decision = await pipeline.weigh(asked, dialect, caller)
        if decision.route is None:
            return explanation_of_named(asked.model)
        gates = () if decision.cascade is None else decision.cascade.gates
        found = await pipeline.deflections.find(asked, dialect, caller)
        deflector = None if found is None or found.is_repeated else found.name
        record = record_of(asked, caller, decision, None, rfc3339(services.clock.unix_s()))
        return explanation(record, gates, deflector)

    return router


def _endpoint_of(data: bytes) -> Endpoint:
    try:
        fields = _fields(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRequest(f"The request body is not valid JSON: {exc}.") from None
    return Endpoint.RESPONSES if "input" in fields else Endpoint.CHAT
