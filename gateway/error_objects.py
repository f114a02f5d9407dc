"""The one writer of error objects, in each client's form: as a body and as the last event of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from gateway.errors import GatewayError


class ErrorShape(StrEnum):
    """Whose error objects a client understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


_ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "invalid_request_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OVERLOADED = 529  # Anthropic's own status for what is 503 elsewhere
_UNAVAILABLE = 503


def error_object(
    error: GatewayError, shape: ErrorShape = ErrorShape.OPENAI, request_id: str | None = None
) -> dict[str, object]:
    """The body of every error that leaves us, in the client's form."""
    if shape is ErrorShape.ANTHROPIC:
        kind = error.type if error.type in _ANTHROPIC_TYPES.values() else _ANTHROPIC_TYPES.get(error.status)
        if error.status in {401, 403, 404, 413}:  # OpenAI calls all of these invalid_request_error
            kind = _ANTHROPIC_TYPES[error.status]
        said: dict[str, object] = {"type": kind or "api_error", "message": error.message}
        if error.code is not None or error.details:
            said["details"] = {"error_code": error.code, **error.details}
        return {"type": "error", "error": said, "request_id": request_id}
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            **error.details,
        },
    }


def error_status(error: GatewayError, shape: ErrorShape = ErrorShape.OPENAI) -> int:
    """The HTTP status of an error in the client's form."""
    return _OVERLOADED if shape is ErrorShape.ANTHROPIC and error.status == _UNAVAILABLE else error.status


def error_bytes(error: GatewayError, shape: ErrorShape = ErrorShape.OPENAI, request_id: str | None = None) -> bytes:
    """The error object as the body of an HTTP answer."""
    return msgspec.json.encode(error_object(error, shape, request_id))


def error_event(error: GatewayError, shape: ErrorShape = ErrorShape.OPENAI, request_id: str | None = None) -> bytes:
    """The error object as the last event of a stream that broke off; no end mark follows."""
    name = b"event: error\n" if shape is ErrorShape.ANTHROPIC else b""
    return name + b"data: " + error_bytes(error, shape, request_id) + b"\n\n"
