"""Tokens that show whose they are: one pass finds the beginnings of all formats, and only there is looked closer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import re2

from policies.screening.secrets.formats import FORMATS, OPEN_FORMATS, Format, read_formats
from policies.screening.secrets.values import LOOKED_AT_MAX, is_filled_in, is_overwritten, is_random
from policies.screening.spans import Span

# No token is shorter than its beginning and this.
_REST_LENGTH_MIN = 10
# Beginnings that are looked at closer. No text but one made to be slow has more: what comes after is taken for tokens.
LOOKS_MAX = 5_000


def find_tokens(text: str, seen: bytes) -> Iterator[Span]:
    """All tokens of a known format that are no stand-ins; ``seen`` is the text, one byte for each character."""
    begun, by_beginning = _begun()
    position, looks = 0, 0
    while found := begun.search(seen, position):
        start = found.start()
        looks += 1
        if looks > LOOKS_MAX:
            yield Span(start, len(text), by_beginning[text[start : start + 2]][0].kind)
            break
        token = _token_at(text, start, by_beginning[text[start : start + 2]])
        # After a token that is none too: it is not read again from each of its own beginnings.
        position = token[1] if token else start + 2
        if token and _is_secret(text[start : token[1]], token[0]):
            yield Span(start, token[1], token[0].kind)
    opened, formats = _opened()
    for found in opened.finditer(seen):
        start, end = found.span()
        token = _token_at(text, start, formats)
        if token and _is_secret(text[start:end], token[0]):
            yield Span(start, token[1], token[0].kind)


def _token_at(text: str, start: int, formats: Sequence[Format]) -> tuple[Format, int] | None:
    for known in formats:
        if text.startswith(known.prefix, start) and (found := _compiled(known.pattern).match(text, start)):
            following = text[found.end() : found.end() + 1]
            if not following or following not in known.goes_on:
                return known, start + len(found[0].rstrip("."))
    return None


def _is_secret(token: str, known: Format) -> bool:
    rest = token[len(known.prefix) :][: 2 * LOOKED_AT_MAX]
    if is_overwritten(rest):
        return False
    return not known.is_weak or (is_random(rest) and not is_filled_in(rest))


@cache
def _begun() -> tuple[re2._Regexp, Mapping[str, Sequence[Format]]]:
    """What finds beginnings, and the formats by the first two characters of theirs."""
    formats = read_formats(FORMATS)
    by_beginning: dict[str, list[Format]] = {}
    for known in formats:
        by_beginning.setdefault(known.prefix[:2], []).append(known)
    beginnings = "|".join(sorted({re2.escape(known.prefix) for known in formats}))
    return re2.compile(rf"\b(?:{beginnings})[0-9A-Za-z_.+/=%$:~-]{{{_REST_LENGTH_MIN}}}".encode()), by_beginning


@cache
def _opened() -> tuple[re2._Regexp, Sequence[Format]]:
    formats = read_formats(OPEN_FORMATS)
    return re2.compile(rf"\b(?:{'|'.join(known.pattern for known in formats)})".encode()), formats


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
