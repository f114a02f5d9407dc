"""Framing of server-sent events, as bytes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

DONE = b"[DONE]"
_encode = msgspec.json.encode


def payloads(events: bytes) -> Iterator[bytes]:
    """The data of each event in a run of whole events; comments and events without data are left out."""
    for event in events.split(b"\n\n"):
        if event.startswith(b"data: ") and b"\n" not in event:
            yield event[6:]
        elif event:
            lines = (line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
            if data := b"\n".join(lines):
                yield data


def untyped(data: object) -> bytes:
    """An event as chat has them: data alone."""
    return b"data: " + _encode(data) + b"\n\n"


def typed(kind: str, data: object) -> bytes:
    """An event whose name is its type, as Responses and Messages have them."""
    return b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"
