"""What becomes of what guards find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from gateway.domain import Finding, GuardMode, GuardResult, GuardRule, Place
from policies.screening.spans import Span

_UNNAMEABLE = re.compile("[^A-Z0-9]+")
_NAME_LENGTH_MAX = 48


def result_of(rule: GuardRule, finding: Finding) -> GuardResult:
    """What it says of what it looked at. What cannot be replaced, because nobody can say where it is, is blocked."""
    if not finding.is_adverse:
        return GuardResult.PASSED
    match rule.mode:
        case GuardMode.BLOCK:
            return GuardResult.BLOCKED
        case GuardMode.REDACT:
            return GuardResult.REDACTED if finding.places else GuardResult.BLOCKED
        case GuardMode.FLAG | GuardMode.SHADOW:
            return GuardResult.FLAGGED


def worse(one: GuardResult, other: GuardResult) -> GuardResult:
    """Of two looks of one guard at one answer."""
    return max(one, other, key=_RANKS.index)


_RANKS = [
    GuardResult.PASSED,
    GuardResult.FLAGGED,
    GuardResult.REDACTED,
    GuardResult.FAILED,
    GuardResult.BLOCKED,
]


def in_groups(rules: Iterable[GuardRule]) -> list[list[GuardRule]]:
    """Those that may look at the same time, in their order: what follows who redacts sees what it left."""
    return [list(group) for _, group in groupby(rules, key=lambda rule: rule.mode is GuardMode.REDACT)]


def spans_by_text(places: Iterable[Place], texts: int) -> list[list[Span]]:
    """The places of each of so many texts, their kinds made to names that placeholders can have."""
    spans: list[list[Span]] = [[] for _ in range(texts)]
    for place in places:
        spans[place.text].append(Span(place.start, place.end, placeholder_name(place.category)))
    return spans


def placeholder_name(category: str) -> str:
    """EMAIL_ADDRESS as it is, ``our words`` as OUR_WORDS."""
    name = _UNNAMEABLE.sub("_", category.upper()).strip("_")[:_NAME_LENGTH_MAX]
    return name if name[:1].isalpha() else f"GUARD_{name}".rstrip("_")


def masked(text: str, spans: Sequence[Span]) -> str:
    """The text with ``[KIND]`` where the spans are, which do not overlap and are in order."""
    pieces: list[str] = []
    position = 0
    for span in spans:
        pieces += (text[position : span.start], f"[{span.kind}]")
        position = span.end
    return "".join(pieces) + text[position:]
