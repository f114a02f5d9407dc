"""A streaming upstream that sends each chunk by itself: `python -m tests.bench.stream_upstream PORT CHUNKS PAUSE_S`.

Each dialect streams at its own path, ``/vllm/v1/chat/completions`` as vLLM does with continuous usage.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

from tests.bench.dialects import DIALECTS, vllm_chunks

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
VLLM_PATH = "/vllm/v1/chat/completions"


def _framed(event: bytes) -> bytes:
    event += b"\n\n"
    return b"%x\r\n" % len(event) + event + b"\r\n"


class _Upstream(asyncio.Protocol):
    def __init__(self, streams: dict[bytes, list[bytes]], pause_s: float) -> None:
        self._streams = streams
        self._pause_s = pause_s
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclasses

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET "):  # the gateway asks a vLLM how it is
            self._buffer = b""
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        stream = self._streams[head.split(b" ")[1]]
        self._transport.write(_HEAD)
        self._next(iter(stream))

    def _next(self, blocks: Iterator[bytes]) -> None:
        block = next(blocks, None)
        if block is None or self._transport.is_closing():
            return
        self._transport.write(block)
        asyncio.get_running_loop().call_later(self._pause_s, self._next, blocks)


async def main(port: int, chunks: int, pause_s: float) -> None:
    made = {dialect.path: dialect.chunks for dialect in DIALECTS.values()} | {VLLM_PATH: vllm_chunks}
    streams = {path.encode(): [*map(_framed, make(chunks)), _END] for path, make in made.items()}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Upstream(streams, pause_s), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
