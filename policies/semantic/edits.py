"""What changed between two prompts: words of content that only one of them has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from policies.semantic.reading import Reading, stem
from policies.semantic.word_classes import CLASS_OF, OPPOSITES, SAME_GROUPS

_LEFT_MAX = 12  # words on either side that are looked at for misspellings and synonyms
_SWAP_LENGTH = 4  # letters that a word needs at least, with two neighbours exchanged, to count as a misspelling
_ONE_LENGTH = 5  # with one letter more, fewer or another
_TWO_LENGTH = 9  # with two such
_LOCAL_MAX = 4  # words of the part in which two prompts differ
_LONGER_MAX = 2
_LETTERS_MAX = 40


@dataclass(frozen=True, slots=True)
class Edit:
    """Between a cached and an asked prompt.

    ``kept``: stems of content that both have; ``gone``: words that only the cached one has; ``come``: only the asked
    one; ``likened``: how many were taken for the same, as misspelled or synonyms; ``is_local``: they differ in one
    short part, and these are words of that part; ``left``, ``entered``: words of any kind, as gone and come;
    ``is_swapped``: that part has the same words in another order.
    """

    kept: tuple[str, ...]
    gone: tuple[str, ...]
    come: tuple[str, ...]
    likened: int
    is_local: bool
    left: frozenset[str]
    entered: frozenset[str]
    is_swapped: bool

    @property
    def gone_stems(self) -> list[str]:
        return [stem(word) for word in self.gone]

    @property
    def come_stems(self) -> list[str]:
        return [stem(word) for word in self.come]


def edit(cached: Reading, asked: Reading) -> Edit:
    """Linear in the number of words, but for at most ``_LEFT_MAX`` on either side."""
    here, there = _changed_part(cached, asked)
    is_local = max(len(here), len(there)) <= _LOCAL_MAX and len(cached.words) >= 2 * len(here)
    if not is_local:
        here, there = range(len(cached.words)), range(len(asked.words))
    cached_words, asked_words = _content(cached, here), _content(asked, there)
    asked_stems = frozenset(asked.stems)
    kept = tuple(stem for stem in dict.fromkeys(cached.content_stems) if stem in asked_stems)
    gone = [word for stem, word in cached_words.items() if stem not in asked_words]
    come = [word for stem, word in asked_words.items() if stem not in cached_words]
    # A word that is written apart in one and together in the other: "top up", "topup".
    gone, come = _joined(gone, asked), _joined(come, cached)
    likened = 0
    if len(gone) <= _LEFT_MAX and len(come) <= _LEFT_MAX:
        for word in list(gone):
            other = next((one for one in come if is_same(word, one)), None)
            if other is not None:
                gone.remove(word)
                come.remove(other)
                likened += 1
    one, other_ = ([reading.words[at] for at in part] for reading, part in ((cached, here), (asked, there)))
    return Edit(
        kept,
        tuple(gone),
        tuple(come),
        likened,
        is_local,
        frozenset(one) - frozenset(other_),
        frozenset(other_) - frozenset(one),
        is_local and one != other_ and Counter(one) == Counter(other_) and bool(cached_words),
    )


def _changed_part(cached: Reading, asked: Reading) -> tuple[range, range]:
    """Where the two differ, between what they begin and what they end with alike."""
    one, other = cached.stems, asked.stems
    shorter = min(len(one), len(other))
    begin = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    left = shorter - begin
    end = next((at for at in range(left) if one[-1 - at] != other[-1 - at]), left)
    return range(begin, len(one) - end), range(begin, len(other) - end)


def _content(reading: Reading, part: range) -> dict[str, str]:
    return {reading.stems[at]: reading.words[at] for at in reading.content if at in part}


def _joined(words: list[str], other: Reading) -> list[str]:
    if not words:
        return words
    pairs = {first + second for first, second in pairwise(other.words)}
    return [word for word in words if word not in pairs]


def is_same(one: str, other: str) -> bool:
    """Whether two words are one, misspelled, or mean the same whatever the sentence."""
    if other in OPPOSITES.get(one, ()):
        return False
    if one in SAME_GROUPS and other in SAME_GROUPS and SAME_GROUPS[one] & SAME_GROUPS[other]:
        return True
    if one in CLASS_OF and other in CLASS_OF:
        return False
    return is_misspelled(one, other)


def is_misspelled(one: str, other: str) -> bool:
    """Whether one word differs from the other by what slips of the finger do. Bounded: long words are cut."""
    short, long = one[:_LETTERS_MAX], other[:_LETTERS_MAX]
    if short[0] != long[0] and short[-1] != long[-1]:
        return False
    if len(short) > len(long):
        short, long = long, short
    if len(short) < _SWAP_LENGTH or len(long) - len(short) > _LONGER_MAX:
        return False
    if len(short) == len(long) and sorted(short) == sorted(long):  # letters exchanged
        return sum(a != b for a, b in zip(short, long, strict=True)) <= (2 if len(short) < _TWO_LENGTH else 4)
    allowed = 2 if len(short) >= _TWO_LENGTH else 1 if len(short) >= _ONE_LENGTH else 0
    # Each slip changes at most two of the letters that occur: most words are told apart without measuring them.
    return allowed > 0 and len({*short} ^ {*long}) <= 2 * allowed and _distance(short, long) <= allowed


def _distance(one: str, other: str) -> int:
    """Letters to insert, drop, replace, or to exchange with the next one."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        earlier, before, row = before, row, [at]
        for to, another in enumerate(other, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != another))
            if earlier and to > 1 and letter == other[to - 2] and one[at - 2] == another:
                cost = min(cost, earlier[to - 2] + 1)
            row.append(cost)
    return row[-1]
