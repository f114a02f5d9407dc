"""Reads request bodies: bounded, and inflated where the client compressed them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import BadRequest, BodyTooLarge, ClientGone, RequestTimeout

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_INFLATE_STEP = 65_536
SILENCE_S_MAX = 30.0


async def read_body(headers: list[tuple[bytes, bytes]], receive: Receive, bytes_max: int) -> bytes:
    """The whole body. Raises BodyTooLarge, BadRequest for a bad encoding, ClientGone when it never ended."""
    encoding = b""
    for name, value in headers:
        if name == b"content-length" and (not value.isdigit() or int(value) > bytes_max):
            raise _too_large(bytes_max)
        if name == b"content-encoding":
            encoding = value.strip().lower()
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    if message.get("more_body") or message["type"] == "http.disconnect":
        body = await _read_rest(body, message, receive, bytes_max)
    if len(body) > bytes_max:
        raise _too_large(bytes_max)
    return _inflate(body, encoding, bytes_max) if encoding and encoding != b"identity" else body


async def _read_rest(body: bytes, message: MutableMapping[str, Any], receive: Receive, bytes_max: int) -> bytes:
    parts, size = [body], len(body)
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        if not message.get("more_body"):
            return b"".join(parts)
        message = await _next(receive)
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            raise _too_large(bytes_max)


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    """The next message. Raises RequestTimeout for a client that sends nothing more."""
    try:
        async with asyncio.timeout(SILENCE_S_MAX):
            return await receive()
    except TimeoutError:
        raise RequestTimeout from None


def _inflate(body: bytes, encoding: bytes, bytes_max: int) -> bytes:
    """Inflate step by step, so that a small bomb cannot fill the memory."""
    if encoding not in {b"gzip", b"x-gzip", b"deflate"}:
        raise BadRequest(f"Unsupported content-encoding: {encoding.decode('latin-1')}.")
    inflater = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, whichever the header says
    parts, size, rest = [], 0, body
    try:
        while rest:
            part = inflater.decompress(rest, _INFLATE_STEP)
            size += len(part)
            if size > bytes_max:
                raise _too_large(bytes_max)
            parts.append(part)
            rest = inflater.unconsumed_tail
            if inflater.eof and inflater.unused_data:  # gzip may come in several members
                rest, inflater = inflater.unused_data, zlib.decompressobj(wbits=47)
    except zlib.error:
        raise BadRequest(f"The body is not valid {encoding.decode('latin-1')}.") from None
    if not inflater.eof:
        raise BadRequest(f"The {encoding.decode('latin-1')} body is cut short.")
    return b"".join(parts)


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {bytes_max:,} bytes.")
