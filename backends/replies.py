"""What backends give back: an answer in full, or one that is on its way over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from backends import upstream_errors
from gateway.errors import UpstreamError, UpstreamTimeout

#: How long a finished stream may keep its connection until the upstream ends the body as well.
_END_WAIT_S = 1.0
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id")
#: The processing time is not among them: the gateway states its own, and a name may come only once.
_SHOWN_HEADERS = ("openai-version",)


class WholeReply:
    """An answer that is here in full, or as much of it as came before ``error``, which ``next`` raises then."""

    __slots__ = ("_error", "first", "headers", "http_status", "upstream_request_id")

    def __init__(
        self,
        first: bytes,
        http_status: int,
        upstream_request_id: str | None,
        headers: Mapping[str, str],
        error: UpstreamError | None = None,
    ) -> None:
        self.first = first
        self.http_status = http_status
        self.upstream_request_id = upstream_request_id
        self.headers = headers
        self._error = error

    async def next(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        return None

    def close(self) -> None:
        """Nothing is held: the connection went back to the pool with the last byte."""

    finish = close


class StreamReply:
    """An answer that is on its way. ``next`` costs what aiohttp's ``readany`` costs.

    Silence is watched by one coarse timer per stream, not per block: it looks at the number of bytes received four
    times per ``between_tokens_s``, so a silent upstream is given up after 1 to 1.5 times that. Only the upstream's
    silence counts, not the time in which nobody asked for the next block.
    """

    __slots__ = (
        "_between_s",
        "_content",
        "_error",
        "_is_waiting",
        "_loop",
        "_response",
        "_seen_at_s",
        "_seen_bytes",
        "_timer",
        "_total_at_s",
        "first",
        "headers",
        "http_status",
        "upstream_request_id",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        first: bytes,
        *,
        error: UpstreamError | None,
        between_s: float,
        total_at_s: float,
    ) -> None:
        self.first = first
        self.http_status = response.status
        self.headers: Mapping[str, str]
        self.upstream_request_id, self.headers = told_in(response.headers)
        self._response = response
        self._content = response.content
        self._error = error
        self._is_waiting = False
        self._between_s = between_s
        self._total_at_s = total_at_s
        self._loop = asyncio.get_running_loop()
        self._seen_bytes = self._content.total_bytes
        self._seen_at_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    async def next(self) -> bytes | None:
        """The next block, ``None`` at the end. Raises UpstreamInterrupted or UpstreamTimeout."""
        if self._error is not None:
            raise self._error
        self._is_waiting = True
        try:
            block = await self._content.readany()
        except (*upstream_errors.TRANSPORT_ERRORS, UpstreamError) as exc:
            return self._broken(exc)
        finally:
            self._is_waiting = False
        if block:
            return block
        self._unwatch()
        return None

    def finish(self) -> None:
        """Let the connection go back to the pool, which aiohttp does by itself at the end of the body.

        ``[DONE]`` often comes a moment before that end. A server that keeps the body open is left after a second.
        """
        self._unwatch()
        if not self._content.is_eof():
            self._timer = self._loop.call_later(_END_WAIT_S, self._response.close)
            self._content.on_eof(self._unwatch)

    def close(self) -> None:
        """Give the answer up; closes the connection unless the answer is at its end. Idempotent."""
        self._unwatch()
        self._response.close()

    def _broken(self, exc: BaseException) -> bytes:
        """Hand out what arrived before the break, then raise. Blocks left in the buffer were generated and cost."""
        self._unwatch()
        self._error = exc if isinstance(exc, UpstreamError) else upstream_errors.interruption(exc)
        rest = unread(self._content)
        self._response.close()
        if not rest:
            raise self._error from exc
        return rest

    def _watch(self) -> None:
        pause_s = min(self._between_s / 4, self._total_at_s - self._loop.time())
        self._timer = self._loop.call_later(max(pause_s, 0.005), self._look)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now_s, seen = self._loop.time(), self._content.total_bytes
        if now_s >= self._total_at_s:
            self._give_up("The upstream did not finish its answer in time.")
        elif seen != self._seen_bytes or not self._is_waiting:
            self._seen_bytes, self._seen_at_s = seen, now_s
            self._watch()
        elif now_s - self._seen_at_s >= self._between_s:
            self._give_up("The upstream fell silent in the middle of its answer.")
        else:
            self._watch()

    def _give_up(self, message: str) -> None:
        error = UpstreamTimeout(message)
        error.can_fall_back = False
        self._content.set_exception(error)
        self._response.close()


def unread(content: aiohttp.StreamReader) -> bytes:
    """The blocks that arrived before a break: aiohttp raises at once and leaves them in its buffer."""
    return b"".join(content._buffer)  # noqa: SLF001  # no public way to them; a test fails if this ceases to work


def told_in(headers: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """The upstream's request id, and those of its headers that a client may see."""
    names = (*_REQUEST_ID_HEADERS, *_SHOWN_HEADERS)
    clean = {name: headers[name] for name in names if headers.get(name) and upstream_errors.is_clean(headers[name])}
    request_id = next((clean[name] for name in _REQUEST_ID_HEADERS if name in clean), None)
    return request_id, {name: clean[name] for name in _SHOWN_HEADERS if name in clean}
