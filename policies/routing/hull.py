"""The floor of every router: the best fixed mixture of single models, chosen without a look at the prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def hull(cost: Floats, quality: Floats) -> list[int]:
    """Indices of the models on the rising upper-left hull of mean cost and mean quality, cheapest first.

    Between two neighbours any mixture of both is reached by a coin, so that no router need be below their line.
    """
    kept: list[int] = []
    for one in sorted(range(len(cost)), key=lambda index: (cost[index], -quality[index])):
        if kept and quality[one] <= quality[kept[-1]]:
            continue
        while len(kept) > 1 and _gain(kept[-2], kept[-1], cost, quality) <= _gain(kept[-2], one, cost, quality):
            kept.pop()
        kept.append(one)
    return kept


def hull_quality(cost: float, at: Floats, quality: Floats) -> float:
    """What the mixture of hull models reaches at a mean cost; NaN below the cheapest. ``at`` ascends."""
    return float(np.interp(cost, at, quality)) if cost >= at[0] else float("nan")


def _gain(first: int, second: int, cost: Floats, quality: Floats) -> float:
    """Quality won for each unit of cost by going from one model to another that costs at least as much."""
    spent = cost[second] - cost[first]
    won = quality[second] - quality[first]
    return float(won / spent) if spent > 0 else float("inf")
