"""The free text of a custom tool, taken out of the JSON that stands for it in chat while that still arrives."""

from __future__ import annotations

import json
import re

import msgspec

_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_HEAD_CHARS_MAX = 64  # by then the head has been matched, or the model writes something of its own
# Characters and whole escapes: a high surrogate waits for its other half, what can become no escape waits for nothing.
_BODY = re.compile(
    r"""(?:[^"\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F])
    |\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?!(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z))
    )*""",
    re.VERBOSE,
)
_BACKSLASH = re.compile(r"""\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?""")


class FreeText:
    """Takes ``arguments`` piece by piece and gives the text of ``input`` as it becomes known.

    Models that do not keep to the form are understood at the end: another single text in an object, or no JSON at all.
    """

    def __init__(self) -> None:
        self._unread: list[str] = []  # what came before the head
        self._is_foreign = False  # it has no head
        self._pending = ""  # an escape that is not whole, once inside
        self._is_inside = False  # of the string behind "input"
        self._is_over = False

    def feed(self, piece: str) -> str:
        """The text that this piece of JSON brings."""
        if self._is_over:
            return ""
        if self._is_inside:
            return self._go_on(self._pending + piece)
        self._unread.append(piece)
        if self._is_foreign:
            return ""
        begun = "".join(self._unread)
        head = _HEAD.match(begun)
        if head is None:
            self._is_foreign = len(begun) >= _HEAD_CHARS_MAX
            return ""
        self._is_inside = True
        return self._go_on(begun[head.end() :])

    def _go_on(self, inside: str) -> str:
        body = _BODY.match(inside)
        end = body.end() if body else 0
        if end and end == len(inside) and "\ud800" <= inside[-1] <= "\udbff":
            end -= 1
        self._pending = inside[end:]
        self._is_over = self._pending.startswith('"')
        return _unescaped(inside[:end])

    def is_whole(self) -> bool:
        """Whether nothing can follow any more: what is no JSON has no end."""
        if self._is_inside:
            return self._is_over
        try:
            json.loads("".join(self._unread), strict=False)
        except (ValueError, RecursionError):
            return False
        return True

    def rest(self) -> str:
        """What is left when no more comes."""
        if self._is_over or self._is_inside:
            return "" if self._is_over else _unescaped(self._pending.rstrip("\\"))
        whole = "".join(self._unread)
        try:
            said = json.loads(whole, strict=False)
        except (ValueError, RecursionError):
            return whole
        match said:
            case {"input": str(text)} | str(text):
                return text
            case dict() if len(said) == 1 and isinstance(text := next(iter(said.values())), str):
                return text
        return whole


def _unescaped(inner: str) -> str:
    """The text behind the inside of a JSON string.

    Models forget to escape line breaks, which is as good; a backslash that begins no escape is one.
    """
    if "\\" not in inner:
        return inner
    repaired = _BACKSLASH.sub(lambda found: found[0] if found[1] else "\\\\", inner)
    text: str = json.loads(f'"{repaired}"', strict=False)
    return text


def encoded(text: str) -> bytes:
    """A text as JSON; half a character, which models can write as an escape, becomes the replacement character."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return msgspec.json.encode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
