"""What workers and the embedder say to each other, over a Unix socket: MessagePack behind its length.

Each request has a number and gets one answer of the same number, in whatever order they are ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

FRAME_BYTES_MAX = 64 * 1024 * 1024
_LENGTH_BYTES = 4
_UNREAD_BYTES_MAX = 8 * 1024 * 1024


class _Frame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int


class Near(_Frame, frozen=True):
    """What is near the text? ``within_ms``: later the answer is of no use."""

    tenant: str
    space: str
    text: str
    vector: bytes | None
    within_ms: int


class Keep(_Frame, frozen=True):
    """Keep a question whose answer is kept."""

    tenant: str
    space: str
    digest: str
    epoch: str
    text: str
    vector: bytes | None
    organization_id: str
    team_id: str
    key_id: str
    member_id: str | None
    group: str


class Forget(_Frame, frozen=True):
    """Its answer is gone."""

    tenant: str
    space: str
    digest: str


class Encode(_Frame, frozen=True):
    """The vectors of texts. ``within_ms``: as with Near; ``None``: they can wait for whatever is more urgent."""

    texts: tuple[str, ...]
    within_ms: int | None


class Found(_Frame, frozen=True):
    """To Near: as domain.Nearest has it, neighbours as cosine, text, digest and group."""

    neighbours: tuple[tuple[float, str, str, str], ...]
    tokens: int
    cpu_ns: int
    vector: bytes
    is_too_long: bool


class Done(_Frame, frozen=True):
    """To Keep and Forget: whether it is kept or was there."""

    is_so: bool


class Encoded(_Frame, frozen=True):
    """To Encode: float32, one vector after the other."""

    dimensions: int
    vectors: bytes


class Away(_Frame, frozen=True):
    """To any of them: not now."""

    why: str


Asked = Near | Keep | Forget | Encode
Said = Found | Done | Encoded | Away

encode = msgspec.msgpack.Encoder().encode
decode_asked = msgspec.msgpack.Decoder(Asked).decode
decode_said = msgspec.msgpack.Decoder(Said).decode


class Wire(asyncio.Protocol):
    """One connection: whole frames in, whole frames out. ``on_lost`` is called once."""

    def __init__(self, on_frame: Callable[[Wire, memoryview], None], on_lost: Callable[[Wire], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is sent may arrive."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_read(self) -> bool:
        """Whether the other end takes what it is sent: one that hangs is not to be sent more and more."""
        return self._transport is None or self._transport.get_write_buffer_size() < _UNREAD_BYTES_MAX

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio.Protocol."""
        self._transport = transport  # type: ignore[assignment] # a stream's, as loop.create_unix_* give

    def send(self, frame: Asked | Said) -> None:
        """Send it, or nothing where the connection is lost."""
        if self._transport is not None and self.is_open:
            packed = encode(frame)
            self._transport.write(len(packed).to_bytes(_LENGTH_BYTES, "big") + packed)

    def data_received(self, data: bytes) -> None:
        """Of asyncio.Protocol."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH_BYTES:
            end = start + _LENGTH_BYTES + int.from_bytes(buffer[start : start + _LENGTH_BYTES], "big")
            if end - start > FRAME_BYTES_MAX:
                self.abort()
                return
            if len(buffer) < end:
                break
            with memoryview(buffer) as view, view[start + _LENGTH_BYTES : end] as frame:
                try:
                    self._on_frame(self, frame)
                except msgspec.MsgspecError:  # another version of ours, for a moment
                    self.abort()
                    return
            start = end
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio.Protocol."""
        del exc
        self._transport = None
        self._on_lost(self)

    def abort(self) -> None:
        """Give the connection up."""
        if self._transport is not None:
            self._transport.abort()
