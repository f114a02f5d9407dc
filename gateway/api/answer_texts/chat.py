"""Texts of chat answers and of the older completions, whole and in chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from gateway.answers.telling_chat import usage_fields
from gateway.api.answer_texts.events import AnswerReading, Event, Json, Leaf, Path, is_said, leaves, priced
from gateway.api.answers import items
from gateway.api.wire import DONE_EVENT
from gateway.domain import Request, Usage
from gateway.guard_ports import Slot

# Beside plain texts: what goes on from chunk to chunk. All else is there at once.
_GROWING = frozenset({"content", "tool_calls", "function_call", "audio", "reasoning_details"})
_CALLED = frozenset({"tool_calls", "function_call"})
_OF_TOKENS = ("logprobs", "token_ids")  # of a choice: what its text is made of, and so tells it again
_OF_PIECES = ("index", "type", "format")
_OF_ANSWERS = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "usage")
_FILTERED = "content_filter"


class ChatTexts(AnswerReading):
    """Reads chat. Choices come beside each other; within one, a channel ends where another begins."""

    _chunk = "chat.completion.chunk"
    _whole = "chat.completion"
    _has_parts = True

    def __init__(self, request: Request, *, is_json: bool = False) -> None:
        """``is_json``: the content was asked for as JSON."""
        super().__init__(is_stream=request.is_stream)
        self._request = request
        self._is_json = is_json
        self._growing: dict[str, tuple[int, Json, Path]] = {}  # where each channel stood last
        self._open: dict[int, set[str]] = {}  # by choice: the channels on which more may come
        self._last: Json = {}  # the latest chunk, or all of the answer
        self._channels: dict[tuple[int, Path], str] = {}
        self._came_choices: set[int] = set()
        self._told_choices: set[int] = set()
        self._finished: set[int] = set()
        self._has_told_usage = False

    def look(self, event: Event) -> None:
        choices = event.data.get("choices")
        if type(choices) is not list:
            return
        self._last = event.data
        for position, choice in enumerate(choices):
            if type(choice) is dict:
                self._look_at(event, choice, position)

    def _look_at(self, event: Event, choice: Json, position: int) -> None:
        index = choice.get("index")
        if type(index) is not int:
            index = position
        said = self._said(choice)
        is_last = not self._is_stream or bool(choice.get("finish_reason"))
        event.noted.append((index, is_last, said))
        self._came_choices.add(index)
        found: set[str] = set()
        ended: list[str] = []
        for name, value in said.items():
            if type(value) is str:
                if value and self._is_said(name):
                    found.add(self._add(event, choice, index, said, ((said, name), (name,), value)))
            elif self._has_parts and (type(value) is list or type(value) is dict):
                for leaf in leaves(value, (name,)):
                    channel = self._add(event, choice, index, said, leaf)
                    found.add(channel) if name in _GROWING else ended.append(channel)
        before = self._open.get(index)
        if is_last:
            event.ends += chain(ended, found if before is None else before | found)
            self._open.pop(index, None)
        elif found != before and (found or ended):
            event.ends += chain(ended, before - found if before else ())
            self._open[index] = found

    def _add(self, event: Event, choice: Json, index: int, said: Json, leaf: Leaf) -> str:
        place, path, text = leaf
        channel = self._channels.get((index, path))
        if channel is None:
            channel = self._channels[index, path] = f"{index}.{'.'.join(map(str, path))}"
        event.add(Slot(channel, text, False, self._is_source(path)), place, choice)
        self._growing[channel] = index, said, path
        return channel

    def _said(self, choice: Json) -> Json:
        said = choice.get("delta" if self._is_stream else "message")
        return said if type(said) is dict else {}

    def _is_said(self, name: str) -> bool:
        return is_said(name)

    def _is_source(self, path: Path) -> bool:
        return (path[0] in _CALLED and path[-1] == "arguments") or (self._is_json and path[0] == "content")

    def write(self, event: Event, changed: Sequence[Json]) -> bool:
        for choice in changed:
            for name in _OF_TOKENS:
                if choice.get(name) is not None:
                    choice[name] = None
        is_changed = False
        for index, is_last, said in event.noted:
            self._told_choices.add(index)
            if is_last:
                self._finished.add(index)
            if said.get("annotations") and self.is_changed(f"{index}.content"):
                said["annotations"] = []  # they say where in the text they belong
                is_changed = True
        if not event.noted and event.data.get("usage") is not None:
            self._has_told_usage = True
        return is_changed

    def open_channels(self) -> Sequence[str]:
        return [channel for channels in self._open.values() for channel in channels]

    def more(self, channel: str, text: str) -> bytes:
        index, said, path = self._growing[channel]
        self.told[channel].append(text)
        self._told_choices.add(index)
        return self._event_of([self._piece(index, said, path, text)])

    def _piece(self, index: int, said: Json, path: Path, text: str) -> Json:
        return {"index": index, "delta": _alike(said, path, text), "logprobs": None, "finish_reason": None}

    def _event_of(self, choices: Sequence[Json], more: Mapping[str, object] | None = None) -> bytes:
        common = {name: value for name, value in self._last.items() if name in _OF_ANSWERS}
        if not common:  # nothing has come
            common = {"id": self._request.id, "object": self._chunk, "created": 0, "model": self._request.model}
        if "usage" in common or self._request.wants_usage:
            common["usage"] = None
        return b"data: " + self.json({**common, "choices": choices, **(more or {})}) + b"\n\n"

    def stopped(self, usage: Usage | None, cost_nusd: int) -> bytes:
        if not self._is_stream:
            return self._emptied()
        choices = self._came_choices or set(range(self._request.choices))
        parts = [self._event_of([self._last_piece(index)]) for index in sorted(choices - self._finished)]
        if self._request.wants_usage and usage is not None and not self._has_told_usage:
            parts.append(self._event_of([], {"usage": priced(usage_fields(usage), cost_nusd)}))
        return b"".join((*parts, DONE_EVENT))

    def _last_piece(self, index: int) -> Json:
        delta = {} if index in self._told_choices else {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": _FILTERED}

    def _emptied(self) -> bytes:
        common: Json = {name: self._last[name] for name in _OF_ANSWERS if name in self._last}
        if not common:
            common = {"id": self._request.id, "object": self._whole, "created": 0, "model": self._request.model}
        came = items(self._last.get("choices"))
        indices = [_index_of(choice, n) for n, choice in enumerate(came)] or list(range(self._request.choices))
        return self.json({**common, "choices": [self._empty_choice(index) for index in indices]})

    def _empty_choice(self, index: int) -> Json:
        message = {"role": "assistant", "content": "", "refusal": None}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": _FILTERED}


class CompletionTexts(ChatTexts):
    """Reads completions, whose choices are texts themselves."""

    _chunk = _whole = "text_completion"
    _has_parts = False

    def _said(self, choice: Json) -> Json:
        return choice

    def _is_said(self, name: str) -> bool:
        return name == "text"

    def _piece(self, index: int, said: Json, path: Path, text: str) -> Json:
        del said, path
        return {"index": index, "text": text, "logprobs": None, "finish_reason": None}

    def _last_piece(self, index: int) -> Json:
        return self._empty_choice(index)

    def _empty_choice(self, index: int) -> Json:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": _FILTERED}


def _index_of(choice: object, position: int) -> int:
    index = choice.get("index") if isinstance(choice, dict) else None
    return index if isinstance(index, int) else position


def _alike(value: object, path: Path, text: str) -> object:
    """As much of a delta as says where the text belongs, with that text."""
    if not path:
        return text
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {key: _alike(value.get(key), rest, text)}
    element = _element(value, key)
    if isinstance(element, dict):
        inner = _alike(element, rest, text)
        kept = {name: element[name] for name in _OF_PIECES if name in element}
        return [{**kept, **inner}] if isinstance(inner, dict) else [inner]
    return [_alike(element, rest, text)]


def _element(value: object, number: str | int) -> object:
    """That of a list which calls itself so, else that which stands there."""
    found = items(value)
    for one in found:
        if isinstance(one, dict) and one.get("index") == number:
            return one
    return found[number] if isinstance(number, int) and number < len(found) else None
