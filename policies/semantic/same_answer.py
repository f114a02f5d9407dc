"""Whether two answers say the same: how a cached answer is compared with the one that a model gives in its stead."""

from __future__ import annotations

import re

from policies.semantic.reading import NEGATIONS, read

COSINE_MIN = 0.85  # between two answers that say the same in other words
_SHORT_WORDS = 6  # up to which an answer must be the same, word by word
_SPACES = re.compile(r"\s+")
_AFFIRMED = frozenset("yes yeah yep correct true".split())
_DENIED = frozenset("no nope incorrect false".split())


def same_answer(cached: str, fresh: str, cosine: float) -> bool:
    """``cosine``: between their vectors. In doubt they differ, so that a route is thought worse than it is."""
    if _plain(cached) == _plain(fresh):
        return True
    one, other = read(cached), read(fresh)
    if min(len(one.words), len(other.words)) <= _SHORT_WORDS and one.words != other.words:
        return False
    if _stand(one.words) != _stand(other.words):
        return False
    # An answer may say more than the other, but must not say another number.
    shorter, longer = sorted((frozenset(one.numbers), frozenset(other.numbers)), key=len)
    if not shorter <= longer or (longer and not shorter):
        return False
    if any(word in NEGATIONS for word in one.words[:_SHORT_WORDS]) != any(
        word in NEGATIONS for word in other.words[:_SHORT_WORDS]
    ):
        return False
    return cosine >= COSINE_MIN


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip().casefold().rstrip(".!")


def _stand(words: tuple[str, ...]) -> str:
    first = words[0] if words else ""
    return "yes" if first in _AFFIRMED else "no" if first in _DENIED else ""
