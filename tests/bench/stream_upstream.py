"""A streaming upstream that sends each chunk by itself: `python -m tests.bench.stream_upstream PORT CHUNKS PAUSE_S`.

``/v1/chat/completions`` streams as OpenAI does, ``/vllm/v1/chat/completions`` as vLLM does with continuous usage.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
_OPENAI = (
    b'{"id":"chatcmpl-BenchBenchBenchBenchBench0001","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"bench","service_tier":"default","system_fingerprint":"fp_0123456789","choices":%s,"usage":%s}'
)
_VLLM = (
    b'{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"bench","choices":%s,"usage":%s}'
)


def _choice(number: int, last: int) -> bytes:
    if number == 0:
        return b'[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'
    if number == last:
        return b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]'
    return b'[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}]' % number


def _usage(output_tokens: int) -> bytes:
    return b'{"prompt_tokens":120,"total_tokens":%d,"completion_tokens":%d,"completion_tokens_details":null}' % (
        120 + output_tokens,
        output_tokens,
    )


def _openai(chunks: int) -> Iterator[bytes]:
    for number in range(chunks - 1):
        yield _OPENAI % (_choice(number, chunks - 2), b"null")
    yield _OPENAI % (b"[]", _usage(chunks))


def _vllm(chunks: int) -> Iterator[bytes]:
    for number in range(chunks - 1):
        yield _VLLM % (_choice(number, chunks - 2), _usage(number))
    yield _VLLM % (b"[]", _usage(chunks))


def _framed(payload: bytes) -> bytes:
    event = b"data: " + payload + b"\n\n"
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
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        stream = self._streams[b"vllm" if b" /vllm/" in head else b"openai"]
        self._transport.write(_HEAD)
        self._next(iter(stream))

    def _next(self, blocks: Iterator[bytes]) -> None:
        block = next(blocks, None)
        if block is None or self._transport.is_closing():
            return
        self._transport.write(block)
        asyncio.get_running_loop().call_later(self._pause_s, self._next, blocks)


async def main(port: int, chunks: int, pause_s: float) -> None:
    done = _framed(b"[DONE]")
    streams = {
        name: [*map(_framed, make(chunks)), done, _END] for name, make in ((b"openai", _openai), (b"vllm", _vllm))
    }
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Upstream(streams, pause_s), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
