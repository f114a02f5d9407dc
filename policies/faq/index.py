"""A list of questions made ready for finding which of them a message asks: vectors, words, and who uses which word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.faq.words import Wording, is_misspelt, read

_NEAREST = 3  # of an entry's questions are looked at closely
_CANDIDATES = 4  # entries whose nearest question is nearest
_OTHERS = 2
_SLIPS_MAX = 10  # words of a message that are looked up as misspelt
LEFT_OUT = -1.0  # a cosine that no question of a list has


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a message is to the entry that is nearest: cosines of it, and of the nearest other entry.

    ``questions``: the rows of the entry's questions that are nearest to the message, nearest first.
    """

    entry: int
    cosine: float
    cosine_mean: float  # of ``questions``
    cosine_other: float
    questions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What words say, weighted by how rare they are in the list: shares from 0 to 1.

    ``shared``: of the words of message and question together, those in both, for the best of the nearest questions.
    ``unknown``: of the message's words, those that no question of the entry has. ``elsewhere``: how much more another
    entry's questions use one of the message's words.
    """

    shared: float
    unknown: float
    elsewhere: float


class FaqIndex:
    """``entries``: the questions of each, in all their wordings; ``vectors``: one of unit length for each, in order."""

    def __init__(self, entries: Sequence[Sequence[str]], vectors: NDArray[np.float32]) -> None:
        if not all(entries) or len(vectors) != sum(map(len, entries)):
            raise ValueError("each entry needs a question, and each question a vector")
        self.vectors = vectors
        self.sizes = [len(entry) for entry in entries]
        self.owners: list[int] = [owner for owner, entry in enumerate(entries) for _ in entry]
        self.wordings = [read(text) for entry in entries for text in entry]
        self._starts = np.concatenate(([0], np.cumsum(self.sizes)[:-1])).astype(np.int64)
        self._users: dict[str, Counter[int]] = {}  # word -> how many questions of each entry have it
        for owner, wording in zip(self.owners, self.wordings, strict=True):
            for word in wording.content:
                self._users.setdefault(word, Counter())[owner] += 1
        self._most = {word: self._most_by(users) for word, users in self._users.items()}
        self._numbers: dict[str, set[int]] = {}
        self._texts: dict[tuple[str, ...], set[int]] = {}
        for owner, wording in zip(self.owners, self.wordings, strict=True):
            self._texts.setdefault(wording.words, set()).add(owner)
            for number in wording.numbers:
                self._numbers.setdefault(number, set()).add(owner)
        self._alike: dict[tuple[str, int], list[str]] = {}
        for word in sorted(self._users):
            self._alike.setdefault((word[0], len(word)), []).append(word)

    def rows(self, entry: int) -> range:
        """Where an entry's questions stand among all."""
        start = int(self._starts[entry])
        return range(start, start + self.sizes[entry])

    def owners_of(self, words: tuple[str, ...]) -> AbstractSet[int]:
        """The entries one of whose questions has just these words."""
        return self._texts.get(words, frozenset())

    def owners_of_number(self, number: str) -> AbstractSet[int]:
        """The entries that name it."""
        return self._numbers.get(number, frozenset())

    def nearest(self, cosines: NDArray[np.float32]) -> Nearness:
        """From the cosines of a message with every question; -1 leaves one out."""
        best = np.maximum.reduceat(cosines, self._starts)
        first = np.argsort(-best, kind="stable")[:_CANDIDATES].tolist()
        closest = {entry: self._closest(cosines, entry) for entry in first}
        entry = max(first, key=lambda one: float(best[one]) + _mean(cosines, closest[one]))
        return Nearness(
            entry=entry,
            cosine=float(best[entry]),
            cosine_mean=_mean(cosines, closest[entry]),
            cosine_other=max((float(best[one]) for one in first if one != entry), default=LEFT_OUT),
            questions=tuple(closest[entry]),
        )

    def spelt(self, wording: Wording) -> frozenset[str]:
        """The words of a message's content as the list spells them."""
        known = {word for word in wording.content if word in self._users}
        strange = sorted(wording.content - known)
        return frozenset(known | {self._respelt(word) for word in strange[:_SLIPS_MAX]} | set(strange[_SLIPS_MAX:]))

    def overlap(self, words: frozenset[str], nearness: Nearness, left_out: int | None = None) -> Overlap:
        """``left_out``: the row of a question that is not to count, because it is the message itself."""
        own = self.wordings[left_out].content if left_out is not None else frozenset()
        own_entry = None if left_out is None else self.owners[left_out]

        def share(word: str, entry: int) -> float:
            is_own = entry == own_entry
            used = self._users.get(word, Counter())[entry] - (is_own and word in own)
            return used / max(self.sizes[entry] - is_own, 1)

        unknown = elsewhere = 0.0
        for word in words:
            here = share(word, nearness.entry)
            unknown += 0.0 if here > 0 else self._weight(word)
            others = (share(word, entry) for entry in self._most.get(word, ()) if entry != nearness.entry)
            elsewhere = max(elsewhere, max(others, default=0.0) - here)
        whole = sum(map(self._weight, words))
        return Overlap(
            shared=max((self._shared(words, self.wordings[row].content) for row in nearness.questions), default=0.0),
            unknown=unknown / whole if whole else 1.0,
            elsewhere=elsewhere,
        )

    def _closest(self, cosines: NDArray[np.float32], entry: int) -> list[int]:
        rows = np.asarray(self.rows(entry))
        order = rows[np.argsort(-cosines[rows], kind="stable")[:_NEAREST]]
        return [row for row in order.tolist() if cosines[row] > LEFT_OUT]

    def _most_by(self, users: Counter[int]) -> list[int]:
        """The entries that use a word in most of their questions: as many as it takes to have one that is another."""
        return sorted(users, key=lambda entry: -users[entry] / self.sizes[entry])[:_OTHERS]

    def _shared(self, words: frozenset[str], others: frozenset[str]) -> float:
        whole = sum(map(self._weight, words | others))
        return sum(map(self._weight, words & others)) / whole if whole else 1.0

    def _weight(self, word: str) -> float:
        users = self._users.get(word)
        return math.log((len(self.owners) + 1) / ((users.total() if users else 0) + 0.5))

    def _respelt(self, word: str) -> str:
        lengths = (len(word), len(word) - 1, len(word) + 1)
        alike = [
            known for length in lengths for known in self._alike.get((word[0], length), ()) if is_misspelt(word, known)
        ]
        return max(alike, key=lambda known: self._users[known].total(), default=word)


def _mean(cosines: NDArray[np.float32], rows: list[int]) -> float:
    return float(cosines[rows].mean()) if rows else LEFT_OUT
