"""JSON and SSE framing: bodies in, errors out. The one writer of error objects is ``error_object``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NoReturn, TypeVar

import msgspec

from gateway.domain import NANO, Body
from gateway.errors import BadRequest, GatewayError

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]

DONE_EVENT = b"data: [DONE]\n\n"

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse_body(data: bytes) -> Body:
    """A request body as a JSON object with untouched values. Raises BadRequest for anything else."""
    if not data.isascii():
        try:
            data.decode()  # untouched values are not looked into, and their bytes would travel on
        except UnicodeDecodeError as exc:
            raise BadRequest(f"The request body is not valid UTF-8 (byte {exc.start}).") from None
    try:
        return Body(_decode_fields(data))
    except msgspec.ValidationError:
        raise BadRequest("The request body must be a JSON object.") from None
    except msgspec.DecodeError as exc:
        raise BadRequest(f"The request body is not valid JSON: {exc}.") from None
    except RecursionError:
        raise BadRequest("The request body is nested too deeply.") from None


def field(fields: Mapping[str, msgspec.Raw], name: str, kind: type[T], expected: str) -> T | None:
    """The value of a field that may be absent or null. Raises BadRequest naming the field if its type is wrong."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (msgspec.DecodeError, RecursionError):
        _refuse(name, expected, raw)


def _refuse(name: str, expected: str, raw: msgspec.Raw) -> NoReturn:
    shown = bytes(raw)[:60].decode(errors="replace")
    raise BadRequest(f"Invalid type for '{name}': expected {expected}, got {shown}.", param=name, code="invalid_type")


class ErrorShape(StrEnum):
    """Whose error objects a client understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


def shape_for(path: str, headers: Headers) -> ErrorShape:
    """Anthropic's for its own endpoints and for whoever says which version of its API it speaks, else OpenAI's."""
    if path.startswith("/v1/messages") or any(name == b"anthropic-version" for name, _ in headers):
        return ErrorShape.ANTHROPIC
    return ErrorShape.OPENAI


_ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
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
        said = {"type": kind or "api_error", "message": error.message}
        return {"type": "error", "error": said, "request_id": request_id}
    return {
        "error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code},
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


def error_headers(error: GatewayError) -> Headers:
    """``retry-after`` and its kind, and whether SDKs should try again."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
    if error.should_retry is not None and "x-should-retry" not in error.headers:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return headers


def dollars(amount_nusd: int) -> str:
    """Nano-dollars as a decimal number of dollars, exact and without an exponent: also a JSON number."""
    sign, amount = ("-", -amount_nusd) if amount_nusd < 0 else ("", amount_nusd)
    whole, nano = divmod(amount, NANO)
    return f"{sign}{whole}.{nano:09d}".rstrip("0").rstrip(".") if nano else f"{sign}{whole}"
