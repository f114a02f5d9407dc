"""Finds the virtual key in a request's headers and who it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.api.client_address import Network, client_address, lies_in
from gateway.domain import Caller
from gateway.errors import Forbidden, StoreUnavailable, Unauthorized
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


async def authenticate(scope: Mapping[str, Any], keys: KeyDirectory, trusted_proxies: Sequence[Network]) -> Caller:
    """The caller of a live key that may be used from where the request comes.

    Raises Unauthorized, Forbidden for an address outside the key's ``allowed_ips``, or StoreUnavailable when nobody
    can tell whose key it is. ``scope`` is the ASGI scope of the request.
    """
    secret, other = keys_of(scope["headers"])
    caller = await keys.find(secret) if other is None else await _caller_of_either(secret, other, keys)
    if caller is None:
        raise Unauthorized("Incorrect API key provided: it is unknown, revoked or expired.")
    if caller.allowed_ips is not None:
        _check_address(scope, caller.allowed_ips, trusted_proxies)
    return caller


def _check_address(scope: Mapping[str, Any], allowed: Sequence[Network], trusted_proxies: Sequence[Network]) -> None:
    address = client_address(scope, trusted_proxies)
    if address is None or not lies_in(address, allowed):
        where = "an unknown address" if address is None else f"the address {address}"
        raise Forbidden(f"This API key may not be used from {where}.", code="ip_not_allowed")


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
