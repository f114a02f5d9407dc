"""Texts of the Responses API's answers, whole and in events.

A stream tells each text three times over: piece by piece, when it is done, and in the item and the response that it is
a part of. All of these are one channel, which is named by where the text stands in the response's output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.api.answer_texts.events import AnswerReading, Event, Json, Leaf, Path, leaves, priced
from gateway.api.answers import items
from gateway.api.prompt_text import decoded_or_text
from gateway.api.responses_reader import usage_fields
from gateway.domain import Request, Usage
from gateway.guard_ports import Slot

# Of each kind of piece: where its text stands in its item. The number stands for the event's own.
_CONTENT, _SUMMARY = "content_index", "summary_index"
_PLACES: Mapping[str, Path] = {
    "output_text": ("content", _CONTENT, "text"),
    "refusal": ("content", _CONTENT, "refusal"),
    "reasoning_text": ("content", _CONTENT, "text"),
    "reasoning_summary_text": ("summary", _SUMMARY, "text"),
    "function_call_arguments": ("arguments",),
    "mcp_call_arguments": ("arguments",),
    "custom_tool_call_input": ("input",),
    "code_interpreter_call_code": ("code",),
}
_LISTS = {_CONTENT: "content", _SUMMARY: "summary"}
# The kind of the pieces that a part, or an item, grows by.
_OF_PARTS = {
    **{kind: kind for kind in ("output_text", "refusal", "reasoning_text")},
    "summary_text": "reasoning_summary_text",
}
_OF_ITEMS = {
    "function_call": "function_call_arguments",
    "mcp_call": "mcp_call_arguments",
    "custom_tool_call": "custom_tool_call_input",
    "code_interpreter_call": "code_interpreter_call_code",
}
_OPENING = frozenset({"created", "queued", "in_progress"})
_SOUND = "response.audio.delta"
_INDICES = ("item_id", "output_index", _CONTENT, _SUMMARY)
_OF_TEXTS = ("logprobs", "annotations")  # of a part: what tells its text again, or where in it something is
# What a response repeats of its request: that was redacted, and the client is told its own.
_ECHOED = ("instructions", "metadata", "user", "safety_identifier", "prompt_cache_key")
_FILTERED = {"reason": "content_filter"}


#: What a piece says of itself: its kind, and the numbers of its item and within that.
_PieceOf = tuple[str, int, int, int]
#: Of which item, in which of its lists, where in that.
_Part = tuple[int, str, int]


class ResponseTexts(AnswerReading):
    """Reads responses, and numbers the events of a stream without gaps whatever comes between them."""

    def __init__(self, request: Request, *, is_json: bool = False) -> None:
        """``is_json``: the text was asked for as JSON."""
        super().__init__(is_stream=request.is_stream)
        self._request = request
        self._is_json = is_json
        self._pieces: dict[str, Json] = {}  # of each channel that grows: an event that it grew by, or could
        self._places: dict[_PieceOf, tuple[int, str, bool]] = {}
        self._open: dict[str, int] = {}  # channels on which more may come, and the item of each
        self._response: Json = {}  # as it was announced, or all of it
        self._has_names = True  # events are named before their data
        # As the client has it:
        self._is_begun = self._is_over = False
        self._number: int | None = None  # of the latest event
        self._shift = 0  # how many events more than came
        self._items: dict[int, Json] = {}
        self._done: set[int] = set()
        self._parts: dict[_Part, Json] = {}
        self._growing: dict[str, int] = {}  # channels whose end was not told, and the item of each

    # What comes.

    def look(self, event: Event) -> None:
        data = event.data
        if not self._is_stream:
            self._response = data
            self._look_at_response(event, data)
            event.ends = list(dict.fromkeys(slot.channel for slot in event.slots))
            return
        self._has_names = bool(event.head)
        kind = data.get("type")
        kind = kind.removeprefix("response.") if isinstance(kind, str) else ""
        delta = data.get("delta")
        if isinstance(delta, str) and kind.endswith(".delta"):
            self._look_at_piece(event, kind[:-6], delta)
            return
        item, part, response = data.get("item"), data.get("part"), data.get("response")
        if isinstance(item, dict):
            self._look_at_item(event, item, is_done=kind.endswith(".done"))
        elif isinstance(part, dict):
            self._look_at_part(event, part, is_done=kind.endswith(".done"))
        elif isinstance(response, dict):
            self._response = response
            self._look_at_response(event, response)
            if kind not in _OPENING:
                event.ends += self._open
                self._open.clear()
            event.noted.append(("response", kind))
        elif kind and kind != "error":
            self._look_at_rest(event, kind)

    def _look_at_piece(self, event: Event, kind: str, delta: str) -> None:
        data = event.data
        if data["type"] == _SOUND or not delta:
            return
        place = (kind, _number(data, "output_index"), _number(data, _CONTENT), _number(data, _SUMMARY))
        index, channel, is_source = self._places.get(place) or self._placed(place, data)
        self._pieces[channel] = data
        self._open[channel] = index
        event.add(Slot(channel, delta, False, is_source), (data, "delta"), data)
        event.noted.append(("grows", channel, index))

    def _placed(self, place: _PieceOf, data: Json) -> tuple[int, str, bool]:
        """The item of a piece, its channel, and whether that is JSON in its source."""
        kind = place[0]
        index, path = _index(data), _path(kind, data)
        is_source = path[-1] == "arguments" or (self._is_json and kind == "output_text")
        found = self._places[place] = index, _channel(index, path), is_source
        return found

    def _look_at_item(self, event: Event, item: Json, *, is_done: bool) -> None:
        index = _index(event.data)
        kind = _OF_ITEMS.get(str(item.get("type")))
        grows = _channel(index, _PLACES[kind]) if kind is not None else None
        if kind is not None and grows is not None and not is_done:
            piece: Json = {"type": f"response.{kind}.delta", "item_id": item.get("id"), **_where(event.data)}
            self._pieces.setdefault(grows, piece)
        self._add(event, _said_in(item), index, opens=None if is_done else grows, is_json=item.get("type") == "message")
        if is_done:
            event.ends += [channel for channel, its in self._open.items() if its == index]
            for channel in event.ends:
                self._open.pop(channel, None)
        event.noted.append(("item", index, item, is_done))

    def _look_at_part(self, event: Event, part: Json, *, is_done: bool) -> None:
        data = event.data
        kind = _OF_PARTS.get(str(part.get("type")))
        place = _CONTENT if _CONTENT in data else _SUMMARY
        index, within = _index(data), (_LISTS[place], _number(data, place))
        grows = _channel(index, _path(kind, data)) if kind is not None else None
        if kind is not None and grows is not None and not is_done:
            self._pieces.setdefault(grows, {"type": f"response.{kind}.delta", **_where(data)})
        found = leaves(part, within)
        self._add(event, found, index, opens=None if is_done else grows, is_json=kind == "output_text")
        event.noted.append(("part", (index, *within), part))
        if grows is not None and not is_done:
            event.noted.append(("grows", grows, index))
        elif grows is not None:
            event.noted.append(("ends", grows))
            if self._open.pop(grows, None) is not None:
                event.ends.append(grows)

    def _look_at_rest(self, event: Event, kind: str) -> None:
        """That a text is done, an annotation of one, or whatever this API may have in store."""
        data = event.data
        index = _index(data)
        of = kind.removesuffix(".done")
        if kind.endswith(".done") and of in _PLACES:
            path = _path(of, data)
            name = str(path[-1])
            channel = _channel(index, path)
            if isinstance(text := data.get(name), str) and text:
                self._add(event, [((data, name), path, text)], index, is_json=of == "output_text")
            if len(path) == 1:
                event.noted.append(("ends", channel))  # of a part the part's own end follows
            if self._open.pop(channel, None) is not None and channel not in event.ends:
                event.ends.append(channel)
        elif kind == "output_text.annotation.added":
            path = ("content", _number(data, _CONTENT))
            number = _number(data, "annotation_index")
            self._add(event, leaves(data.get("annotation"), (*path, "annotations", number)), index)
            event.noted.append(("annotation", _channel(index, (*path, "text"))))
        else:
            self._add(event, leaves(data, (kind,)), index)

    def _look_at_response(self, event: Event, response: Json) -> None:
        for index, item in enumerate(items(response.get("output"))):
            if isinstance(item, dict):
                self._add(event, _said_in(item), index, is_json=item.get("type") == "message")
        if isinstance(text := response.get("output_text"), str) and text:
            self._add(event, [((response, "output_text"), ("output_text",), text)], 0, is_json=True)

    def _add(
        self, event: Event, found: Iterable[Leaf], index: int, *, opens: str | None = None, is_json: bool = False
    ) -> None:
        """``opens``: the channel on which more may come; all others that are new are whole with this event."""
        for (into, key), path, text in found:
            channel = _channel(index, path)
            is_whole = channel in self._came or any(slot.channel == channel for slot in event.slots)
            if not is_whole and channel != opens and (same := self._channel_of(text)) is not None:
                channel, is_whole = same, True
            is_source = path[-1] == "arguments" or (self._is_json and is_json and path[0] != "summary")
            told_in = into if isinstance(into, dict) else {}
            event.add(Slot(channel, text, is_whole, is_source), (into, key), told_in)
            if is_whole:
                continue
            if channel == opens:
                self._open[channel] = index
                event.noted.append(("grows", channel, index))
            else:
                event.ends.append(channel)

    def _channel_of(self, text: str) -> str | None:
        """The channel that said the same: servers do not agree with themselves on where texts stand."""
        for channel, pieces in self._came.items():
            if sum(map(len, pieces)) == len(text) and "".join(pieces) == text:
                return channel
        return None

    def open_channels(self) -> Sequence[str]:
        return list(self._open)

    # What goes.

    def write(self, event: Event, changed: Sequence[Json]) -> bool | None:
        for told_in in changed:
            for name in _OF_TEXTS:
                if told_in.get(name):
                    told_in[name] = []
        for what, *noted in event.noted:
            if what == "annotation" and self.is_changed(noted[0]):
                self._shift -= 1
                return None
            self._note(what, noted)
        response = event.data.get("response") if self._is_stream else event.data
        is_rewritten = isinstance(response, dict) and self._echo(response)
        number = event.data.get("sequence_number")
        if not isinstance(number, int):
            return is_rewritten
        self._number = number + self._shift
        if self._shift == 0:
            return is_rewritten
        event.data["sequence_number"] = self._number
        return True

    def _echo(self, response: Json) -> bool:
        """Tell the client its own words where the response repeats them; whether they were others."""
        fields = self._request.body.fields
        own = {name: decoded_or_text(fields[name]) for name in _ECHOED if name in fields and response.get(name)}
        others = {name: value for name, value in own.items() if value != response[name]}
        response |= others
        return bool(others)

    def _note(self, what: str, noted: list[Any]) -> None:
        match what, noted:
            case "grows", [channel, index]:
                self._growing[channel] = index
            case "ends", [channel]:
                self._growing.pop(channel, None)
            case "part", [place, part]:
                self._parts[place] = part
            case "item", [index, item, is_done]:
                self._items[index] = item
                if is_done:
                    self._done.add(index)
            case "response", [kind]:
                self._is_begun = True
                self._is_over = kind not in _OPENING

    def more(self, channel: str, text: str) -> bytes:
        piece = self._pieces[channel]
        self.told[channel].append(text)
        self._growing.setdefault(channel, _index(piece))
        self._shift += 1
        logprobs: Json = {"logprobs": []} if "logprobs" in piece else {}
        return self._made({"type": piece["type"], **_where(piece), "delta": text, **logprobs})

    def _made(self, fields: Json) -> bytes:
        """An event of our own, as the next one."""
        if self._number is not None:
            self._number += 1
            fields["sequence_number"] = self._number
        name = b"event: " + str(fields["type"]).encode() + b"\n" if self._has_names else b""
        return name + b"data: " + self.json(fields) + b"\n\n"

    # How it ends.

    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        if not self._is_stream:
            return self.json(self._ended({}, self._response.get("usage")))
        if self._is_over:
            return b""
        out = []
        if not self._is_begun:
            self._number = -1
            out.append(self._made({"type": "response.created", "response": self._begun()}))
        for index in sorted(self._items.keys() - self._done):
            out += self._closed(index)
        told = None if usage is None else priced(dict(usage_fields(usage)), cost_nusd)
        response = self._ended(self._items, told)
        out.append(self._made({"type": "response.incomplete", "response": response}))
        return b"".join(out)

    def _begun(self) -> Json:
        announced = {"object": "response", "created_at": 0, "model": self._request.model, "status": "in_progress"}
        begun: Json = {"id": f"resp_{self._request.id}", **announced, **self._response}
        self._echo(begun)
        return begun | {"output": [], "status": "in_progress", "usage": None}

    def _ended(self, output: Mapping[int, Json], usage: object) -> Json:
        response = self._begun()
        response.pop("output_text", None)
        ended = {"status": "incomplete", "incomplete_details": _FILTERED, "usage": usage}
        return response | {**ended, "output": [output[index] for index in sorted(output)]}

    def _closed(self, index: int) -> list[bytes]:
        """The events that end an item as far as it was told, and the item as it is then."""
        item = self._items[index] = dict(self._items[index])
        if item.get("type") != "reasoning" or "status" in item:
            item["status"] = "incomplete"
        out = []
        for channel in [channel for channel, its in self._growing.items() if its == index]:
            out += self._closed_text(item, index, channel)
        for name in ("content", "summary"):
            parts = dict(enumerate(items(item.get(name))))
            parts |= {place[2]: part for place, part in self._parts.items() if place[:2] == (index, name)}
            if parts:
                item[name] = [parts[number] for number in sorted(parts)]
        out.append(self._made({"type": "response.output_item.done", "output_index": index, "item": item}))
        return out

    def _closed_text(self, item: Json, index: int, channel: str) -> list[bytes]:
        piece = self._pieces[channel]
        kind = str(piece["type"]).removeprefix("response.").removesuffix(".delta")
        if kind not in _PLACES:
            return []
        where, text = _where(piece), "".join(self.told[channel])
        *within, name = _path(kind, piece)
        more: Json = {"logprobs": []} if kind == "output_text" else {}
        if kind == "function_call_arguments":
            more["name"] = item.get("name")
        out = [self._made({"type": f"response.{kind}.done", **where, str(name): text, **more})]
        if not within:
            item[str(name)] = text
            return out
        place = (index, str(within[0]), int(within[1]))
        is_summary = kind == "reasoning_summary_text"
        empty: Json = {"type": "summary_text" if is_summary else kind}
        if kind == "output_text":
            empty |= {"annotations": [], "logprobs": []}
        part = self._parts[place] = {**empty, **self._parts.get(place, {}), str(name): text}
        part_kind = "reasoning_summary_part" if is_summary else "content_part"
        return [*out, self._made({"type": f"response.{part_kind}.done", **where, "part": part})]


def _said_in(item: Json) -> Iterable[Leaf]:
    if item.get("type") == "image_generation_call":
        return (leaf for leaf in leaves(item) if leaf[1] != ("result",))  # the picture
    return leaves(item)


def _channel(index: int, path: Path) -> str:
    return f"{index}.{'.'.join(map(str, path))}"


def _path(kind: str, data: Json) -> Path:
    return tuple(_number(data, step) if step in _LISTS else step for step in _PLACES.get(kind, (kind,)))


def _index(data: Json) -> int:
    return _number(data, "output_index")


def _number(data: Json, name: str | int) -> int:
    number = data.get(str(name))
    return number if isinstance(number, int) else 0


def _where(data: Json) -> Json:
    return {name: data[name] for name in _INDICES if name in data}
