"""What the dialects share: events of a stream, or whole answers, with the texts in them and what becomes of these."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.api.wire import dollars
from gateway.domain import Usage
from gateway.guard_ports import AnswerEvent, Slot

Json = dict[str, object]
#: Where a text stands: in what, and under which name or number there.
Place = tuple[dict[str, object] | list[object], str | int]
Path = tuple[str | int, ...]
#: A text in a value of JSON: where it stands, by which path, and what it says.
Leaf = tuple[Place, Path, str]

# Words of the APIs themselves, what answers are matched by, and what is sealed: nobody reads them as text.
_NOT_SAID = frozenset(
    {
        *("type", "role", "object", "status", "format", "detail", "name", "namespace", "phase", "finish_reason"),
        *(
            "id",
            "index",
            "call_id",
            "item_id",
            "tool_use_id",
            "tool_call_id",
            "container_id",
            "file_id",
            "server_label",
        ),
        *("approval_request_id", "created_by", "expires_at", "page_age", "mime_type", "media_type", "stop_reason"),
        *("signature", "thought_signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "data"),
        *("b64_json", "partial_image_b64", "obfuscation", "cache_control", "model"),
    }
)
_TOKENS = frozenset({"logprobs", "top_logprobs"})  # which a text is made of
_ADDRESSES = frozenset({"url", "image_url", "file_url"})  # which may be all of what they lead to
_FIRST_HALF, _HALVES = 0xD800, 0x800
_FIRST_MARK = 0x10F000  # the last private plane of Unicode, which nobody uses up there
_MARKS = {_FIRST_HALF + n: _FIRST_MARK + n for n in range(_HALVES)}
_HALVES_OF_MARKS = {mark: half for half, mark in _MARKS.items()}
_encode = msgspec.json.encode


class Event:
    """One event of a stream, or a whole answer. ``noted``: what its dialect keeps of it until it is shown."""

    __slots__ = ("_owner", "data", "ends", "head", "noted", "places", "raw", "slots")

    def __init__(self, owner: AnswerReading, raw: bytes, head: bytes | None, data: Json) -> None:
        """``head``: what stands before the data of an event; ``None``: it is a whole answer."""
        self._owner = owner
        self.raw = raw
        self.head = head
        self.data = data
        self.slots: list[Slot] = []
        self.places: list[tuple[Place, Json]] = []  # of each slot, and the object that its text is told in
        self.ends: list[str] = []
        self.noted: list[Any] = []

    def add(self, slot: Slot, place: Place, told_in: Json) -> None:
        self.slots.append(slot)
        self.places.append((place, told_in))

    def encoded(self, texts: Sequence[str] | None = None) -> bytes:
        return self._owner.written(self, texts)


class Untold:
    """What holds no text: comments, pings, the end mark."""

    __slots__ = ("_raw", "ends")
    slots: Sequence[Slot] = ()

    def __init__(self, raw: bytes, ends: Sequence[str] = ()) -> None:
        self._raw = raw
        self.ends = ends

    def encoded(self, texts: Sequence[str] | None = None) -> bytes:
        del texts
        return self._raw


class AnswerReading(ABC):
    """One answer. Events are written in the order in which they were read, each of them once or not at all."""

    def __init__(self, *, is_stream: bool) -> None:
        self._is_stream = is_stream
        self._has_halves = False  # of pairs of surrogates: it takes another coder to write them
        self._came: defaultdict[str, list[str]] = defaultdict(list)  # by channel
        self.told: defaultdict[str, list[str]] = defaultdict(list)  # the same as the client has it

    def read(self, shown: bytes) -> Sequence[AnswerEvent]:
        """The events of the client's bytes. Raises ValueError for what cannot be read."""
        if not self._is_stream:
            return [self._taken(shown, None, shown)]
        *events, rest = shown.split(b"\n\n")
        found = [self._event(event, event + b"\n\n") for event in events]
        if rest:
            found.append(self._event(rest, rest))
        return found

    def _event(self, event: bytes, raw: bytes) -> AnswerEvent:
        head, payload = _parts(event)
        if not payload:
            return Untold(raw)
        if payload == b"[DONE]":
            return Untold(raw, self.open_channels())
        return self._taken(raw, head, payload)

    def _taken(self, raw: bytes, head: bytes | None, payload: bytes) -> Event:
        try:
            data = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            data = self._with_halves(payload)
        except RecursionError:
            raise ValueError("An event of the answer is nested too deeply.") from None
        if type(data) is not dict:
            raise ValueError("An event of the answer is no JSON object.")
        event = Event(self, raw, head, data)
        try:
            self.look(event)
        except RecursionError:
            raise ValueError("An event of the answer is nested too deeply.") from None
        for slot in event.slots:
            if not slot.is_whole:
                self._came[slot.channel].append(slot.text)
        return event

    def _with_halves(self, payload: bytes) -> object:
        """What other decoders take: halves of emojis that a model split over two deltas, numbers that are none."""
        try:
            data = json.loads(payload.decode(errors="replace"))
        except RecursionError:
            raise ValueError("An event of the answer is nested too deeply.") from None
        self._has_halves = True
        return _translated(data, _MARKS)

    def written(self, event: Event, texts: Sequence[str] | None) -> bytes:
        """The event with these texts, or as it came."""
        changed: list[Json] = []
        if texts is None:
            for slot in event.slots:
                if not slot.is_whole:
                    self.told[slot.channel].append(slot.text)
        else:
            for slot, text, ((into, key), told_in) in zip(event.slots, texts, event.places, strict=True):
                if not slot.is_whole:
                    self.told[slot.channel].append(text)
                if text != slot.text:
                    into[key] = text  # type: ignore[index] # a name of an object, a number in a list
                    changed.append(told_in)
        is_rewritten = self.write(event, changed)
        if is_rewritten is None:
            return b""
        return self.coded(event) if is_rewritten or changed else event.raw

    def coded(self, event: Event) -> bytes:
        """The event of its data as it is now."""
        data = self.json(event.data)
        return data if event.head is None else event.head + b"data: " + data + b"\n\n"

    def json(self, data: object) -> bytes:
        if not self._has_halves:
            return _encode(data)
        whole = _translated(data, _HALVES_OF_MARKS)
        return json.dumps(whole, separators=(",", ":"), default=msgspec.json.decode).encode()

    def is_changed(self, channel: str) -> bool:
        """Whether the client has another text on that channel than came."""
        came, told = self._came.get(channel, ()), self.told.get(channel, ())
        return not "".join(came).startswith("".join(told))

    @abstractmethod
    def look(self, event: Event) -> None:
        """Find the texts in the event's data, and what ends with it."""

    @abstractmethod
    def write(self, event: Event, changed: Sequence[Json]) -> bool | None:
        """Note what the client is shown now, and take out what no longer fits: whether that changed the data.

        ``changed``: the objects whose texts are others. ``None``: there is nothing left to show.
        """

    @abstractmethod
    def open_channels(self) -> Sequence[str]:
        """Those on which more may come."""

    @abstractmethod
    def more(self, channel: str, text: str) -> bytes:
        """An event that adds the text to a channel that was read before."""

    @abstractmethod
    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        """What ends the answer for its client with the finish reason of filtered content, end mark included."""


