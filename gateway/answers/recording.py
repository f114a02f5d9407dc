"""What a client reads of its answer, noted down so that it may be given again if it ends well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from gateway.answers.flights import Flights
from gateway.answers.telling import TELLINGS
from gateway.domain import AnswerKey, ExactCache, KeptAnswer, Miss, Request, Usage
from gateway.ports import Background, ReplyReader

OnKept = Callable[[bytes], Awaitable[None]]

_LONG = 65_536
_EVENTS_PER_TEXT = 32  # a stream is mostly frame: some 200 bytes around each token


class Recording:
    """Of one answer. It ends once: kept, failed or left; whatever comes later is nothing."""

    def __init__(
        self,
        flights: Flights,
        background: Background,
        key: AnswerKey,
        miss: Miss,
        rules: ExactCache,
        request: Request,
        on_kept: OnKept | None = None,
    ) -> None:
        """``on_kept``: is told of the answer once it is kept."""
        self._flights = flights
        self._background = background
        self._key = key
        self._miss = miss
        self._rules = rules
        self._request = request
        self._on_kept = on_kept
        self._shown: list[bytes] = []
        self._bytes = 0
        self._is_over = False

    def begin(self) -> None:
        """Another attempt begins: what was noted of one before is nothing."""
        self._shown.clear()
        self._bytes = 0

    def add(self, shown: bytes) -> None:
        """Note what the client gets. Far more than may be kept lets those go on at once who wait for it."""
        if self._is_over:
            return
        self._shown.append(shown)
        self._bytes += len(shown)
        if self._bytes > self._rules.bytes_max * (_EVENTS_PER_TEXT if self._request.is_stream else 1):
            self._release(is_lasting=True)

    def keep(self, reader: ReplyReader, *, is_estimated: bool) -> None:
        """The answer is complete, charged, and noted to its end."""
        if self._ended():
            return
        shown = b"".join(self._shown)
        self._shown.clear()
        usage = reader.usage
        if reader.error is not None or usage is None:
            self._go(is_lasting=True)
            return
        answer = KeptAnswer(b"", usage, is_estimated, reader.model_answered, reader.finish_reason, reader.service_tier)
        self._background.spawn(self._keep(answer, shown))

    async def _keep(self, answer: KeptAnswer, shown: bytes) -> None:
        """Put it together, off the loop where that takes milliseconds, and keep it if it is worth it."""
        key, miss, flights = self._key, self._miss, self._flights
        make, whole = self._worth_keeping, None
        try:
            is_long = len(shown) > _LONG
            whole = await asyncio.to_thread(make, shown, answer.usage) if is_long else make(shown, answer.usage)
        finally:  # whatever it trips over, nobody waits for it
            if whole is None and miss.is_leader:
                await flights.release(key, is_lasting=True)
        if whole is not None:
            kept = msgspec.structs.replace(answer, whole=whole)
            is_kept = await flights.keep(key, miss.epoch, kept, self._rules.ttl_s, is_leader=miss.is_leader)
            if is_kept and self._on_kept is not None:
                await self._on_kept(whole)

    def _worth_keeping(self, shown: bytes, usage: Usage) -> bytes | None:
        """The answer as one object, ``None`` where it may not be kept."""
        request, rules = self._request, self._rules
        telling = TELLINGS[request.endpoint]
        whole = telling.whole_of(shown, is_stream=request.is_stream, usage=usage)
        if whole is None or len(whole) > rules.bytes_max:
            return None
        is_worth = telling.is_worth_keeping(whole, request, keeps_tool_calls=rules.keeps_tool_calls)
        return whole if is_worth else None

    def fail(self) -> None:
        """There is no good answer: nobody waits for another one of us."""
        self._release(is_lasting=False)

    def leave(self) -> None:
        """Its client is gone: one of those who wait for it asks next."""
        if not self._ended() and self._miss.is_leader:
            self._background.spawn(self._flights.drop(self._key))

    def _release(self, *, is_lasting: bool) -> None:
        if not self._ended():
            self._shown.clear()
            self._go(is_lasting=is_lasting)

    def _go(self, *, is_lasting: bool) -> None:
        if self._miss.is_leader:
            self._background.spawn(self._flights.release(self._key, is_lasting=is_lasting))

    def _ended(self) -> bool:
        was_over, self._is_over = self._is_over, True
        return was_over
