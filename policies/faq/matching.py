"""A team's list as it answers: tried on its own questions first, each asked as if it were not on the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from policies.faq.index import LEFT_OUT, FaqIndex
from policies.faq.judging import WORDS_MAX, Doubt, Judged, judge, weigh
from policies.faq.words import CHARACTERS_MAX, read

WRONG_ANSWERS_MAX = 0.02  # of all answers
_DEVIATIONS = 2.0  # of as many wrong ones as may be: more are no chance


@dataclass(frozen=True, slots=True)
class Match:
    """``entry``: the number of the one that is most likely asked; it is answered where there is no doubt.

    ``risk``: the share of wrong answers among those to all messages for which as much speaks, or more.
    """

    entry: int
    question: int
    score: float
    risk: float
    doubt: Doubt | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """A question of the list that, asked, would get the answer of another entry: both by number, of rows the first."""

    question: int
    answered: int


class FaqMatcher:
    """``entries``: the questions of each in all wordings; ``vectors``: one of unit length for each, in order."""

    def __init__(self, entries: Sequence[Sequence[str]], vectors: NDArray[np.float32]) -> None:
        self.index = FaqIndex(entries, vectors)
        self._trials = [self._without(row) for row in range(len(self.index.owners))]
        sure = sorted(
            (
                (one.score, one.entry == owner)
                for one, owner in zip(self._trials, self.index.owners, strict=True)
                if one.doubt is None
            ),
            reverse=True,
        )
        self._scores = np.array([score for score, _ in sure])
        self._wrong = np.cumsum([not is_right for _, is_right in sure])

    def can_ask(self, text: str) -> bool:
        """Whether a message may be a question at all: no vector is worth making of another."""
        return len(text) <= CHARACTERS_MAX and 0 < len(read(text).words) <= WORDS_MAX

    def match(self, text: str, vector: NDArray[np.float32], wrong_answers_max: float | None = None) -> Match:
        """Which entry a message asks for; ``wrong_answers_max``: the share of the answers that may be wrong (0.02)."""
        if wrong_answers_max is None:
            wrong_answers_max = WRONG_ANSWERS_MAX
        judged = judge(self.index, text, vector)
        doubt = judged.doubt
        if doubt is None and (judged.risk > wrong_answers_max or judged.score < self._score_min(wrong_answers_max)):
            doubt = Doubt.UNSURE
        return Match(judged.entry, judged.question, judged.score, judged.risk, doubt)

    def confusions(self, wrong_answers_max: float = WRONG_ANSWERS_MAX) -> list[Confusion]:
        """Questions that would be answered as another entry, if they did not stand on the list themselves."""
        return [
            Confusion(row, judged.entry)
            for row, judged in enumerate(self._trials)
            if judged.entry != self.index.owners[row] and _is_answered(judged, wrong_answers_max)
        ]

    def _score_min(self, wrong_answers_max: float) -> float:
        """The score from which on the list's own questions are answered wrong no more than they may be."""
        answers = np.arange(1, len(self._scores) + 1) * wrong_answers_max
        is_kept = self._wrong <= answers + _DEVIATIONS * np.sqrt(answers)
        if is_kept.all():
            return -inf
        kept = np.flatnonzero(is_kept)
        return float(self._scores[kept[-1]]) if len(kept) else inf

    def _without(self, row: int) -> Judged:
        cosines = self.index.vectors @ self.index.vectors[row]
        cosines[row] = LEFT_OUT
        wording = self.index.wordings[row]
        return weigh(self.index, wording, wording.content, self.index.nearest(cosines), left_out=row)


def _is_answered(judged: Judged, wrong_answers_max: float) -> bool:
    return judged.doubt is None and judged.risk <= wrong_answers_max
