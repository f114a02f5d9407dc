"""Texts as detectors read them: other scripts' digits, wide forms and invisible characters made plain ASCII."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from itertools import accumulate, islice

from policies.screening.spans import Span

_INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\u30fc"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_OTHERS = {"\u3002": ".", "\uff61": ".", "\u2024": ".", "\ufe52": ".", "\ufe6b": "@", "\ufe55": ":", "\u2044": "/"}

# The digit 0 of every script that writes decimal numbers (Unicode 14, category Nd), in hexadecimal.
_ZEROS = """
660 6F0 7C0 966 9E6 A66 AE6 B66 BE6 C66 CE6 D66 DE6 E50 ED0 F20 1040 1090 17E0 1810 1946 19D0 1A80
1A90 1B50 1BB0 1C40 1C50 A620 A8D0 A900 A9D0 A9F0 AA50 ABF0 FF10 104A0 10D30 11066 110F0 11136 111D0
112F0 11450 114D0 11650 116C0 11730 118E0 11950 11C50 11D50 11DA0 16A60 16AC0 16B50 1D7CE 1D7D8
1D7E2 1D7EC 1D7F6 1E140 1E2F0 1E950 1FBF0
"""

# Letters of other alphabets that look Latin, in this order.
_LOOK_ALIKES = str.maketrans(
    "АВЕКМНОРСТУХІЈЅаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
    "ABEKMHOPCTYXIJSaeopcyxijsABEZHIKMNOPTYXo",
)
_GREEK_OR_CYRILLIC = re.compile("[\u0370-\u052f]+")
_MIXED = re.compile("[0-9A-Za-z](?=[\u0370-\u052f])|[\u0370-\u052f](?=[0-9A-Za-z])")
_MIXED_MAX = 2_000
_PAIR = r"u([dD][89abAB][0-9A-Fa-f]{2})\\++u([dD][c-fC-F][0-9A-Fa-f]{2})"  # of one character beyond 16 bits
_ESCAPE = re.compile(rf"(?<!\\)\\++(?:{_PAIR}|u([0-9A-Fa-f]{{4}})|/)")
# Classes with characters beyond 16 bits are slow: what has none of those is read by others.
_BEYOND = re.compile("[\U00010000-\U0001ffff]+")
_HIDDEN_WITHIN = re.compile(f"[{_INVISIBLE}]+")
_HIDDEN = re.compile(f"[{_INVISIBLE}\U000e0000-\U000e007f]+")


def fold(text: str) -> tuple[str, Callable[[int], int] | None]:
    """The text in plain characters, and what tells where each of them stood; None where all stand where they stood."""
    if text.isascii():
        return text, None
    is_beyond = len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)
    folded, offsets = text, None
    hidden = _HIDDEN if is_beyond else _HIDDEN_WITHIN
    if hidden.search(text):
        folded, offsets = hidden.sub("", text), _Offsets(text)
    for special in (_special(), _BEYOND) if is_beyond else (_special(),):
        folded = special.sub(lambda found: found[0].translate(_plain()), folded)
    if _GREEK_OR_CYRILLIC.search(folded) and _MIXED.search(folded):
        # Where so many words are mixed, telling words apart is no use.
        is_all_mixed = next(islice(_MIXED.finditer(folded), _MIXED_MAX, None), None) is not None
        folded = folded.translate(_LOOK_ALIKES) if is_all_mixed else _GREEK_OR_CYRILLIC.sub(_as_latin, folded)
    return folded, offsets


class Folded:
    """A text and what detectors read of it, made when first asked for and then once for all that look at it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def plain(self) -> str:
        return self._folding[0]

    @cached_property
    def characters(self) -> bytes:
        """One byte for each character of the plain text, whatever its alphabet, so that offsets hold."""
        return self.plain.encode("ascii", "replace")

    def as_given(self, found: Sequence[Span]) -> Sequence[Span]:
        """Spans of the plain text, as spans of the text as it was given: with all of an escape, not part of it."""
        _, offsets, escapes = self._folding
        if offsets:
            found = [Span(offsets(span.start), offsets(span.end - 1) + 1, span.kind) for span in found]
        if escapes:
            found = [Span(escapes(span.start), escapes(span.end), span.kind) for span in found]
        return found

    @cached_property
    def _folding(self) -> tuple[str, Callable[[int], int] | None, Callable[[int], int] | None]:
        if "\\u" not in self.text and "\\/" not in self.text:
            return *fold(self.text), None
        plain, offsets = fold(unescaped(self.text))
        return plain, offsets, _Escapes(self.text)


class AsGiven(Folded):
    """A text that is read as it stands."""

    @cached_property
    def _folding(self) -> tuple[str, None, None]:
        return self.text, None, None


def unescaped(text: str) -> str:
    """The text with the characters that JSON in it writes as escapes, also in JSON within JSON.

    Line ends and quotes are left to detectors, for they are written so in code, too.
    """
    return _ESCAPE.sub(_unescape, text)


def _unescape(escape: re.Match[str]) -> str:
    high, low, code = escape.groups()
    if low:
        return chr(0x10000 + (int(high, 16) - 0xD800 << 10) + int(low, 16) - 0xDC00)
    return chr(int(code, 16)) if code else "/"


class _Escapes:
    """Where characters stood before escapes were read. Looked up only where something was found."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, position: int) -> int:
        positions, added = self._read
        return position + added[bisect_left(positions, position)]

    @cached_property
    def _read(self) -> tuple[Sequence[int], Sequence[int]]:
        """Where the escapes' characters stand, and how many characters the first so many of them took more."""
        escapes = [escape.span() for escape in _ESCAPE.finditer(self._text)]
        added = list(accumulate((end - start - 1 for start, end in escapes), initial=0))
        return [start - before for (start, _), before in zip(escapes, added, strict=False)], added


class _Offsets:
    """Where characters stood before hidden ones were taken out. Looked up only where something was found."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._removed: list[tuple[int, int]] | None = None  # position in the folded text, hidden before it

    def __call__(self, position: int) -> int:
        if self._removed is None:
            self._removed = [(-1, 0)]
            hidden = 0
            for run in _HIDDEN.finditer(self._text):
                start = run.start() - hidden
                hidden += run.end() - run.start()
                self._removed.append((start, hidden))
        return position + self._removed[bisect_right(self._removed, (position, len(self._text))) - 1][1]


def _as_latin(run: re.Match[str]) -> str:
    """Look-alikes, but only within a Latin word, or as the two letters before a number: Russian text stays Russian."""
    text, start, end = run.string, run.start(), run.end()
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    is_mixed = any(near.isascii() and near.isalpha() for near in (before, after))
    is_country = end - start == 2 and after.isdigit() and run[0].isupper()  # noqa: PLR2004
    return run[0].translate(_LOOK_ALIKES) if is_mixed or is_country else run[0]


@cache
def _plain() -> dict[int, str]:
    """What every character of another form becomes; made once, and only where a text is not ASCII."""
    table = {ord(character): plain for character, plain in _OTHERS.items()}
    table |= dict.fromkeys(map(ord, _DASHES), "-") | dict.fromkeys(map(ord, _SPACES), " ")
    table |= {wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}
    for zero in _ZEROS.split():
        table |= {int(zero, 16) + digit: str(digit) for digit in range(10)}
    table |= {0x2460 + number: str(number + 1) for number in range(9)}  # circled
    return table


@cache
def _special() -> re.Pattern[str]:
    # Without those beyond 16 bits: they are in _BEYOND.
    return re.compile("[" + "".join(chr(one) for one in sorted(_plain()) if one < 0x10000) + "]+")  # noqa: PLR2004
