"""Credentials in a text: tokens of known issuers, key blocks, passwords in addresses, what has a secret's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from policies.screening.folding import Folded
from policies.screening.secrets.assignments import find_assignments
from policies.screening.secrets.tokens import find_tokens
from policies.screening.secrets.written import find_written
from policies.screening.spans import Span, without_overlaps

# A text with more of one sort is a dump of secrets: from there on all of it is taken for one.
FOUND_MAX = 1_000


def find(text: str, folded: Folded | None = None) -> Sequence[Span]:
    """Where secrets stand, in the order of the text; the kind is whose they are, or how they are written."""
    folded = folded or Folded(text)
    plain, seen = folded.plain, folded.characters  # only ASCII is ever part of a pattern
    end = len(plain)
    found = [
        *_bounded(find_tokens(plain, seen), end),
        *_bounded(find_written(plain), end),
        *_bounded(find_assignments(plain, seen), end),
    ]
    return folded.as_given(without_overlaps(found))


def _bounded(spans: Iterator[Span], end: int) -> Iterator[Span]:
    for number, span in enumerate(spans):
        if number == FOUND_MAX:
            yield replace(span, end=end)
            return
        yield span
