"""How sure it is that a message asks the entry of a list that is nearest to it, and what speaks against answering."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from policies.faq.index import FaqIndex, Nearness, Overlap
from policies.faq.weights import BIAS, RISKS, SCORES, WEIGHTS
from policies.faq.words import CHARACTERS_MAX, Wording, read

COSINE_MIN = 0.5
WORDS_MAX = 40
_SURE = 9.0  # the score of a message that is one of the questions, word by word


class Doubt(StrEnum):
    """Why a message is not answered, however near it is to a question."""

    LONG = "long"  # it says more than one question does
    EMPTY = "empty"  # no word of it says what it is about
    FAR = "far"  # no question is near
    SHORT = "short"  # one word, which no question is alone
    FOREIGN = "foreign"  # words of a language that the vectors do not know
    POLARITY = "polarity"  # can against cannot, do against undo, wanted against done, fine against broken
    KIND = "kind"  # it asks how, when, why, how much ... where no question of the entry does
    NUMBER = "number"  # it names a number that no question of the entry does
    AMBIGUOUS = "ambiguous"  # it is a question of two entries, word by word
    UNSURE = "unsure"  # nothing of these, but too little speaks for it


@dataclass(frozen=True, slots=True)
class Judged:
    """``entry``: the one that is most likely asked; ``score``: log odds that it is, before the doubts."""

    entry: int
    question: int  # the row of its nearest question
    score: float
    doubt: Doubt | None

    @property
    def risk(self) -> float:
        """The share of wrong answers among those to all messages that score as much or more, from 0 to 1."""
        return 0.0 if self.score >= _SURE else float(np.interp(self.score, SCORES, RISKS))


def judge(index: FaqIndex, text: str, vector: NDArray[np.float32]) -> Judged:
    """What the message with that vector asks."""
    wording = read(text)
    cosines = index.vectors @ vector
    nearness = index.nearest(cosines)
    if len(text) > CHARACTERS_MAX or len(wording.words) > WORDS_MAX:
        return Judged(nearness.entry, nearness.questions[0], -_SURE, Doubt.LONG)
    owners = index.owners_of(wording.words)
    if len(owners) == 1:
        (entry,) = owners
        return Judged(entry, index.rows(entry)[0], _SURE, None)
    judged = weigh(index, wording, index.spelt(wording), nearness)
    return judged if not owners else Judged(judged.entry, judged.question, judged.score, Doubt.AMBIGUOUS)


def weigh(
    index: FaqIndex, wording: Wording, content: frozenset[str], nearness: Nearness, left_out: int | None = None
) -> Judged:
    """The same of a message that was read and looked up; ``left_out``: the row of the message among the questions."""
    evidence, doubt = examine(index, wording, content, nearness, left_out)
    question = nearness.questions[0] if nearness.questions else index.rows(nearness.entry)[0]
    return Judged(nearness.entry, question, BIAS + float(np.dot(WEIGHTS, evidence)), doubt)


def examine(
    index: FaqIndex, wording: Wording, content: frozenset[str], nearness: Nearness, left_out: int | None = None
) -> tuple[list[float], Doubt | None]:
    """What the weights are for, and what speaks against answering at all."""
    overlap = index.overlap(content, nearness, left_out)
    return _evidence(nearness, overlap), _doubt(index, wording, content, nearness, overlap, left_out)


def _evidence(nearness: Nearness, overlap: Overlap) -> list[float]:
    """The margin counts by its part in each of four ranges: its first hundredths say most."""
    margin = nearness.cosine - nearness.cosine_other
    return [
        nearness.cosine,
        nearness.cosine_mean,
        min(max(margin, -0.05), 0.05),
        min(max(margin, 0.05), 0.1),
        min(max(margin, 0.1), 0.2),
        min(max(margin, 0.2), 0.3),
        min(overlap.shared, 0.35),
        min(max(overlap.shared, 0.35), 0.8),
        overlap.unknown,
        overlap.elsewhere,
    ]


def _doubt(
    index: FaqIndex,
    wording: Wording,
    content: frozenset[str],
    nearness: Nearness,
    overlap: Overlap,
    left_out: int | None,
) -> Doubt | None:
    nearest = [index.wordings[row] for row in nearness.questions]
    every = [index.wordings[row] for row in index.rows(nearness.entry) if row != left_out]
    if not content:
        return Doubt.EMPTY
    if nearness.cosine < COSINE_MIN or not nearest:
        return Doubt.FAR
    if len(content) == 1 and overlap.shared < 1:
        return Doubt.SHORT
    if not wording.foreign <= _union(one.foreign for one in every):
        return Doubt.FOREIGN
    if all(one.polarity != wording.polarity for one in nearest):
        return Doubt.POLARITY
    if not wording.kinds <= _union(one.kinds for one in every):
        return Doubt.KIND
    return Doubt.NUMBER if _is_number_strange(index, wording.numbers, nearest, every, nearness.entry) else None


def _is_number_strange(
    index: FaqIndex, numbers: frozenset[str], nearest: list[Wording], every: list[Wording], entry: int
) -> bool:
    """A size or an order number may stand where questions of the entry have one; that of another entry is its own."""
    if not numbers or any(numbers <= one.numbers for one in nearest):
        return False
    return not any(one.numbers for one in every) or any(index.owners_of_number(one) - {entry} for one in numbers)


def _union(parts: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*parts)
