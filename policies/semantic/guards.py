"""Reasons not to give one prompt's answer to another, however near their vectors are.

A guard looks at what changed between the two. Where that turns the answer (another number, name or question, an
opposite, another direction) it refuses, for good. Where it may or may not (another word, one word more) it is a doubt:
what a doubt is worth differs between routes, and each learns it (budget.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.semantic.edits import Edit
from policies.semantic.reading import Reading, stem
from policies.semantic.word_classes import CLASS_OF, OPPOSITES

_PREFIXED_MIN = 4  # letters of a word that un- or dis- may turn
_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "de", "mis", "re")
_NEAR_WORDS = 2  # content words that differ, at most, on either side
_SIDES = frozenset(
    "from to into than before after by over under against between onto for of with without in on".split()
)
_ROLES = frozenset("from to into than before after against over by".split())
_QUANTIFIERS = frozenset(
    """all every each only any some most least more less fewer both either neither half twice best worst same different
    minimum maximum min max per almost exactly except""".split()
)
_HOW_LONG = frozenset({"when", "how long", "how soon"})
_LIKE_WHAT = frozenset({"what", "which"})
_FACTS = frozenset({"who", "where", "when", "why", "how many", "how much", "how old", "how far"})
_GRAMMAR = frozenset("with without before after not up down in out on off from to over under only".split())


@dataclass(frozen=True, slots=True)
class Finding:
    """``refused``: the guard that rules the answer out, or None. ``doubt``: what may or may not, one of ``DOUBTS``."""

    refused: str | None
    doubt: str


DOUBTS = ("none", "words", "word", "added", "question", "negation", "order")


def examine(cached: Reading, asked: Reading, edit: Edit) -> Finding:
    """What speaks against giving the cached prompt's answer to the asked one."""
    near = is_near(edit)
    refused = _refusal(cached, asked, edit, near=near)
    return Finding(refused, "none" if refused else _doubt(cached, asked, edit, near=near))


def _refusal(cached: Reading, asked: Reading, edit: Edit, *, near: bool) -> str | None:
    if _numbers(cached) != _numbers(asked):
        return "number"
    if near and (cached.negations > 0) != (asked.negations > 0):
        return "negation"
    if _differ(cached.quoted, asked.quoted):
        return "quotation"
    if _differ(cached.named, asked.named):
        return "identifier"
    if _opposed(edit):
        return "opposite"
    if _classed(edit):
        return "name"
    if near and _questions(cached, asked, is_near=True):
        return "question"
    if _roles(cached) != _roles(asked) and _same_roles_elsewhere(cached, asked):
        return "direction"
    if edit.is_swapped:
        return "order"
    return None


def _doubt(cached: Reading, asked: Reading, edit: Edit, *, near: bool) -> str:
    if near:
        return {"word": "word", "word added": "added", "quantity": "order", "order": "order", None: "none"}[
            _near(cached, asked, edit)
        ]
    if (cached.negations > 0) != (asked.negations > 0):
        return "negation"
    if _questions(cached, asked, is_near=False):
        return "question"
    return "words"


def is_near(edit: Edit) -> bool:
    """Whether the two are the same but for a few words."""
    changed = max(len(edit.gone), len(edit.come))
    return changed <= _NEAR_WORDS and len(edit.kept) + edit.likened >= 2 * changed


def _numbers(reading: Reading) -> tuple[str, ...]:
    return tuple(sorted(reading.numbers))


def _differ(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other and one != other)


def _opposed(edit: Edit) -> bool:
    gone = {*edit.gone, *(edit.left & (_GRAMMAR | _QUANTIFIERS))}
    come = {*edit.come, *(edit.entered & (_GRAMMAR | _QUANTIFIERS))}
    come_stems = {stem(word) for word in come} | come
    return (
        any(
            come_stems & ({stem(other) for other in OPPOSITES.get(form, ())} | OPPOSITES.get(form, frozenset()))
            for word in gone
            for form in (word, stem(word))
        )
        or _is_prefixed(gone, come)
        or _is_prefixed(come, gone)
    )


def _is_prefixed(plain: set[str], turned: set[str]) -> bool:
    """Whether a word of the second is one of the first, turned, as unhappy is happy."""
    return any(
        len(word) - len(prefix) >= _PREFIXED_MIN and word[len(prefix) :] in plain
        for word in turned
        if word.startswith(_PREFIXES)
        for prefix in _PREFIXES
        if word.startswith(prefix)
    )


def _classed(edit: Edit) -> bool:
    """Whether one has something of a kind, a country or a colour, where the other has something else of it."""
    gone, come = _kinds(edit.gone), _kinds(edit.come)
    is_replaced = edit.is_local and len(edit.gone) == len(edit.come) == 1
    return bool(gone & come) or (is_replaced and bool(gone or come))


def _kinds(words: tuple[str, ...]) -> frozenset[str]:
    found = (CLASS_OF.get(word) or CLASS_OF.get(word.removesuffix("s")) for word in words)
    return frozenset(kind for kind in found if kind)


def _questions(cached: Reading, asked: Reading, *, is_near: bool) -> bool:
    one, other = frozenset(cached.wh[:2]), frozenset(asked.wh[:2])
    if one == other or not one or not other:
        return False
    gone, come = one - other, other - one
    if not gone or not come or (gone | come) <= _LIKE_WHAT or (gone | come) <= _HOW_LONG:
        return False
    if is_near:
        return True
    return bool(gone & _FACTS) and bool(come & _FACTS) and not (gone | come) <= _HOW_LONG


def _roles(reading: Reading) -> Mapping[str, str]:
    """What follows each preposition of direction: the next word of content."""
    found: dict[str, str] = {}
    pending = ""
    for word, stemmed in zip(reading.words, reading.stems, strict=True):
        if word in _ROLES:
            pending = word
        elif pending and word not in _SIDES and word not in _ARTICLES:
            found.setdefault(pending, stemmed)
            pending = ""
    return found


_ARTICLES = frozenset("a an the my your our their his her its this that".split())


def _same_roles_elsewhere(cached: Reading, asked: Reading) -> bool:
    """Whether something stands behind another preposition than before: from A to B, from B to A."""
    one, other = _roles(cached), _roles(asked)
    return any(
        other.get(role) not in (None, word) and word in (*other.values(),)
        for role, word in one.items()
        if role in other
    )


def _near(cached: Reading, asked: Reading, edit: Edit) -> str | None:
    """Guards for prompts that are the same but for a few words."""
    if edit.gone and edit.come:
        return "word"
    if edit.gone or edit.come:
        return "word added"
    one, other = ({word for word in reading.words if word in _QUANTIFIERS} for reading in (cached, asked))
    if one != other:
        return "quantity"
    if not _is_turned(cached.content_stems, asked.content_stems):
        return "order"
    return None


def _is_turned(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether words stand in the same order, but for a part that moved from the front to the end or back."""
    if len(one) != len(other) or sorted(one) != sorted(other):
        return True  # words are repeated or likened: not for this guard
    if one == other or not one:
        return True
    twice = one + one
    return any(twice[at : at + len(other)] == other for at in range(len(one)) if twice[at] == other[0])
