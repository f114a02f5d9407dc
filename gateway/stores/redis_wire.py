"""One established connection to Redis: commands of one loop iteration leave in one write, replies come in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

Arg = bytes | str | int

_NOTHING_YET = object()


class Wire(asyncio.Protocol):
    """The transport of one established connection, with the futures that wait on it in order."""

    def __init__(
        self, writer: asyncio.StreamWriter, timeout_s: float, on_lost: Callable[[Wire, Exception], None]
    ) -> None:
        # The writer is kept because it would close the transport when collected.
        self._writer = writer
        self._transport = writer.transport
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._reader = hiredis.Reader(replyError=ResponseError, notEnoughData=_NOTHING_YET)
        self._waiting: deque[tuple[asyncio.Future[object], float]] = deque()
        self._suspect: asyncio.Future[object] | None = None
        self._closed = self._loop.create_future()
        self.is_lost = False
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(high=1 << 24)
        self._watchdog = self._loop.call_later(timeout_s / 4, self._watch)

    def send(self, args: tuple[Arg, ...]) -> asyncio.Future[object]:
        """Queue one command; the future resolves to its reply, an error reply included, or fails with the link."""
        future = self._loop.create_future()
        if self.is_lost:
            future.set_exception(RedisConnectionError("redis is away"))
            return future
        self._transport.write(hiredis.pack_command(args))  # type: ignore[arg-type] # its stub knows 1-tuples only
        self._waiting.append((future, self._loop.time()))
        return future

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING_YET:
                future = waiting.popleft()[0]
                if not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as exc:
            self.abort(RedisConnectionError(f"redis sent what is no answer: {exc}"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(RedisConnectionError(f"the connection to redis was lost: {exc or 'closed by the server'}"))
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """A server that takes nothing in is caught by the watchdog; until then commands gather in memory."""

    def resume_writing(self) -> None:
        pass

    def abort(self, error: Exception) -> None:
        """Fail all that waits, at once, and drop the connection."""
        self._lose(error)
        self._transport.abort()

    async def close(self) -> None:
        self._lose(RedisConnectionError("the link to redis was closed"))
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed, self._timeout_s)
        self._transport.abort()

    def _lose(self, error: Exception) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._watchdog.cancel()
        self._on_lost(self, error)
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(error)
                # A caller that was cancelled meanwhile never looks at it; that is no leak worth a log line.
                future.exception()

    def _watch(self) -> None:
        """Declare the link lost when its oldest command has waited longer than the timeout.

        The verdict takes two looks at the same command: after a pause of this whole process (SIGSTOP, a stalled
        machine) the answer may already lie in the socket, unread.
        """
        head = self._waiting[0] if self._waiting else None
        if head is None or self._loop.time() - head[1] < self._timeout_s:
            self._suspect = None
            self._watchdog = self._loop.call_later(self._timeout_s / 4, self._watch)
        elif self._suspect is head[0]:
            self.abort(RedisConnectionError(f"redis did not answer within {self._timeout_s} s"))
        else:
            self._suspect = head[0]
            self._watchdog = self._loop.call_later(self._timeout_s / 20, self._watch)
