"""The common part of readers of streams whose events have types (Responses, Messages): framing, and what is kept.

Most events of a stream carry a piece of text and nothing else that matters here: they pass as the bytes they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import msgspec

from gateway.api.answers import UNREADABLE, decode_fields, decoded
from gateway.api.framing import EventFrames
from gateway.domain import Usage
from gateway.errors import UpstreamBroken, UpstreamError
from gateway.ports import Pending

_KEPT_BYTES_MAX = 262_144  # what a stream keeps for counting before it folds it to plain text


class TypedStreamReader(ABC):
    """Base of the two. Subclasses say which kinds pass unread, look at the others, and find the text in all of them."""

    passing: frozenset[bytes] = frozenset()
    unreported_calls = Usage()

    def __init__(self, *, keeps_text: bool = False) -> None:
        """``keeps_text``: the text is wanted even where the upstream counts its tokens, for content logging."""
        self._keeps_text = keeps_text
        self._frames = EventFrames()
        self._opening: list[bytes] = []  # events that only announce an answer, until something else comes
        self._kept: list[bytes] = []  # shown events whose text was not looked for yet
        self._kept_bytes = 0
        self._text: list[str] = []
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.model_answered: str | None = None
        self.service_tier: str | None = None
        self.error: UpstreamError | None = None
        self.stored_id: str | None = None
        self.has_data = False
        self.is_ended = False

    @property
    def pending(self) -> Pending | None:
        """A dialect whose upstreams work on without us says more."""
        return None

    @property
    def is_complete(self) -> bool:
        return self.is_ended

    def feed(self, block: bytes) -> bytes:
        """Take a block of the upstream's; return what the client gets now. Sets ``error`` when the stream is lost."""
        return self._opened(self._shown(block))

    def flush(self) -> bytes:
        """Take an event that the upstream ended without its blank line."""
        return self._opened(self._rest())

    def _opened(self, shown: bytes) -> bytes:
        """The events with those before them that were held back, once there is more than those."""
        if not self._opening or not self.has_data:
            return shown
        opening = b"".join(event + b"\n\n" for event in self._opening)
        self._opening.clear()
        return opening + shown

    def _shown(self, block: bytes) -> bytes:
        if self.is_ended or self.error is not None:
            return b""
        if not self._frames.held and self._is_passing(block):
            self.has_data = True
            self._keep(block)
            return block
        try:
            events = self._frames.split(block)
        except UpstreamBroken as exc:
            self.error = exc
            return b""
        shown = []
        for event in events:
            kind = event[7 : event.find(b"\n")] if event.startswith(b"event: ") else b""
            if kind in self.passing:
                self.has_data = True
                self._keep(event)
                shown.append(event)
            elif out := self._take(event):
                shown.append(out)
            if self.is_ended or self.error is not None:
                break
        shown.append(b"")
        return b"\n\n".join(shown)

    def _is_passing(self, block: bytes) -> bool:
        """The block is one whole event of a kind that passes."""
        return (
            block[7 : block.find(b"\n")] in self.passing
            and block.startswith(b"event: ")
            and block.find(b"\n\n") == len(block) - 2
            and b"\r" not in block
        )

    def _rest(self) -> bytes:
        held = self._frames.rest()
        if not held.endswith(b"}") or self.is_ended or self.error is not None:
            return b""  # nothing, or the beginning of an event
        out = self._take(held)
        return out + b"\n\n" if out else b""

    def _take(self, event: bytes) -> bytes:
        lines = event.split(b"\n")
        payload = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if not payload:
            return event.strip(b"\n")  # a comment or a bare field
        try:
            fields = decoded(decode_fields, payload)
            kind = msgspec.json.decode(fields["type"], type=str)
        except (*UNREADABLE, KeyError):
            return self.look_at_untyped(payload)
        return self.look(kind, event, fields)

    def look_at_untyped(self, payload: bytes) -> bytes:  # noqa: ARG002 - a dialect may know what it is
        """Take data without a type, or none that is JSON; return what the client gets of it."""
        self.error = UpstreamBroken("The upstream sent an event that is none of this API's.")
        return b""

    @abstractmethod
    def look(self, kind: str, event: bytes, fields: dict[str, msgspec.Raw]) -> bytes:
        """Read an event that may matter; return what the client gets of it now, without its blank line."""

    @abstractmethod
    def texts_of(self, payload: dict[str, object]) -> Iterable[str]:
        """The generated text in the data of one event."""

    def output_text(self) -> str:
        self._fold()
        return "".join(self._text)

    def unreported_text(self) -> str:
        """Subclasses whose upstream reports usage before the end say more."""
        return ""

    def _keep(self, event: bytes) -> None:
        """Remember the text of a shown event for the case that nobody reports its tokens."""
        self._kept.append(event)
        self._kept_bytes += len(event)
        if self._kept_bytes > _KEPT_BYTES_MAX:
            self._fold()

    def _fold(self) -> None:
        for event in self._kept:
            try:
                payload = decoded(msgspec.json.decode, event[event.find(b"data:") + 5 :])
            except UNREADABLE:
                continue
            if isinstance(payload, dict):
                self._text += self.texts_of(payload)
        self._kept.clear()
        self._kept_bytes = 0
