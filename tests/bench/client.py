"""The load: one process with raw sockets, cheap enough not to be what is measured.

`python -m tests.bench.client` reads one Load as JSON from standard input and prints one Result as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable
from typing import cast

import msgspec
import uvloop


class Load(msgspec.Struct, kw_only=True):
    """What to send. ``kind``: "closed" (each connection asks again at once), "open" (at ``rate`` requests a second,
    whatever the answers do) or "streams" (each connection reads one stream to its end).
    """

    kind: str
    port: int
    path: str
    headers: dict[str, str]
    body: str
    connections: int = 1
    requests: int = 1
    rate: float = 0.0


class Result(msgspec.Struct, kw_only=True):
    """What came back. ``reads`` and ``events`` are of streams: equal when no two chunks arrived as one."""

    requests: int
    failures: int
    seconds: float
    latencies_ms: list[float]
    reads: int = 0
    events: int = 0


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on it."""

    def __init__(self, on_answer: Callable[[_Connection, bool], None]) -> None:
        self._on_answer = on_answer
        self._buffer = b""
        self._head_bytes = 0
        self._length = -1  # of the body; -1 while it is chunked or unknown
        self._is_good = False
        self.sent_s = 0.0
        self.reads = 0
        self.events = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclasses

    def send(self, request: bytes) -> None:
        self.sent_s = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._head_bytes == 0:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._read_head(self._buffer[:end].lower())
            self._head_bytes = end + 4
            data = self._buffer[self._head_bytes :]
        elif self._length >= 0:
            self._buffer += data
        if self._length >= 0:
            if len(self._buffer) >= self._head_bytes + self._length:
                self._done()
        elif data:
            events = data.count(b"data: {")
            self.events += events
            self.reads += events > 0
            if data.endswith(b"0\r\n\r\n"):
                self._done()

    def _read_head(self, head: bytes) -> None:
        self._is_good = head[9:12] == b"200"
        start = head.find(b"content-length:")
        self._length = int(head[start + 15 : start + 27].split(b"\r\n")[0]) if start >= 0 else -1

    def _done(self) -> None:
        self._buffer, self._head_bytes = b"", 0
        self._on_answer(self, self._is_good)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._head_bytes or self.sent_s:
            self._on_answer(self, False)


class _Run:
    def __init__(self, load: Load) -> None:
        self.load = load
        body = load.body.encode()
        head = [f"POST {load.path} HTTP/1.1", f"host: 127.0.0.1:{load.port}", f"content-length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in load.headers.items()]
        self.request = "\r\n".join(head).encode() + b"\r\n\r\n" + body
        self.loop = asyncio.get_running_loop()
        self.finished = self.loop.create_future()
        self.latencies_ms: list[float] = []
        self.failures = 0
        self.sent = 0
        self.idle: list[_Connection] = []
        self.all: list[_Connection] = []

    async def connect(self) -> _Connection:
        _, connection = await self.loop.create_connection(
            lambda: _Connection(self.answered), "127.0.0.1", self.load.port
        )
        self.all.append(connection)
        return connection

    def answered(self, connection: _Connection, is_good: bool) -> None:
        if self.finished.done():
            return
        self.latencies_ms.append((time.perf_counter() - connection.sent_s) * 1000)
        connection.sent_s = 0.0
        self.failures += not is_good
        if len(self.latencies_ms) >= self.load.requests:
            self.finished.set_result(None)
        elif self.load.kind == "closed" and self.sent < self.load.requests:
            self.sent += 1
            connection.send(self.request)
        else:
            self.idle.append(connection)

    async def run(self) -> Result:
        load = self.load
        connections = [await self.connect() for _ in range(load.connections)]
        began_s = time.perf_counter()
        if load.kind == "open":
            self.idle = connections
            await self.send_at_rate()
        else:
            for connection in connections[: load.requests]:
                self.sent += 1
                connection.send(self.request)
        await self.finished
        return Result(
            requests=len(self.latencies_ms),
            failures=self.failures,
            seconds=time.perf_counter() - began_s,
            latencies_ms=[round(one, 4) for one in self.latencies_ms],
            reads=sum(connection.reads for connection in self.all),
            events=sum(connection.events for connection in self.all),
        )

    async def send_at_rate(self) -> None:
        """Random arrivals. No arrival waits for a free connection: another is opened instead."""
        arrivals = random.Random(1)  # noqa: S311 - the same arrivals each time
        due_s = time.perf_counter()
        for _ in itertools.repeat(None, self.load.requests):
            due_s += arrivals.expovariate(self.load.rate)
            pause_s = due_s - time.perf_counter()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            connection = self.idle.pop() if self.idle else await self.connect()
            connection.send(self.request)


async def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(await _Run(load).run()))


if __name__ == "__main__":
    uvloop.run(main())
