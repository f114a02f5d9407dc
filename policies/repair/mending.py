"""Answers that are almost JSON, mended: fences and prose taken off, commas, quotes and brackets put right.

What is mended keeps to the asked schema, or nothing is. It says what the answer said: where that says two things, or
would have to be made up, it is left alone. The parser is json-repair's, whose work on some texts grows with the square
of their length: it is given so many looks at the text, and then it is over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, SupportsIndex

import msgspec

from policies.json_schema import fits
from policies.repair.fitting import fitted

#: Longer texts are not mended, in characters.
CHARACTERS_MAX = 131_072
#: How often the parser may look at one text: of good JSON it looks some 1.5 times at each character.
_LOOKS_PER_CHARACTER, _LOOKS_MIN, _LOOKS_MAX = 100, 10_000, 300_000
_FOUND_MAX = 16  # values in one text that are looked at
_FENCE = "```"
_NAME = re.compile(r"[A-Za-z0-9+_.-]*[ \t]*\r?\n|json\b", re.IGNORECASE)
# What JSON begins like, broken or not: a name with its colon, a value, or nothing at all.
_BEGINS = re.compile(
    r"""\{\s*(?:["'“”‘’`]|[A-Za-z_$][\w$-]*["']?\s*:|//|/\*|\#|\})"""
    r"""|\[\s*(?:[\[{"'“”‘’`\]]|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\s*[,\]]|(?:true|false|null|True|False|None)\b|//|/\*)"""
)
# What it ends like where brackets are missing: with a value or a comma.
_ENDS = re.compile(r"""(?:[}\]"'”’\d,]|\b(?:true|false|null|True|False|None))\s*\Z""")
_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
_NOTHING = re.compile(r"""""|''|“”|‘’""")
_WORD = re.compile(r"\w+")
_MISSING = object()


class TooMuchWork(Exception):
    """The parser looked too often."""


def loaded(text: str) -> object:
    """The value of a text that is JSON as it stands. Raises ValueError for any other."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as exc:
        raise ValueError("no JSON") from exc


def keeps(text: str, schema: object) -> bool:
    """Whether the text is JSON as it stands, and keeps to the schema."""
    try:
        return fits(loaded(text), schema)
    except ValueError:
        return False


def mended(text: str, schema: object) -> str | None:
    """The text as JSON that keeps to the schema; ``None`` where that cannot be had without making something up."""
    if len(text) > CHARACTERS_MAX:
        return None
    seen: dict[str, None] = {}
    for ways in (_whole, _in_fences, _within, _parsed):
        found = dict.fromkeys(ways(text))
        if (fitting := [one for one in found if keeps(one, schema)]) != []:
            return _only(fitting)
        seen |= found
    return _only([other for one in seen if (other := _in_terms_of(one, schema)) is not None])


def _only(texts: Sequence[str]) -> str | None:
    """The first of the texts, unless they say two things."""
    values = {json.dumps(loaded(one), sort_keys=True) for one in texts}
    return texts[0] if len(values) == 1 else None


def _in_terms_of(text: str, schema: object) -> str | None:
    """The JSON with its values as the schema wants them; ``None`` where it does not keep to it even so."""
    try:
        value = loaded(text)
        other = fitted(value, schema)
        made = _dumped(other)
    except (ValueError, RecursionError):
        return None
    is_lost = other in ({}, []) and other != value
    return made if not is_lost and keeps(made, schema) else None


def _dumped(value: object) -> str:
    """Raises ValueError for what is no JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _whole(text: str) -> Iterator[str]:
    yield text.strip().removeprefix("\ufeff")


def _in_fences(text: str) -> Iterator[str]:
    """What stands between marks of code."""
    pieces = text.split(_FENCE, 2 * _FOUND_MAX)
    for piece in pieces[1::2]:
        name = _NAME.match(piece)
        yield (piece[name.end() :] if name else piece).strip()


def _within(text: str) -> Iterator[str]:
    """Whole values of JSON in a text, one after the other."""
    decoder, at, tries = json.JSONDecoder(), 0, 0
    while tries < _FOUND_MAX and (begin := _BEGINS.search(text, at)) is not None:
        tries += 1
        try:
            _, at = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            at = begin.end()
        else:
            yield text[begin.start() : at]


def _parsed(text: str) -> Iterator[str]:
    """What a parser that forgives makes of what begins like JSON."""
    looks = Looks(min(_LOOKS_MAX, _LOOKS_MIN + _LOOKS_PER_CHARACTER * len(text)))
    for piece in (*_in_fences(text), text):
        begin = _BEGINS.search(piece)
        if begin is None:
            continue
        end = max(piece.rfind("}"), piece.rfind("]")) + 1
        inner = piece[begin.start() :]
        is_cut = end <= begin.start() or _ENDS.search(piece[end:]) is not None
        whole = inner if is_cut else piece[begin.start() : end]
        if is_cut and _breaks_off(whole):
            continue
        value = _forgiven(whole, looks)
        if value is _MISSING or _is_made_up(value, whole):
            continue
        try:
            made = _dumped(value)
        except (ValueError, RecursionError):
            continue
        if not is_cut or _words(whole) <= _words(made):
            yield made


def _breaks_off(text: str) -> bool:
    """Whether a text without its last brackets ends in the middle of a word or a number of it."""
    return _ENDS.search(text) is None or len(_QUOTE.findall(text)) % 2 == 1


def _words(text: str) -> set[str]:
    return {word.casefold().replace("none", "null") for word in _WORD.findall(text)}


def _forgiven(text: str, looks: Looks) -> object:
    from json_repair.json_parser import JSONParser  # noqa: PLC0415 - only where something is broken

    try:
        return JSONParser(_Watched(text, looks), None, logging=False).parse()
    except Exception:  # noqa: BLE001 - whatever it trips over is not mended, and it has seen too much of its text
        return _MISSING


class Looks:
    """How many are left."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class _Watched(str):
    """A text that counts how often somebody looks at it."""

    __slots__ = ("_looks",)
    _looks: Looks

    def __new__(cls, text: str, looks: Looks) -> Self:
        made = super().__new__(cls, text)
        made._looks = looks
        return made

    def __getitem__(self, place: SupportsIndex | slice) -> str:
        self._looks.left -= 1
        if self._looks.left < 0:
            raise TooMuchWork
        return str.__getitem__(self, place)


def _is_made_up(value: object, text: str) -> bool:
    """Whether the parser put nothing where it found nothing, or threw away all that there was."""
    if not isinstance(value, dict | list):
        return True
    if not value:
        return any(character.isalnum() for character in text)
    return sum(one == "" for one in _texts(value)) > len(_NOTHING.findall(text))


def _texts(value: object) -> Iterable[str]:
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text
            case dict() as found:
                left += found
                left += found.values()
            case list() as found:
                left += found
