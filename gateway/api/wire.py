"""JSON bodies in, and what HTTP says of errors; the errors themselves are written by ``gateway.error_objects``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeVar

import msgspec

from gateway.domain import NANO, Body
from gateway.error_objects import ErrorShape
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


def shape_for(path: str, headers: Headers) -> ErrorShape:
    """Anthropic's for its own endpoints and for whoever says which version of its API it speaks, else OpenAI's."""
    if path.startswith("/v1/messages") or any(name == b"anthropic-version" for name, _ in headers):
        return ErrorShape.ANTHROPIC
    return ErrorShape.OPENAI


def request_id_headers(request_id: bytes) -> Headers:
    """Our id of a request, under the names by which OpenAI's SDKs and Anthropic's look for it."""
    return [(b"x-request-id", request_id), (b"request-id", request_id)]


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
