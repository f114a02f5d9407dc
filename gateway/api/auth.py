"""Finds the virtual key in a request's headers and who it belongs to."""

from __future__ import annotations

from gateway.domain import Caller
from gateway.errors import StoreUnavailable, Unauthorized
from gateway.ports import KeyDirectory

_HOW = "Pass it as 'Authorization: Bearer sk-obol-...'."


def keys_of(headers: list[tuple[bytes, bytes]]) -> tuple[str, str | None]:
    """The secret from ``authorization: Bearer`` (any case), ``api-key`` or ``x-api-key``; a second one if they differ.

    Raises Unauthorized when there is none.
    """
    bearer = named = None
    is_malformed = False
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            if scheme.lower() == b"bearer" and secret.strip():
                bearer = bearer or secret.strip()
            else:
                is_malformed = True
        elif name in {b"api-key", b"x-api-key"}:
            named = value.strip()
    found = bearer or named
    if found:
        other = named if bearer and named and named != bearer else None
        return found.decode("latin-1"), None if other is None else other.decode("latin-1")
    if is_malformed:
        raise Unauthorized(f"The Authorization header is malformed. {_HOW}")
    raise Unauthorized(f"You didn't provide an API key. {_HOW}", code="missing_api_key")


async def authenticate(headers: list[tuple[bytes, bytes]], keys: KeyDirectory) -> Caller:
    """The caller of a live key. Raises Unauthorized, or StoreUnavailable when nobody can tell."""
    secret, other = keys_of(headers)
    caller = await keys.find(secret) if other is None else await _caller_of_either(secret, other, keys)
    if caller is None:
        raise Unauthorized("Incorrect API key provided: it is unknown, revoked or expired.")
    return caller


async def _caller_of_either(secret: str, other: str, keys: KeyDirectory) -> Caller | None:
    """The one caller of two different keys: SDKs send along whatever key of another service they find.

    Raises Unauthorized when both are live and of different keys, and StoreUnavailable when neither is known to be.
    """
    callers: list[Caller] = []
    away: StoreUnavailable | None = None
    for one in (secret, other):
        try:
            caller = await keys.find(one)
        except StoreUnavailable as exc:
            away = exc
            continue
        if caller is not None:
            callers.append(caller)
    if not callers and away is not None:
        raise away
    if len({caller.key_id for caller in callers}) > 1:
        raise Unauthorized(
            "Two different API keys were provided, in 'Authorization' and in 'x-api-key': send only one of them.",
            code="conflicting_api_keys",
        )
    return callers[0] if callers else None
