"""What a detector found in a text, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``text[start:end]`` of the text as it was given, whatever was normalised to find it; ``kind``: EMAIL_ADDRESS."""

    start: int
    end: int
    kind: str


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """In the order of the text. Those that overlap become one of the longest's kind: nothing found is left out."""
    kept: list[Span] = []
    longest = 0
    for span in sorted(spans, key=lambda one: one.start):
        size = span.end - span.start
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
            longest = size
            continue
        joined = kept[-1]
        kept[-1] = Span(joined.start, max(joined.end, span.end), span.kind if size > longest else joined.kind)
        longest = max(longest, size)
    return kept


def bounded(spans: Iterable[Span], text_length: int, found_max: int) -> Iterator[Span]:
    """The first of them; what is beyond their maximum is one span to the end of the text."""
    for number, span in enumerate(spans):
        if number == found_max:
            yield Span(span.start, text_length, span.kind)
            return
        yield span
