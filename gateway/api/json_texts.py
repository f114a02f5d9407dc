"""The texts in a JSON value, found in its source and replaced there: every other byte stays as it came.

Working on the source leaves numbers, the order of keys and keys that are there twice alone; what is there twice is
found twice, whichever of them an upstream reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

# A string with the colon that makes it a key, a bracket, or a number so long that it may be somebody's: from its first
# digit on, for what follows a point is half a number.
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|([{}\[\]])|(?<![0-9.eE+-])(-?[0-9]{9}[0-9.eE+-]*)', re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{1024,}={0,2}")  # no image is smaller
_OPENING = (b"{", b"[")
_JSON_BEGINS = ("{", "[", " ", "\n", "\t", "\r")
_NESTED_MAX = 3  # JSON in strings of JSON in strings


class Kind(Enum):
    """What an object is made of."""

    API = auto()  # words of the API, and texts in fields of it
    TURNS = auto()  # a list of such, whose names are those of who speaks
    SCHEMA = auto()  # descriptions, beside names and words that answers must match
    FREE = auto()  # whatever somebody put there: its keys are texts as well


# Whose values are words of the API: roles, types, names that answers must match, what an upstream gave out.
_API_WORDS = frozenset(
    {
        *("type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "item_id", "file_id", "container_id"),
        *("name", "status", "detail", "format", "media_type", "mime_type", "model", "phase", "ttl"),
        *("signature", "encrypted_content", "response_id", "server_label", "tool_name", "syntax"),
    }
)
_SCHEMA_WORDS = frozenset({"type", "$ref", "$id", "$schema", "$anchor", "required", "format", "pattern"})
_FREE = frozenset({"metadata", "variables", "arguments", "input"})
_SCHEMAS = frozenset({"parameters", "input_schema", "schema"})
_TURN = 2  # as deep stand the fields of an object in a list
_ENCODED = "data"  # bytes in the form of text, or text
_ADDRESSES = ("url", "uri", _ENCODED)  # how fields end that may hold all of what they lead to
_MEDIA = re.compile(
    r"data:[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(?:;[A-Za-z0-9.+-]+=[A-Za-z0-9.+-]+)*;base64,[A-Za-z0-9+/=_-]*"
)


@dataclass(slots=True)
class _Found:
    """A text in a source: ``source[start:end]`` is what stands for it. ``inner``: it is JSON, with texts of its own."""

    start: int
    end: int
    text: str
    inner: Source | None


class Source:
    """The source of one JSON value, and the texts in it."""

    def __init__(self, source: bytes, kind: Kind = Kind.API, nested: int = 0) -> None:
        self._source = source
        self._found = list(_found(source, kind, nested))

    def texts(self) -> Iterator[str]:
        """All of them, in order."""
        for one in self._found:
            if one.inner is None:
                yield one.text
            else:
                yield from one.inner.texts()

    def with_texts(self, others: Iterator[str]) -> bytes:
        """The source with as many of these in their places."""
        pieces: list[bytes] = []
        position = 0
        for one in self._found:
            other = next(others) if one.inner is None else one.inner.with_texts(others).decode(errors="surrogatepass")
            if other != one.text:
                pieces += (self._source[position : one.start], literal(other))
                position = one.end
        return b"".join((*pieces, self._source[position:])) if pieces else self._source


def literal(text: str) -> bytes:
    """The text as a JSON string."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:  # half a character, as clients send it
        return json.dumps(text).encode()


def _found(source: bytes, kind: Kind, nested: int) -> Iterator[_Found]:
    here, is_object, key = kind, False, ""
    around: list[tuple[Kind, bool]] = []
    for token in _TOKEN.finditer(source):
        string, colon, bracket, number = token.groups()
        if bracket is not None:
            if bracket in _OPENING:
                around.append((here, is_object))
                here, is_object = _within(here, key, len(around)), bracket == b"{"
            elif around:
                (here, is_object), key = around.pop(), ""
        elif number is not None:
            if here is Kind.FREE:
                yield _Found(token.start(), token.end(), number.decode(), None)
        elif colon is not None:
            key = _decoded(string)
            if here is Kind.FREE:
                yield _Found(token.start(), token.end(1) + 1, key, None)
        else:
            text = _decoded(string)
            if _is_said(here, key if is_object or here is Kind.SCHEMA else "", text):
                yield _Found(token.start(), token.end(), text, _inner(text, nested))


def _within(around: Kind, key: str, depth: int) -> Kind:
    """Of what the value of that key is made."""
    if around is Kind.TURNS:
        if depth <= _TURN:
            return Kind.TURNS
        around = Kind.API
    if around is Kind.API and key in _FREE:
        return Kind.FREE
    return Kind.SCHEMA if around is Kind.API and key in _SCHEMAS else around


def _is_said(here: Kind, key: str, text: str) -> bool:
    if here is Kind.FREE:
        return True
    if here is Kind.SCHEMA:
        return key not in _SCHEMA_WORDS
    if key in _API_WORDS:
        return key == "name" and here is Kind.TURNS
    if key.endswith(_ADDRESSES) and _MEDIA.fullmatch(text):
        return False
    return not (key == _ENCODED and _BASE64.fullmatch(text))


def _inner(text: str, nested: int) -> Source | None:
    """The texts of a string that is the source of an object or a list, as arguments of tools are."""
    if nested == _NESTED_MAX or not text.startswith(_JSON_BEGINS):
        return None
    try:
        source = text.encode()
        msgspec.json.decode(source)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return Source(source, Kind.FREE, nested + 1)


def _decoded(escaped: bytes) -> str:
    if b"\\" not in escaped:
        return escaped.decode(errors="replace")
    text: str = json.loads(b'"' + escaped + b'"', strict=False)
    return text


def texts_in(values: Sequence[Source]) -> list[str]:
    """Those of all of them, in order."""
    return [text for value in values for text in value.texts()]
