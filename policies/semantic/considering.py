"""Which of the nearest cached prompts, if any, has the answer to what is asked, and how likely that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from policies.semantic.edits import edit
from policies.semantic.guards import examine
from policies.semantic.reading import Reading, read
from policies.semantic.score import features, risk

CANDIDATES_MAX = 8  # that are looked for; all of them tell how crowded it is, and whether by the same answer
CANDIDATES_READ = 5  # of which the texts are read
COSINE_MIN = 0.6  # below it two prompts have nothing to do with each other


@dataclass(frozen=True, slots=True)
class Candidate:
    """``cosine``: between the vectors of the cached and the asked prompt; ``text``: the cached prompt.

    ``group``: candidates of the same one are known to have the same answer; empty: nothing is known of it.
    """

    cosine: float
    text: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of the best candidate.

    ``index``: which it is, or None; ``risk``: how likely its answer is wrong, before a route corrects it; ``doubt``:
    what changed (``guards.DOUBTS``); ``reason``: the guard that refused the nearest, "nothing similar", or "similar".
    """

    index: int | None
    risk: float
    doubt: str
    reason: str


def consider(asked: str, candidates: Sequence[Candidate]) -> Verdict:
    """``candidates``: the nearest first, best ``CANDIDATES_MAX`` of them.

    The median is 1 ms on short texts and 2 on long ones, and twice that where they are read for the first time.
    """
    if not candidates or candidates[0].cosine < COSINE_MIN:
        return Verdict(None, 1.0, "none", "nothing similar")
    reading = _read(asked)
    crowd = [(one.cosine, one.group or str(at)) for at, one in enumerate(candidates[:CANDIDATES_MAX])]
    best: Verdict | None = None
    refused = ""
    for index, candidate in enumerate(candidates[:CANDIDATES_READ]):
        if candidate.cosine < COSINE_MIN:
            break
        cached = _read(candidate.text)
        changed = edit(cached, reading)
        found = examine(cached, reading, changed)
        if found.refused:
            refused = refused or found.refused
            continue
        chance = risk(features(cached, reading, changed, found.doubt, crowd, index))
        if best is None or chance < best.risk:
            best = Verdict(index, chance, found.doubt, "similar")
    return best or Verdict(None, 1.0, "none", refused)


@lru_cache(maxsize=4096)
def _read(text: str) -> Reading:
    # A prompt that was asked is cached next, and a candidate again and again.
    return read(text)