def leaves(value: object, path: Path = ()) -> Iterator[Leaf]:
    """All texts in a value of JSON. A number in a path is an element's own ``index``, where it has one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                if inner and name not in _NOT_SAID and not (name in _ADDRESSES and inner.startswith("data:")):
                    yield (value, name), (*path, name), inner
            elif isinstance(inner, (dict, list)) and name not in _TOKENS:
                yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, str):
                if inner:
                    yield (value, number), (*path, number), inner
            elif isinstance(inner, (dict, list)):
                index = inner.get("index") if isinstance(inner, dict) else None
                yield from leaves(inner, (*path, index if isinstance(index, int) else number))


def priced(usage: Mapping[str, object], cost_nusd: int) -> Json:
    """The usage with its cost in US dollars."""
    return {**usage, "cost": msgspec.Raw(dollars(cost_nusd).encode())}


def is_said(name: str) -> bool:
    """Whether a text under that name is one that somebody reads."""
    return name not in _NOT_SAID


def _parts(event: bytes) -> tuple[bytes, bytes]:
    """What stands before the data of an event, and its data."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return b"", event[6:]
    start = event.find(b"\ndata: ") + 1
    if start and event.startswith(b"event: ") and event.count(b"\n") == 1:
        return event[:start], event[start + 6 :]
    lines = event.split(b"\n")
    head = b"".join(line + b"\n" for line in lines if line and not line.startswith(b"data:"))
    data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    return head, data.strip()


def _translated(value: object, table: dict[int, int]) -> object:
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, list):
        return [_translated(item, table) for item in value]
    if isinstance(value, dict):
        return {name.translate(table): _translated(item, table) for name, item in value.items()}
    return value
