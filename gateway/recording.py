"""What a client reads of its answer, noted down so that it may be given again if it ends well."""

from __future__ import annotations

from gateway.domain import AnswerKey, ExactCache, KeptAnswer, Miss, Request
from gateway.flights import Flights
from gateway.ports import Background, ReplyReader
from gateway.recorded import is_worth_keeping, whole_of

_EVENTS_PER_TEXT = 32  # a stream is mostly frame: some 200 bytes around each token


class Recording:
    """Of one answer. It ends once: kept, failed or left; whatever comes later is nothing."""

    def __init__(
        self, flights: Flights, background: Background, key: AnswerKey, miss: Miss, rules: ExactCache, request: Request
    ) -> None:
        self._flights = flights
        self._background = background
        self._key = key
        self._miss = miss
        self._rules = rules
        self._request = request
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
        whole = whole_of(b"".join(self._shown), is_stream=self._request.is_stream, usage=reader.usage)
        self._shown.clear()
        rules = self._rules
        if (
            reader.error is not None
            or reader.usage is None
            or whole is None
            or len(whole) > rules.bytes_max
            or not is_worth_keeping(whole, self._request.choices, keeps_tool_calls=rules.keeps_tool_calls)
        ):
            self._go(is_lasting=True)
            return
        answer = KeptAnswer(
            whole,
            reader.usage,
            is_estimated,
            reader.model_answered,
            reader.finish_reason,
            reader.service_tier,
        )
        keeping = self._flights.keep(self._key, self._miss.epoch, answer, rules.ttl_s, is_leader=self._miss.is_leader)
        self._background.spawn(keeping)

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
