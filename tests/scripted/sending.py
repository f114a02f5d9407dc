"""How the scripted upstream sends: whole or as a stream, in its rhythm, and broken off where the script says."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web

from scripted.script import Script


class Counted(Protocol):
    """Whoever keeps the books of what was sent."""

    events_sent: int


class Broken(Exception):
    """The answer was broken off on purpose."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response


def break_off(request: web.Request, response: web.StreamResponse, by: str = "reset") -> Broken:
    """Reset the socket, or close it in good manners but too early."""
    transport = request.transport
    if transport is not None:
        if by == "close":
            transport.close()
        else:
            transport.abort()
    return Broken(response)


async def pause(pause_ms: float) -> None:
    if pause_ms:
        await asyncio.sleep(pause_ms / 1000)


async def send_whole(request: web.Request, script: Script, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    if script.drop_last_bytes:
        body = body[: -script.drop_last_bytes]
    headers = {**headers, "set-cookie": "a=b", **script.headers}
    headers["content-type"] = script.content_type or "application/json"
    if script.gzip:
        body = gzip.compress(body)
        headers["content-encoding"] = "gzip"
    response = web.StreamResponse(status=script.status, headers=headers)
    response.content_length = len(body) + script.content_length_excess
    await response.prepare(request)
    if script.hang == "after_headers":
        await asyncio.Event().wait()
    await response.write(body)
    if script.content_length_excess:
        raise break_off(request, response, "close")
    if script.cut_after is not None:
        raise break_off(request, response, script.cut_by)
    await response.write_eof()
    return response


async def send_stream(
    request: web.Request, script: Script, call: Counted, events: list[bytes], error: bytes, headers: dict[str, str]
) -> web.StreamResponse:
    """``error``: the event that ends a stream which the script cuts with one."""
    headers = {**headers, "content-type": "text/event-stream; charset=utf-8", **script.headers}
    packer = zlib.compressobj(wbits=31) if script.gzip else None
    if packer is not None:
        headers["content-encoding"] = "gzip"
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    if script.hang == "after_headers":
        await asyncio.Event().wait()
    await pause(script.first_chunk_ms)
    async for event in _paced(script, call, events):
        for segment in _segments(event, script):
            packed = segment if packer is None else packer.compress(segment) + packer.flush(zlib.Z_SYNC_FLUSH)
            await response.write(packed)
            if script.split_events:
                await asyncio.sleep(0.001)  # lets the segment leave by itself
    if script.cut_after is not None:
        if script.hang == "mid_stream":
            await asyncio.Event().wait()
        if script.error_event is None:
            raise break_off(request, response, script.cut_by)
        await response.write(error)
    await response.write_eof(b"" if packer is None else packer.flush())
    return response


async def _paced(script: Script, call: Counted, events: list[bytes]) -> AsyncIterator[bytes]:
    """The events to be sent, in their rhythm, counted."""
    events = events if script.cut_after is None else events[: script.cut_after]
    if script.join_events:
        call.events_sent = len(events)
        yield b"".join(events)
        return
    for number, event in enumerate(events):
        if number:
            await pause(script.chunk_ms)
        yield event
        call.events_sent += 1


def _segments(event: bytes, script: Script) -> list[bytes]:
    if not script.split_events:
        return [event]
    third = max(1, len(event) // 3)
    return [part for part in (event[:third], event[third : 2 * third], event[2 * third :]) if part]
