"""Finds the virtual key in a request's headers and who it belongs to."""

from __future__ import annotations

from gateway.domain import Caller
from gateway.errors import Unauthorized
from gateway.ports import KeyDirectory

_HOW = "Pass it as 'Authorization: Bearer sk-obol-...'."


def key_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The secret from ``authorization: Bearer`` (any case), ``api-key`` or ``x-api-key``. Raises Unauthorized."""
    found, is_malformed = None, False
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            if scheme.lower() == b"bearer" and secret.strip():
                return secret.strip().decode("latin-1")
            is_malformed = True
        if name in {b"api-key", b"x-api-key"}:
            found = value.strip()
    if not found and is_malformed:
        raise Unauthorized(f"The Authorization header is malformed. {_HOW}")
    if not found:
        raise Unauthorized(f"You didn't provide an API key. {_HOW}", code="missing_api_key")
    return found.decode("latin-1")


async def authenticate(headers: list[tuple[bytes, bytes]], keys: KeyDirectory) -> Caller:
    """The caller of a live key. Raises Unauthorized, or StoreUnavailable when nobody can tell."""
    caller = await keys.find(key_of(headers))
    if caller is None:
        raise Unauthorized("Incorrect API key provided: it is unknown, revoked or expired.")
    return caller
