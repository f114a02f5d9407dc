"""Texts of transcripts: plain, as one object, in events."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.api.answer_texts.events import AnswerReading, Event, Json
from gateway.api.answers import items
from gateway.domain import AnswerForm, Request, Usage
from gateway.guard_ports import AnswerEvent, Slot

_TEXT, _SEGMENT = "text", "segment"
_DETAILS = ("words", "segments", "logprobs")  # which tell the text again, bit by bit
_DELTA, _DONE = "transcript.text.delta", "transcript.text.done"


class TranscriptTexts(AnswerReading):
    """Reads transcripts. Segments of a text are texts of their own beside it."""

    def __init__(self, request: Request) -> None:
        super().__init__(is_stream=request.is_stream)
        self._is_plain = request.form is AnswerForm.TEXT
        self._is_open = self._is_told_whole = False
        self._answer: Json = {}

    def read(self, shown: bytes) -> Sequence[AnswerEvent]:
        if self._is_plain:
            return [_Plain(shown)]
        if shown.startswith(b"{"):  # also where a stream was asked for of a model that cannot
            self._is_stream = False
        return super().read(shown.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in shown else shown)

    def look(self, event: Event) -> None:
        data = event.data
        if not self._is_stream:
            self._answer = data
            self._add(event, _TEXT, data, _TEXT)
            for segment in items(data.get("segments")):
                if isinstance(segment, dict):
                    self._add(event, _SEGMENT, segment, _TEXT)
            event.ends = list(dict.fromkeys(slot.channel for slot in event.slots))
            return
        match data.get("type"):
            case "transcript.text.delta":
                self._is_open = True
                self._add(event, _TEXT, data, "delta")
            case "transcript.text.done":
                self._add(event, _TEXT, data, _TEXT, is_whole=_TEXT in self._came)
                event.ends.append(_TEXT)
                self._is_open = False
                event.noted.append(_DONE)
            case _:
                self._add(event, _SEGMENT, data, _TEXT)
                event.ends.append(_SEGMENT)

    def _add(self, event: Event, channel: str, into: Json, name: str, *, is_whole: bool = False) -> None:
        text = into.get(name)
        if isinstance(text, str) and text:
            event.add(Slot(channel, text, is_whole), (into, name), into)

    def write(self, event: Event, changed: Sequence[Json]) -> bool:
        for told_in in changed:
            for name in _DETAILS:
                told_in.pop(name, None)
        self._is_told_whole = self._is_told_whole or _DONE in event.noted
        return False

    def open_channels(self) -> Sequence[str]:
        return [_TEXT] if self._is_open else []

    def more(self, channel: str, text: str) -> bytes:
        if channel != _TEXT or not self._is_stream or self._is_plain:
            raise LookupError(channel)
        self.told[channel].append(text)
        return self._made({"type": _DELTA, "delta": text})

    def _made(self, fields: Json) -> bytes:
        return b"data: " + self.json(fields) + b"\n\n"

    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        """Of a transcript there is no word for it: it ends, and its usage is not told."""
        del usage, cost_nusd
        if self._is_plain:
            return b""
        if not self._is_stream:
            return self.json({**{name: self._answer[name] for name in ("usage",) if name in self._answer}, _TEXT: ""})
        return b"" if self._is_told_whole else self._made({"type": _DONE, _TEXT: "".join(self.told[_TEXT])})


class _Plain:
    """A transcript of plain text, or subtitles."""

    ends: Sequence[str] = (_TEXT,)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.slots = [Slot(_TEXT, raw.decode(errors="replace"))]

    def encoded(self, texts: Sequence[str] | None = None) -> bytes:
        if texts is None or texts[0] == self.slots[0].text:
            return self._raw
        return texts[0].encode()
