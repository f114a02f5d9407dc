"""Placeholders in place of what was found, and the originals put back into what a model made of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from policies.screening.spans import Span, without_overlaps

# What models do to [EMAIL_ADDRESS_1] is undone: other case, a space for an underscore or inside the brackets, the
# escapes of Markdown. A backslash before a bracket belongs to the placeholder only if the other has one too.
_NAME_LENGTH_MAX = 64
_BRACKETED = re.compile(r"\[[^\[\]]+\]")
_TO_NAME = str.maketrans({"\\": None, " ": "_"})


@lru_cache(maxsize=_NAME_LENGTH_MAX)
def _shape(longest: int) -> re.Pattern[str]:
    """What may be a placeholder whose name has at most so many characters."""
    name = rf"[A-Za-z](?:[A-Za-z0-9]|\\?_| ){{0,{max(0, longest - 2)}}}[A-Za-z0-9]"  # no space for its end
    return re.compile(rf"\[ ?({name}) ?\]|\\\[ ?({name}) ?\\\]")


@lru_cache(maxsize=_NAME_LENGTH_MAX)
def _beginning(longest: int) -> re.Pattern[str]:
    """The end of a text that may go on to be one."""
    return re.compile(rf"\\?\[[A-Za-z0-9_ \\]{{0,{_length_max(longest) - 2}}}\Z|\\\Z")


def _length_max(longest: int) -> int:
    """Of a placeholder with an escape before each mark and spaces inside its brackets."""
    return 2 * longest + 6


def _name(found: re.Match[str]) -> str:
    return (found[1] or found[2]).translate(_TO_NAME).upper()


class Redactor:
    """Gives each value its placeholder: the same throughout a conversation, whichever of its texts it stands in."""

    def __init__(self, named: Callable[[str], str] | None = None) -> None:
        """``named``: what tells values apart, in letters and digits; None: they are numbered as they come."""
        self._named = named
        self.originals: dict[str, str] = {}  # by placeholder
        self._placeholders: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._taken: set[str] = set()

    def avoid(self, text: str) -> None:
        """A text that the model sees too: what looks like a placeholder in it is nobody's and never given out."""
        self._taken.update(_name(found) for found in _shape(_NAME_LENGTH_MAX).finditer(text))

    def redact(self, text: str, spans: Iterable[Span]) -> str:
        """The text with placeholders where the spans are; those that overlap are replaced as one.

        A placeholder that an earlier guard left is never cut, and one stands for all that it and its surroundings were.
        """
        self.avoid(text)
        spans = without_overlaps(spans)
        if self.originals:
            spans = without_overlaps([*spans, *self._cut_by(spans, text)])
        pieces: list[str] = []
        position = 0
        for span in spans:
            original = _BRACKETED.sub(self._original, text[span.start : span.end])
            pieces += (text[position : span.start], self._placeholder(span.kind, original))
            position = span.end
        return "".join(pieces) + text[position:]

    def _original(self, found: re.Match[str]) -> str:
        return self.originals.get(found[0], found[0])

    def _cut_by(self, spans: Iterable[Span], text: str) -> Iterator[Span]:
        """The placeholders that the spans have a part of."""
        own = [found.span() for found in _BRACKETED.finditer(text) if found[0] in self.originals]
        ends = [end for _, end in own]
        for span in spans:
            at = bisect_right(ends, span.start)
            while at < len(own) and own[at][0] < span.end:
                yield Span(*own[at], span.kind)
                at += 1

    def hide(self, text: str) -> str:
        """The text without any value that has a placeholder by now."""
        for placeholder, original in self.originals.items():
            text = text.replace(original, placeholder)
        return text

    def _placeholder(self, kind: str, original: str) -> str:
        known = self._placeholders.get(original)
        if known:
            return known
        name = "" if self._named is None else f"{kind}_{self._named(original)}"
        while not name or name in self._taken:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{kind}_{self._counts[kind]}"
        if self._named is not None:
            self._taken.add(name)
        placeholder = self._placeholders[original] = f"[{name}]"
        self.originals[placeholder] = original
        return placeholder


def redact(text: str, spans: Iterable[Span]) -> tuple[str, Mapping[str, str]]:
    """One text redacted, and its originals by placeholder. Several texts need one Redactor that avoids all of them."""
    redactor = Redactor()
    redacted = redactor.redact(text, spans)
    return redacted, redactor.originals


def restore(text: str, originals: Mapping[str, str]) -> str:
    """The text with the originals where placeholders are, also where a model changed those a little."""
    return _restored(text, originals, _longest(originals)) if originals else text


def _restored(text: str, originals: Mapping[str, str], longest: int) -> str:
    def original(found: re.Match[str]) -> str:
        return originals.get(f"[{_name(found)}]", found[0])

    return _shape(longest).sub(original, text)


def _longest(originals: Mapping[str, str]) -> int:
    return max((len(placeholder) - 2 for placeholder in originals), default=1)


class Restorer:
    """Restores a stream to what the whole would be restored to, whatever its chunks.

    It holds back only an end that may go on to be a placeholder: at most twice the length of the longest one.
    """

    def __init__(self, originals: Mapping[str, str]) -> None:
        self._originals = originals
        self._longest = _longest(originals)
        self._held = ""

    def feed(self, chunk: str) -> str:
        """What may go out now."""
        if not self._originals:
            return chunk
        text = self._held + chunk
        begun = _beginning(self._longest).search(text, max(0, len(text) - _length_max(self._longest)))
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        return _restored(text[:cut], self._originals, self._longest)

    def finish(self) -> str:
        """What was held back when the stream ended."""
        held, self._held = self._held, ""
        return _restored(held, self._originals, self._longest) if held else ""
