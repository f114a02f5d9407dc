"""Exact confidence bounds of a share (Clopper and Pearson, 1934)."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_STEPS = 60  # of bisection: more than a double tells apart


def upper_bound(hits: int, trials: int, confidence: float = 0.95) -> float:
    """The largest share under which as few hits as these are not rarer than ``1 - confidence``: one-sided.

    1 without trials. 0 of 4,200 gives 0.071 %.
    """
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, trials, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(hits: int, trials: int, share: float) -> float:
    """The chance of no more than so many hits."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return float(hits >= trials)
    whole = lgamma(trials + 1)
    return sum(
        exp(
            whole
            - lgamma(count + 1)
            - lgamma(trials - count + 1)
            + count * log(share)
            + (trials - count) * log1p(-share)
        )
        for count in range(hits + 1)
    )
