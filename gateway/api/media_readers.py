"""Read answers of the media endpoints as they pass: bytes, plain text, one object, or events. All of it verbatim."""

from __future__ import annotations

import msgspec

from gateway.api.answers import ABSENT, UNREADABLE, decode_fields, decoded, parse_error, text_or_none
from gateway.api.framing import EVENT_BYTES_MAX, too_long
from gateway.api.gauges import Gauge, Said, TranscriptGauge
from gateway.domain import Usage
from gateway.error_objects import error_event
from gateway.errors import GatewayError, UpstreamBroken, UpstreamError
from gateway.ports import Pending

_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LAST_EVENTS = frozenset(
    {"speech.audio.done", "transcript.text.done", "image_generation.completed", "image_edit.completed"}
)
_NULL = b"null"
_decode_said = msgspec.json.Decoder(Said).decode


class MediaReader:
    """What the four have in common. A failed call of theirs costs nothing; one that has begun costs what is known."""

    finish_reason: str | None = None
    stored_id: str | None = None
    pending: Pending | None = None
    unreported_calls = Usage()

    def __init__(self, gauge: Gauge, *, keeps_text: bool = False) -> None:
        """``keeps_text``: transcripts are wanted as text, for content logging."""
        self._gauge = gauge
        self._keeps_text = keeps_text
        self._counted: Usage | None = None
        self._text: list[str] = []
        self.model_answered: str | None = None
        self.error: UpstreamError | None = None
        self.has_data = False
        self.is_ended = False

    @property
    def usage(self) -> Usage | None:
        return self._gauge.usage() if self.has_data else self._counted

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._counted = usage

    @property
    def service_tier(self) -> str | None:
        return self._gauge.tier if self.has_data else None

    @property
    def is_complete(self) -> bool:
        return self.is_ended

    def flush(self) -> bytes:
        return b""

    def closing(self, cost_nusd: int) -> bytes:  # noqa: ARG002 - what an upstream says here has no place for a cost
        return b""

    def failing(self, error: GatewayError) -> bytes:
        return error_event(error)

    def unreported_text(self) -> str:
        return ""

    def output_text(self) -> str:
        return "".join(self._text)

    def _take(self, payload: bytes) -> Said | None:
        """Look at an object that is the answer or a part of it. ``None`` and an ``error`` if it is neither."""
        try:
            said = decoded(_decode_said, payload)
        except UNREADABLE:
            self.error = UpstreamBroken("The upstream's answer is not valid JSON.")
            return None
        if bytes(said.error) != _NULL:
            self.error = parse_error(said.error, 200)
            return None
        self.model_answered = text_or_none(said.model) or self.model_answered
        return said

    def _accept(self, said: Said) -> None:
        self.has_data = True
        self._gauge.take(said)


class BytesReader(MediaReader):
    """Sound. It has no end mark and no place for an error: where it ends too early, the connection is cut."""

    @property
    def is_complete(self) -> bool:
        return self.has_data

    def feed(self, block: bytes) -> bytes:
        self.has_data = self.has_data or bool(block)
        return block

    def failing(self, error: GatewayError) -> bytes:  # noqa: ARG002 - nothing can be said in it
        return b""


class TextReader(MediaReader):
    """A transcript as plain text or subtitles, whole."""

    def __init__(self, gauge: TranscriptGauge, *, keeps_text: bool = False) -> None:
        super().__init__(gauge, keeps_text=keeps_text)
        self._transcript = gauge

    def feed(self, block: bytes) -> bytes:
        text = block.decode(errors="replace")
        self._transcript.take_text(text)
        if self._keeps_text:
            self._text.append(text)
        self.has_data = self.is_ended = True
        return block


class ObjectReader(MediaReader):
    """A whole answer of JSON."""

    def __init__(self, gauge: Gauge, required: tuple[str, ...], *, keeps_text: bool = False) -> None:
        """``required``: one of these must be in it, and have something in it if it is a list."""
        super().__init__(gauge, keeps_text=keeps_text)
        self._required = required

    def feed(self, block: bytes) -> bytes:
        said = self._take(block)
        if said is None:
            return b""
        fields = decoded(decode_fields, block)
        if all(bytes(fields.get(name, ABSENT)) in {_NULL, b"[]"} for name in self._required):
            self.error = UpstreamBroken(f"The upstream's answer has no '{self._required[0]}'.")
            return b""
        if self._keeps_text and isinstance(said.text, str):
            self._text.append(said.text)
        self._accept(said)
        self.is_ended = True
        return block


class EventReader(MediaReader):
    """Events, each as the bytes it came in. The last is held back until the charge is durable.

    An upstream whose model cannot stream answers with one object, which is waited for.
    An event may hold a picture of megabytes, so that what is not whole yet is searched only once.
    """

    def __init__(self, gauge: Gauge, *, keeps_text: bool = False) -> None:
        super().__init__(gauge, keeps_text=keeps_text)
        self._held = bytearray()  # an event that is not whole yet
        self._has_returns = False  # some line may end with a carriage return
        self._last = b""  # one that may be the last

    @property
    def is_complete(self) -> bool:
        return self.is_ended or bool(self._last)

    def feed(self, block: bytes) -> bytes:
        if self.is_ended or self.error is not None:
            return b""
        held = self._held
        searched = max(0, len(held) - 3)  # the line breaks of its end may be cut
        held += block
        if held.startswith(b"{"):
            return b""
        shown, at = [], 0
        self._has_returns = self._has_returns or b"\r" in block
        while self.error is None and not self.is_ended:
            end = _end_of_event(held, max(searched, at), _EVENT_ENDS if self._has_returns else _EVENT_ENDS[:1])
            if end < 0:
                break
            shown.append(self._pass(bytes(held[at:end])))
            at = end
        del held[:at]
        if len(held) > EVENT_BYTES_MAX:
            self.error = too_long()
        return b"".join(shown)

    def flush(self) -> bytes:
        """Take an event that the upstream ended without its blank line."""
        held, self._held = bytes(self._held), bytearray()
        if not held.strip() or self.is_ended or self.error is not None:
            return b""
        if held.startswith(b"{"):
            return self._whole(held)
        return self._pass(held.rstrip(b"\r\n") + b"\n\n")

    def _whole(self, answer: bytes) -> bytes:
        said = self._take(answer)
        if said is None:
            return b""
        self._accept(said)
        self.is_ended = True
        return answer

    def closing(self, cost_nusd: int) -> bytes:  # noqa: ARG002 - see above
        return self._last

    def _pass(self, event: bytes) -> bytes:
        """What the client gets now of an event and of those before it."""
        lines = event.splitlines()
        payload = b"\n".join(line[6 if line[5:6] == b" " else 5 :] for line in lines if line.startswith(b"data:"))
        if not payload:
            return event  # a comment or a bare field
        if payload[:6] == b"[DONE]":
            self.is_ended = True
            self._last += event
            return b""
        said = self._take(payload)
        if said is None:
            return b""
        self._accept(said)
        if self._keeps_text and isinstance(said.delta, str):
            self._text.append(said.delta)
        before = self._last
        self._last = event if isinstance(said.type, str) and said.type in _LAST_EVENTS else b""
        return before if self._last else before + event


def _end_of_event(held: bytearray, start: int, marks: tuple[bytes, ...]) -> int:
    """Where the first blank line from there on ends, -1 if there is none."""
    return min((at + len(mark) for mark in marks if (at := held.find(mark, start)) >= 0), default=-1)
