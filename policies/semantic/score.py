"""How likely a cached answer is wrong for what is asked: a logistic regression on what both prompts show.

Coefficients are fitted by deploy/semantic/fit.py on questions of Banking77, CLINC150, arena-hard, MT-Bench and GSM8K:
they are where every route begins; each route corrects them by what it sees (budget.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from policies.semantic.edits import Edit
from policies.semantic.guards import DOUBTS
from policies.semantic.reading import Reading
from policies.semantic.weights import BIAS, COEFFICIENTS, WORDS

NEIGHBOURS = 5  # of which the mean cosine is looked at
_SHARPNESS = 10.0  # a neighbour with a cosine of so much less as 1 to this weighs a third
_RARE = 9.0  # weight of a word that the table does not have


def risk(features: Sequence[float]) -> float:
    """From 0 to 1."""
    total = BIAS + sum(one * weight for one, weight in zip(features, COEFFICIENTS, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def features(
    cached: Reading, asked: Reading, edit: Edit, doubt: str, crowd: Sequence[tuple[float, str]], at: int
) -> list[float]:
    """In the order of ``COEFFICIENTS``.

    ``crowd``: cosine and group of each candidate, the nearest first; ``at``: which of them is the cached prompt.
    """
    cosines = [one for one, _ in crowd]
    cosine = cosines[at]
    kept, gone, come = _weight(edit.kept), _weight(edit.gone_stems), _weight(edit.come_stems)
    near = cosines[:NEIGHBOURS]
    mean = sum(near) / len(near)
    others = [one for one in cosines if one < cosine]
    lengths = len(cached.words), len(asked.words)
    wh, other_wh = frozenset(cached.wh), frozenset(asked.wh)
    one, other = frozenset(cached.words), frozenset(asked.words)
    return [
        cosine,
        math.log(max(1e-3, 1 - cosine)),
        cosine - max(others, default=0.0),
        cosine - mean,
        mean,
        cosine - cosines[-1],
        cosines[0] - cosine,
        float(len(edit.kept)),
        float(len(edit.gone)),
        float(len(edit.come)),
        float(edit.likened),
        kept / (kept + gone + come + 1e-9),
        gone,
        come,
        _heaviest(edit.gone_stems),
        _heaviest(edit.come_stems),
        kept + gone,
        kept + come,
        float(cached.wh[:1] != asked.wh[:1]),
        float(bool(wh) and bool(other_wh) and wh != other_wh),
        float(bool(wh)) + float(bool(other_wh)),
        float((cached.negations > 0) != (asked.negations > 0)),
        float(lengths[0]),
        float(lengths[1]),
        float(abs(lengths[0] - lengths[1])),
        min(lengths) / max(1, *lengths),
        float(cached.asks) - float(asked.asks),
        len(one & other) / max(1, len(one | other)),
        _bigrams(cached.words, asked.words),
        *(float(doubt == name) for name in DOUBTS[1:]),
        *_company(crowd, crowd[at][1]),
    ]


def _company(crowd: Sequence[tuple[float, str]], group: str) -> tuple[float, ...]:
    """How the neighbours that are known to have the candidate's answer stand among all of them."""
    alike = [cosine for cosine, name in crowd if name == group]
    others = [cosine for cosine, name in crowd if name != group]
    nearest = crowd[0][0]
    weights = [math.exp(_SHARPNESS * (cosine - nearest)) for cosine, _ in crowd]
    return (
        1 / len(crowd),
        alike[0] - max(others, default=0.0),
        math.log1p(len(alike)),
        sum(weight for weight, (_, name) in zip(weights, crowd, strict=True) if name == group) / sum(weights),
    )


def _weight(stems: Iterable[str]) -> float:
    return sum(WORDS.get(stem, _RARE) for stem in stems)


def _heaviest(stems: Iterable[str]) -> float:
    return max((WORDS.get(stem, _RARE) for stem in stems), default=0.0)


def _bigrams(one: Sequence[str], other: Sequence[str]) -> float:
    first, second = set(pairwise(one)), set(pairwise(other))
    return len(first & second) / max(1, len(first | second))
