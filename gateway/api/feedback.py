"""POST /v1/feedback: what a client says of an answer that its team got."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.api.auth import authenticate
from gateway.api.body import read_body
from gateway.api.refusals import KEY_REFUSALS, NEEDS_KEY, refusals
from gateway.domain.feedback import Feedback
from gateway.errors import BadRequest, NotFound
from gateway.ports import Services
from gateway.stores.feedback import FeedbackStore

BODY_BYTES_MAX = 65_536
_REFUSED = refusals(
    {
        400: "The body is not what it must be.",
        404: "The ledger has no such request of the key's team.",
        409: "The request has as much feedback as is kept.",
        413: "The body is larger than 64 KiB.",
    }
)
_FIELD = re.compile(r"(?:field `|at `\$\.)(\w+)`$")  # where msgspec names the field that is to blame
_decode = msgspec.json.Decoder(Feedback).decode


class FeedbackAnswer(BaseModel):
    """What was kept, and when: the first time that it was said."""

    id: str
    object: Literal["feedback"] = "feedback"
    request_id: str
    created_at: datetime


def feedback_router(services: Services, store: FeedbackStore, flush: Callable[[], Awaitable[None]]) -> APIRouter:
    """The route. ``flush`` ships charges, so that a key may speak of the answer that it has just got."""
    router = APIRouter(responses=KEY_REFUSALS | _REFUSED, dependencies=[NEEDS_KEY])

    @router.post("/v1/feedback", openapi_extra={"requestBody": _body_schema()})
    async def give_feedback(request: Request) -> FeedbackAnswer:
        caller = await authenticate(request.scope, services.keys, services.trusted_proxies)
        said = read_feedback(await read_body(request.scope["headers"], request.receive, BODY_BYTES_MAX))
        kept = await store.give(caller, said)
        if kept is None:
            await flush()
            kept = await store.give(caller, said)
        if kept is None:
            raise NotFound(f"There is no request {said.request_id!r}.", param="request_id")
        return FeedbackAnswer(id=kept.id, request_id=kept.request_id, created_at=kept.created_at)

    return router


def read_feedback(data: bytes) -> Feedback:
    """The body. Raises BadRequest naming the field that is to blame."""
    try:
        said = _decode(data)
    except msgspec.ValidationError as exc:
        blamed = _FIELD.search(str(exc))
        raise BadRequest(f"{exc}.", param=blamed[1] if blamed else None, code="invalid_value") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRequest(f"The request body is not valid JSON: {exc}.") from None
    except RecursionError:
        raise BadRequest("The request body is nested too deeply.") from None
    if said.score is None and said.label is None:
        raise BadRequest("Feedback has a 'score', a 'label' or both.", param="score", code="missing_required_parameter")
    return said


def _body_schema() -> dict[str, Any]:
    """The body as OpenAPI says it."""
    _, parts = msgspec.json.schema_components([Feedback])
    says_something = [
        {"properties": {"score": {"type": "number"}}, "required": ["score"]},
        {"properties": {"label": {"type": "string"}}, "required": ["label"]},
    ]
    schema = {**parts["Feedback"], "anyOf": says_something}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
