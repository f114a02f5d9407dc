"""The figures that routers are judged by, on prompts whose outcome with every model of the pool is known.

A router is one family of operating points: it calls the model with the greatest ``quality - lambda * cost``, predicted
ones, and ``lambda`` runs from "whatever it costs" to "whatever it is worth". Real quality and cost of its choices are
percentages of the strongest model's (the one of the best training average) on the same prompts:

``q@B``       quality at B % of its cost, linear between operating points
``save@T``    cost saved at T % of its quality
``headroom``  how far of the way from the static hull to the oracle, mean over budgets of 10, 20, 30 and 50 %
``worst``     least distance above the hull over these budgets
``apgr``      of a pool of two: mean share of the strong model's advantage over all shares of calls to it (RouteLLM)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.router.data import Outcomes
from policies.routing.hull import hull, hull_quality
from policies.routing.pool import Pool

Floats = NDArray[np.float64]

LAMBDAS = np.concatenate([[0.0], np.geomspace(1e-5, 1e4, 160)])
BUDGETS = (0.5, 0.3, 0.2, 0.1)
TARGETS = (0.95, 0.98, 0.99, 1.0)
PROMPTS_MIN = 20  # fewer tell nothing
_TIE = 1e-12
_NO_ROOM = 1e-6  # between hull and oracle


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a router expects of each model for each prompt: (prompts, models)."""

    quality: Floats
    cost: Floats


class Trial:
    """Predictions held against outcomes, for the prompts of one track that have all of them."""

    def __init__(
        self, pool: Pool, outcomes: Outcomes, predicted: Predicted, chosen: NDArray[np.int64] | None = None
    ) -> None:
        self.pool = pool
        self.quality, self.cost = outcomes.score, outcomes.cost
        self.chosen = chosen
        self._predicted = predicted
        # Choices do not depend on which prompts are drawn again for an interval, so they are made once.
        scale = float(outcomes.cost[:, pool.strongest].mean())
        self._ours = self._points(predicted.quality, predicted.cost, scale)
        self._oracle = self._points(self.quality, self.cost, float(self.cost.mean(axis=0).max()))

    def _points(self, quality: Floats, cost: Floats, scale: float) -> tuple[Floats, Floats]:
        """Real cost and quality of every prompt at every lambda."""
        rows = np.arange(len(quality))
        choices = [np.argmax(quality - one * cost / scale, axis=1) for one in LAMBDAS]
        return (
            np.array([self.cost[rows, choice] for choice in choices]),
            np.array([self.quality[rows, choice] for choice in choices]),
        )

    def figures(self, weights: Floats | None = None) -> dict[str, float]:
        """All figures in percent; ``weights``: how often each prompt counts, for intervals."""
        each = np.ones(len(self.quality)) if weights is None else weights
        each = each / each.sum()
        strongest = self.pool.strongest
        mean_quality, mean_cost = each @ self.quality, each @ self.cost
        best, full = float(mean_quality[strongest]), float(mean_cost[strongest])
        ours, oracle = (curve(costs @ each, qualities @ each) for costs, qualities in (self._ours, self._oracle))
        floor = hull(self.pool.usd, self.pool.quality)
        at = np.array(sorted((mean_cost[one], mean_quality[one]) for one in floor))
        found: dict[str, float] = {}
        shares, above = [], []
        for budget in BUDGETS:
            low, mid, high = (
                hull_quality(budget * full, at[:, 0], np.maximum.accumulate(at[:, 1])),
                _quality_at(ours, budget * full),
                _quality_at(oracle, budget * full),
            )
            found[f"q@{budget:.0%}"[:-1]] = 100 * mid / best
            if np.isfinite(low + mid + high):
                above.append(100 * (mid - low) / best)
                if high - low > _NO_ROOM:
                    shares.append((mid - low) / (high - low))
        for target in TARGETS:
            reached = cost_at(ours, target * best)
            found[f"save@{target:.0%}"[:-1]] = 100 * (1 - reached / full) if np.isfinite(reached) else 0.0
        found["headroom"] = 100 * float(np.mean(shares)) if shares else float("nan")
        found["worst"] = min(above, default=float("nan"))
        if len(self.pool.models) == 2:  # noqa: PLR2004 - the figure is defined for two
            found["apgr"] = self._apgr(each)
        if self.chosen is not None:
            rows = np.arange(len(each))
            found["quality"] = 100 * float(each @ self.quality[rows, self.chosen]) / best
            found["saved"] = 100 * (1 - float(each @ self.cost[rows, self.chosen]) / full)
        return found

    def _apgr(self, each: Floats) -> float:
        strong = self.pool.strongest
        weak = 1 - strong
        order = np.argsort(-(self._predicted.quality[:, strong] - self._predicted.quality[:, weak]), kind="stable")
        gains = each * (self.quality[:, strong] - self.quality[:, weak])
        won = np.concatenate([[0.0], np.cumsum(gains[order])])
        return float(np.trapezoid(won / gains.sum(), np.linspace(0, 1, len(won))))


def macro(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over tracks, of ``worst`` the least."""
    names = list(dict.fromkeys(name for one in found for name in one))
    mean = {name: _mean([one[name] for one in found if name in one]) for name in names}
    worst = [one["worst"] for one in found if np.isfinite(one["worst"])]
    return mean | {"worst": min(worst, default=float("nan"))}


def intervals(trials: Sequence[Trial], *, draws: int = 200, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the macro figures: prompts of each track drawn anew with replacement."""
    random = np.random.default_rng(seed)
    drawn = [
        macro([one.figures(_counts(random, len(one.quality))) for one in trials])  # each track anew, all at once
        for _ in range(draws)
    ]
    return {
        name: (
            float(np.nanpercentile([one[name] for one in drawn], 2.5)),
            float(np.nanpercentile([one[name] for one in drawn], 97.5)),
        )
        for name in drawn[0]
    }


def _counts(random: np.random.Generator, count: int) -> Floats:
    return np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)


def _mean(values: Sequence[float]) -> float:
    finite = [one for one in values if np.isfinite(one)]
    return float(np.mean(finite)) if finite else float("nan")


def curve(cost: Floats, quality: Floats) -> Floats:
    """Operating points (cost, quality) by rising cost."""
    return np.array(sorted(zip(cost.tolist(), quality.tolist(), strict=True)))


def _quality_at(points: Floats, cost: float) -> float:
    best = np.maximum.accumulate(points[:, 1])
    return float(np.interp(cost, points[:, 0], best)) if cost >= points[0, 0] else float("nan")


def cost_at(points: Floats, quality: float) -> float:
    """The least cost at which the quality is reached; NaN if it never is."""
    best = np.maximum.accumulate(points[:, 1])
    reached = np.flatnonzero(best >= quality - _TIE)
    if len(reached) == 0:
        return float("nan")
    first = int(reached[0])
    if first == 0 or best[first] == best[first - 1]:
        return float(points[first, 0])
    share = (quality - best[first - 1]) / (best[first] - best[first - 1])
    return float(points[first - 1, 0] + share * (points[first, 0] - points[first - 1, 0]))
