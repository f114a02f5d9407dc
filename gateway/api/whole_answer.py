"""The common part of readers of answers that are not streamed: a stream of one block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import msgspec

from gateway.api.answers import TEXT_FIELD, UNREADABLE, decode_fields, decoded
from gateway.domain import Usage
from gateway.error_objects import error_event
from gateway.errors import GatewayError, UpstreamBroken, UpstreamError
from gateway.ports import Pending


class WholeAnswerReader(ABC):
    """Base of them. Subclasses take the object, setting ``error`` where it is no good answer, and find its text."""

    unreported_calls = Usage()

    def __init__(self) -> None:
        self._body = b""
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.model_answered: str | None = None
        self.service_tier: str | None = None
        self.error: UpstreamError | None = None
        self.stored_id: str | None = None
        self.pending: Pending | None = None
        self.is_complete = False

    @property
    def has_data(self) -> bool:
        return self.is_complete

    @property
    def is_ended(self) -> bool:
        return self.is_complete

    def feed(self, block: bytes) -> bytes:
        """Take the answer; return it if it is a good one. Sets ``error`` otherwise."""
        self._body = block
        try:
            self.take(block)
        except UNREADABLE:
            self.error = UpstreamBroken("The upstream's answer is not valid JSON of this API.")
        if self.error is not None:
            return b""
        self.is_complete = True
        return block

    @abstractmethod
    def take(self, answer: bytes) -> None:
        """Read what the path needs. May raise one of UNREADABLE."""

    @abstractmethod
    def texts_in(self, answer: bytes) -> Iterable[str]:
        """All generated text. May raise one of UNREADABLE."""

    def flush(self) -> bytes:
        return b""

    def closing(self, cost_nusd: int) -> bytes:  # noqa: ARG002 - a whole answer tells its cost in a header
        return b""

    def failing(self, error: GatewayError) -> bytes:
        return error_event(error)

    def unreported_text(self) -> str:
        return ""

    def output_text(self) -> str:
        try:
            return "".join(self.texts_in(self._body))
        except UNREADABLE:
            # A truncated answer was generated all the same; count what text is in it.
            return b"\n".join(TEXT_FIELD.findall(self._body)).decode(errors="replace")


class TokenCountReader(WholeAnswerReader):
    """Reads a count of tokens (``/v1/messages/count_tokens``, ``/v1/responses/input_tokens``), which costs nothing."""

    def take(self, answer: bytes) -> None:
        try:
            msgspec.json.decode(decoded(decode_fields, answer)["input_tokens"], type=int)
        except (*UNREADABLE, KeyError):
            self.error = UpstreamBroken("The upstream's answer has no 'input_tokens'.")
        else:
            self.usage = Usage()

    def texts_in(self, answer: bytes) -> Iterable[str]:
        del answer
        return ()
