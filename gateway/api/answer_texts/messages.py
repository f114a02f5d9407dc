"""Texts of Anthropic's messages, whole and in events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.api.answer_texts.events import AnswerReading, Event, Json, leaves, priced
from gateway.api.answers import items
from gateway.api.messages_reader import usage_fields
from gateway.domain import Request, Usage
from gateway.guard_ports import Slot

# What a delta adds to its block, by its kind: the field of the delta, and that of the block.
_GROWING: Mapping[str, tuple[str, str]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}
_OF_BLOCKS = {"text": "text_delta", "thinking": "thinking_delta", "compaction": "compaction_delta"}
_REFUSED: Json = {
    "stop_reason": "refusal",
    "stop_sequence": None,
    "stop_details": {"type": "refusal", "category": None, "explanation": None},
}
_COUNTS = {"input_tokens": 0, "output_tokens": 0}


class MessageTexts(AnswerReading):
    """Reads messages. What a tool is called with is one text, JSON in its source, in a whole message too."""

    def __init__(self, request: Request, *, is_json: bool = False) -> None:
        """``is_json``: the text was asked for as JSON."""
        super().__init__(is_stream=request.is_stream)
        self._request = request
        self._is_json = is_json
        self._message: Json = {}  # as it was announced, or all of it
        self._deltas: dict[str, tuple[int, str]] = {}  # of each channel that grows: the block, and the kind of delta
        self._open: dict[str, int] = {}  # channels on which more may come, and the block of each
        self._has_names = True  # events are named before their data
        # As the client has it:
        self._is_begun = self._is_ended = False
        self._blocks: set[int] = set()  # that are open

    # What comes.

    def look(self, event: Event) -> None:
        data = event.data
        if not self._is_stream:
            self._message = data
            self._look_at_message(event, data)
            return
        self._has_names = bool(event.head)
        index = data.get("index")
        number = index if isinstance(index, int) else 0
        event.noted.append((data.get("type"), number))
        match data:
            case {"type": "message_start", "message": dict(message)}:
                self._message = message
                self._look_at_message(event, message)
            case {"type": "content_block_start", "content_block": dict(block)}:
                self._look_at_block(event, number, block, opens=_OF_BLOCKS.get(str(block.get("type"))))
            case {"type": "content_block_delta", "delta": dict(delta)}:
                self._look_at_delta(event, number, delta)
            case {"type": "content_block_stop"}:
                event.ends += [channel for channel, its in self._open.items() if its == number]
                for channel in event.ends:
                    del self._open[channel]
            case {"type": "message_delta" | "message_stop"}:
                event.ends += self._open
                self._open.clear()

    def _look_at_message(self, event: Event, message: Json) -> None:
        for number, block in enumerate(items(message.get("content"))):
            if isinstance(block, dict):
                self._look_at_block(event, number, block)

    def _look_at_block(self, event: Event, number: int, block: Json, opens: str | None = None) -> None:
        """``opens``: by which deltas it goes on; its other texts are whole."""
        growing = None if opens is None else f"{number}.{_GROWING[opens][1]}"
        for (into, key), path, text in leaves(block):
            if path[0] == "input":
                continue
            channel = f"{number}.{'.'.join(map(str, path))}"
            event.add(Slot(channel, text, is_json=self._is_json and path == ("text",)), (into, key), block)
            if channel == growing and opens is not None:
                self._opened(channel, number, opens)
            else:
                event.ends.append(channel)
        given = block.get("input")
        if isinstance(given, (dict, list)) and given:
            source = msgspec.json.encode(given).decode()
            channel = f"{number}.input"
            event.add(Slot(channel, source, is_json=True), (block, "input"), block)
            event.ends.append(channel)

    def _look_at_delta(self, event: Event, number: int, delta: Json) -> None:
        kind = delta.get("type")
        if isinstance(kind, str) and kind in _GROWING:
            name, grown = _GROWING[kind]
            text = delta.get(name)
            if isinstance(text, str) and text:
                channel = f"{number}.{grown}"
                is_json = grown == "input" or (self._is_json and grown == "text")
                event.add(Slot(channel, text, is_json=is_json), (delta, name), delta)
                self._opened(channel, number, kind)
            return
        for place, path, text in leaves(delta):
            channel = f"{number}.{kind}.{'.'.join(map(str, path))}"
            event.add(Slot(channel, text), place, delta)
            event.ends.append(channel)

    def _opened(self, channel: str, number: int, kind: str) -> None:
        self._deltas[channel] = number, kind
        self._open[channel] = number

    def open_channels(self) -> Sequence[str]:
        return list(self._open)

    # What goes.

    def write(self, event: Event, changed: Sequence[Json]) -> bool | None:
        for block in changed:
            if isinstance(block.get("input"), str):
                block["input"] = _object_in(str(block["input"]))
        for kind, number in event.noted:
            match kind:
                case "message_start":
                    self._is_begun = True
                case "content_block_start":
                    self._blocks.add(number)
                case "content_block_stop":
                    self._blocks.discard(number)
                case "message_stop":
                    self._is_ended = True
        return False

    def more(self, channel: str, text: str) -> bytes:
        number, kind = self._deltas[channel]
        self.told[channel].append(text)
        delta = {"type": kind, _GROWING[kind][0]: text}
        return self._made("content_block_delta", index=number, delta=delta)

    def _made(self, kind: str, **fields: object) -> bytes:
        name = b"event: " + kind.encode() + b"\n" if self._has_names else b""
        return name + b"data: " + self.json({"type": kind, **fields}) + b"\n\n"

    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        begun: Json = {
            "id": f"msg_{self._request.id}",
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
        }
        begun |= {"usage": _COUNTS, **self._message, "content": []}
        if not self._is_stream:
            return self.json(begun | _REFUSED)
        if self._is_ended:
            return b""
        out = []
        if not self._is_begun:
            begun |= {"stop_reason": None, "stop_sequence": None}
            out.append(self._made("message_start", message=begun))
        out += [self._made("content_block_stop", index=number) for number in sorted(self._blocks)]
        told = {"output_tokens": 0} if usage is None else priced(usage_fields(usage), cost_nusd)
        out += [self._made("message_delta", delta=_REFUSED, usage=told), self._made("message_stop")]
        return b"".join(out)


def _object_in(source: str) -> object:
    """What a tool is called with; nothing where what was put into its source left no JSON of it."""
    try:
        found = msgspec.json.decode(source)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
