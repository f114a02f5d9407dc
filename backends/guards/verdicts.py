"""What models, hooks and plugins say of texts, read strictly: what is no verdict raises GuardFailed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from gateway.domain import Finding, Place
from gateway.errors import GuardFailed

#: What ledgers and logs take of names that others give.
CATEGORIES_MAX = 64
CATEGORY_CHARS_MAX = 64
_ODD = re.compile(r"[^\w ./:&+()-]+")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_SCORE = re.compile(r"[01]|[01]?\.\d{1,20}|\d(?:\.\d{1,20})?[eE]-\d{1,3}")
_HARMLESS = frozenset({"safe", "benign", "legit", "harmless"})
_ADVERSE = frozenset({"unsafe", "malicious", "injection", "jailbreak"})
_LINES_OF_VERDICT = 2
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said. ``score``: from 0 to 1, where it gave one."""

    is_adverse: bool
    categories: tuple[str, ...] = ()
    score: float | None = None


class _JsonVerdict(msgspec.Struct):
    adverse: bool
    categories: list[str] = []
    score: float | None = None


class HookSpan(msgspec.Struct):
    """Where something is: in which text, from which character (code point) to before which."""

    text: int
    start: int
    end: int
    category: str


class HookAnswer(msgspec.Struct):
    """What a webhook answers; plugins may give the same."""

    verdict: Literal["pass", "block"]
    categories: list[str] = []
    score: float | None = None
    spans: list[HookSpan] = []


_read_verdict = msgspec.json.Decoder(_JsonVerdict).decode
_read_answer = msgspec.json.Decoder(HookAnswer).decode


def said_in(text: str, *, adverse_from: float = 0.5) -> Said:
    """The verdict that a model's whole answer is.

    ``safe``, ``unsafe`` and below it ``S1,S2`` (Llama Guard); ``BENIGN``, ``MALICIOUS`` and a bare number, from
    ``adverse_from`` on adverse (Prompt Guard as some serve it); ``{"adverse": true, "categories": [...]}``.
    """
    plain = text.strip()
    if plain.startswith(("{", "`")):
        return _json_said(plain)
    if _SCORE.fullmatch(plain):
        score = _checked_score(float(plain))
        return Said(score >= adverse_from, score=score)
    first, *rest = [line.strip() for line in plain.split("\n") if line.strip()] or [""]
    word = first.casefold()
    if word in _HARMLESS and not rest:
        return Said(is_adverse=False)
    if word in _ADVERSE and len(rest) < _LINES_OF_VERDICT:
        # Some write out what S1 is.
        named = [one.partition(":")[0].strip() for one in rest[0].split(",")] if rest else []
        return Said(True, names([one for one in named if one] or ([] if word == "unsafe" else [word])))
    raise GuardFailed("what was said is no verdict")


def _json_said(plain: str) -> Said:
    fenced = _FENCE.fullmatch(plain)
    try:
        said = _read_verdict(fenced[1] if fenced else plain)
    except (*_UNREADABLE, UnicodeEncodeError) as exc:
        raise GuardFailed("what was said is no verdict") from exc
    score = None if said.score is None else _checked_score(said.score)
    return Said(said.adverse, names(said.categories) if said.adverse else (), score)


def answered(body: bytes, texts: Sequence[str]) -> Finding:
    """What the JSON of a hook's answer says of these texts."""
    try:
        answer = _read_answer(body)
    except _UNREADABLE as exc:
        raise GuardFailed(f"its answer is not of the form that was agreed on: {_shortened(exc)}") from exc
    return finding_of(answer, texts)


def finding_of(answer: HookAnswer, texts: Sequence[str]) -> Finding:
    """What an answer says of these texts."""
    places = [Place(one.text, one.start, one.end, one.category) for one in answer.spans]
    if places and answer.verdict == "pass":
        raise GuardFailed("it says 'pass', and yet where something is")
    # What is somewhere is also what it is: a hook need not say it twice.
    categories = list(dict.fromkeys((*answer.categories, *(place.category for place in places))))
    return checked(Finding(answer.verdict == "block", tuple(categories), answer.score, places), texts)


def given(value: object, texts: Sequence[str]) -> Finding:
    """What code gave as a finding: one, or the object that a hook would answer."""
    if isinstance(value, Finding):
        return checked(value, texts)
    if not isinstance(value, Mapping):
        raise GuardFailed(f"it gave {type(value).__name__} and no finding")
    try:
        answer = msgspec.convert(value, HookAnswer)
    except (msgspec.ValidationError, TypeError, RecursionError) as exc:
        raise GuardFailed(f"what it gave is not of the form that was agreed on: {_shortened(exc)}") from exc
    return finding_of(answer, texts)


def checked(finding: Finding, texts: Sequence[str]) -> Finding:
    """The finding with its names as they may stand, if it is one that can be: of right types, places within texts."""
    if not isinstance(finding.is_adverse, bool):
        raise GuardFailed("is_adverse is neither true nor false")
    if not isinstance(finding.categories, list | tuple) or not isinstance(finding.places, list | tuple):
        raise GuardFailed("categories and places are lists")
    places = []
    for place in finding.places:
        if not isinstance(place, Place) or not all(type(one) is int for one in (place.text, place.start, place.end)):
            raise GuardFailed("a place is not of the form that was agreed on")
        if not (0 <= place.text < len(texts) and 0 <= place.start < place.end <= len(texts[place.text])):
            raise GuardFailed("it says that something is where there is no text")
        places.append(Place(place.text, place.start, place.end, _name(place.category)))
    score = None if finding.score is None else _checked_score(finding.score)
    return Finding(finding.is_adverse, names(finding.categories), score, places)


def names(given: Sequence[object]) -> tuple[str, ...]:
    """Categories as ledgers take them: plain words of a moderate length and number, each once."""
    return tuple(dict.fromkeys(_name(one) for one in given))[:CATEGORIES_MAX]


def _name(category: object) -> str:
    if not isinstance(category, str):
        raise GuardFailed("a category is not a word")
    return _ODD.sub("_", category.strip()).strip("_ ")[:CATEGORY_CHARS_MAX].rstrip() or "unnamed"


def _checked_score(score: object) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1 or math.isnan(score):
        raise GuardFailed("a score is a number from 0 to 1")
    return float(score)


def _shortened(exc: BaseException) -> str:
    return str(exc)[:120]
