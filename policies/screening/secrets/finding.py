"""Credentials in a text: tokens of known issuers, key blocks, passwords in addresses, what has a secret's name."""

from __future__ import annotations

from collections.abc import Sequence

from policies.screening.folding import Folded
from policies.screening.secrets.assignments import find_assignments
from policies.screening.secrets.published import is_published
from policies.screening.secrets.tokens import find_tokens
from policies.screening.secrets.written import find_written
from policies.screening.spans import Span, bounded, without_overlaps

# A text with more of one sort is a dump of secrets: from there on all of it is taken for one.
FOUND_MAX = 1_000


def find(text: str, folded: Folded | None = None) -> Sequence[Span]:
    """Where secrets stand, in the order of the text; the kind is whose they are, or how they are written."""
    folded = folded or Folded(text)
    plain, seen = folded.plain, folded.characters  # only ASCII is ever part of a pattern
    end = len(plain)
    found = [
        *bounded(find_tokens(plain, seen), end, FOUND_MAX),
        *bounded(find_written(plain, seen), end, FOUND_MAX),
        *bounded(find_assignments(plain, seen), end, FOUND_MAX),
    ]
    secrets = (span for span in found if not is_published(plain[span.start : span.end]))
    return folded.as_given(without_overlaps(secrets))
