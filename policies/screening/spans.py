"""What a detector found in a text, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``text[start:end]`` of the text as it was given, whatever was normalised to find it; ``kind``: EMAIL_ADDRESS."""

    start: int
    end: int
    kind: str


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """In the order of the text; of those that overlap the longest stays, of equally long ones the first given."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if kept and span.start < kept[-1].end:
            if span.end - span.start > kept[-1].end - kept[-1].start:
                kept[-1] = span
        else:
            kept.append(span)
    return kept
