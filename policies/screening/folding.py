"""Texts as detectors read them: other scripts' digits, wide forms and invisible characters made plain ASCII."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

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
_LOOK_ALIKES = dict(
    zip("АВЕКМНОРСТУХІЈЅаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEKMHOPCTYXIJSaeopcyxijsABEZHIKMNOPTYXo", strict=True)
)
_IN_LATIN = str.maketrans(_LOOK_ALIKES)
_GREEK, _ARMENIAN = 0x370, 0x530  # where the first alphabet begins, and the next after Cyrillic
_GREEK_OR_CYRILLIC = re.compile("[\u0370-\u052f]+")
_MIXED_MAX = 2_000
_PAIR = r"u([dD][89abAB][0-9A-Fa-f]{2})\\++u([dD][c-fC-F][0-9A-Fa-f]{2})"  # of one character beyond 16 bits
_ESCAPE = re.compile(rf"(?<!\\)\\++(?:{_PAIR}|u([0-9A-Fa-f]{{4}})|/)")
_REPLACED_MAX = 32  # different characters: so many are replaced one after another sooner than all in one walk
_LONG = 32_000  # characters: numpy reads so many sooner
_CODES = 0x110000
_ASCII = bytes(range(128))
_HIDDEN = re.compile(f"[{_INVISIBLE}\U000e0000-\U000e007f]+")


def fold(text: str) -> tuple[str, Callable[[int], int] | None]:
    """The text in plain characters, and what tells where each of them stood; None where all stand where they stood."""
    if text.isascii():
        return text, None
    present = beyond_ascii(text)
    plain = _plain()
    folded = replace_all(text, {character: plain[character] for character in present & plain.keys()})
    offsets = _Offsets(text) if len(folded) < len(text) else None
    if _GREEK_OR_CYRILLIC.search("".join(present)) and (mixed := _borders(folded)):
        # Where so many words are mixed, telling words apart is no use.
        is_all_mixed = mixed > _MIXED_MAX
        folded = replace_all(folded, _LOOK_ALIKES) if is_all_mixed else _GREEK_OR_CYRILLIC.sub(_as_latin, folded)
    return folded, offsets


def beyond_ascii(text: str) -> set[str]:
    """The characters of the text that are not ASCII."""
    beyond = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    if len(beyond) < _LONG:
        return set(beyond)
    seen = np.zeros(_CODES, bool)
    seen[_codes(beyond)] = True
    return set(map(chr, np.flatnonzero(seen).tolist()))


def replace_all(text: str, replaced: Mapping[str, str]) -> str:
    """The text with another character, or nothing, for each of these."""
    if len(text) >= _LONG and replaced:
        table = np.arange(_CODES, dtype=np.uint32)
        for character, plain in replaced.items():
            table[ord(character)] = ord(plain) if plain else _CODES
        codes = table[_codes(text)]
        return codes[codes < _CODES].tobytes().decode("utf-32-le", "surrogatepass")
    if len(replaced) > _REPLACED_MAX:
        return text.translate({ord(character): plain for character, plain in replaced.items()})
    for character, plain in replaced.items():
        text = text.replace(character, plain)
    return text


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _borders(text: str) -> int:
    """How often a Greek or Cyrillic letter stands beside a Latin one or a digit."""
    codes = _codes(text)
    others = (codes >= _GREEK) & (codes < _ARMENIAN)
    small = codes | ord(" ")  # of what is ASCII
    latin = ((small >= ord("a")) & (small <= ord("z"))) | ((codes >= ord("0")) & (codes <= ord("9")))
    return int(np.count_nonzero(others[1:] & latin[:-1]) + np.count_nonzero(latin[1:] & others[:-1]))


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
    return _ESCAPE.sub(lambda escape: _unescape(*escape.groups()), text)


@lru_cache(maxsize=1024)
def _unescape(high: str | None, low: str | None, code: str | None) -> str:
    if high and low:
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
    return run[0].translate(_IN_LATIN) if is_mixed or is_country else run[0]


@cache
def _plain() -> dict[str, str]:
    """What characters of other forms become, hidden ones nothing; made once, and only where a text is not ASCII."""
    table = _OTHERS | dict.fromkeys(_DASHES, "-") | dict.fromkeys(_SPACES, " ")
    table |= {chr(wide): chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}
    for zero in _ZEROS.split():
        table |= {chr(int(zero, 16) + digit): str(digit) for digit in range(10)}
    table |= {chr(0x2460 + number): str(number + 1) for number in range(9)}  # circled
    hidden = _HIDDEN.findall("".join(map(chr, (*range(0x10000), *range(0xE0000, 0xE0080)))))
    return table | dict.fromkeys("".join(hidden), "")
