"""The free text of a custom tool, taken out of the JSON that stands for it in chat while that still arrives."""

from __future__ import annotations

import json
import re

import msgspec

_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_HEAD_CHARS_MAX = 64  # by then the head has been matched, or the model writes something of its own
# Characters and whole escapes; a high surrogate waits for its other half.
_BODY = re.compile(
    r'(?:[^"\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*'
)


class FreeText:
    """Takes ``arguments`` piece by piece and gives the text of ``input`` as it becomes known.

    Models that do not keep to the form are understood at the end: another single text in an object, or no JSON at all.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._is_inside = False  # of the string behind "input"
        self._is_over = False

    def feed(self, piece: str) -> str:
        """The text that this piece of JSON brings."""
        if self._is_over:
            return ""
        self._pending += piece
        if not self._is_inside:
            head = _HEAD.match(self._pending) if len(self._pending) < _HEAD_CHARS_MAX + len(piece) else None
            if head is None:
                return ""
            self._pending = self._pending[head.end() :]
            self._is_inside = True
        body = _BODY.match(self._pending)
        end = body.end() if body else 0
        if end and "\ud800" <= self._pending[end - 1] <= "\udbff":
            end -= 1
        found, self._pending = self._pending[:end], self._pending[end:]
        self._is_over = self._pending.startswith('"')
        return _unescaped(found)

    def rest(self) -> str:
        """What is left when no more comes."""
        if self._is_over or self._is_inside:
            return "" if self._is_over else _unescaped(self._pending.rstrip("\\"))
        try:
            said = json.loads(self._pending, strict=False)
        except ValueError:
            return self._pending
        match said:
            case {"input": str(text)} | str(text):
                return text
            case dict() if len(said) == 1 and isinstance(text := next(iter(said.values())), str):
                return text
        return self._pending


def _unescaped(inner: str) -> str:
    """The text behind the inside of a JSON string; models forget to escape line breaks, which is as good."""
    if "\\" not in inner:
        return inner
    try:
        text: str = json.loads(f'"{inner}"', strict=False)
    except ValueError:
        return inner
    return text


def encoded(text: str) -> bytes:
    """A text as JSON; half a character, which models can write as an escape, becomes the replacement character."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return msgspec.json.encode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
