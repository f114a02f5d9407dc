"""What can be said of models that no router was trained on: from what they are, and how hard the prompt is.

Learned over all pools together: how much better or worse than usual every model does on a prompt (``ease``), how much
more the better models gain by it than the weaker ones (``contrast``), and how much more than usual it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.descriptors import prior
from policies.routing.pool import Pool
from policies.routing.predictor import OUTLIER, TINY, Floats, Predicted, opened, standardised, strangeness

_LOG_COST_MAX = 3.0
_TOLD = 3  # ease, contrast and log cost
# A call of the public benchmarks, for pools of which only prices are known.
_TOKENS_IN, _TOKENS_OUT = 150, 180


class Foreseen(NamedTuple):
    """Of each model for one prompt: the score and the cost in USD. ``familiarity``: of the prompt, see Predicted."""

    quality: Sequence[float]
    cost: Sequence[float]
    familiarity: float


class _Products(NamedTuple):
    """What standardised features are multiplied with, before they are scaled and centred: that is in its numbers.

    ``matrix`` (d, 3 + e + k) gives ease, contrast and log cost, the directions in which nearness is measured, and for
    each kind its squared distance less the prompt's own square there; ``offset`` is added. ``limits``: of each measure
    of strangeness, from where on a prompt is wholly strange, and from how far before it it is familiar.
    """

    matrix: Floats
    offset: Floats
    limits: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class GeneralPredictor:
    """Parameters with ``d`` features; see PoolPredictor for the first four and the last three.

    ``weights``: (d, 3), of ease, contrast and log cost. ``cost_at_centre``: (1,), what log cost averages to.
    """

    feature_mean: Floats
    feature_spread: Floats
    feature_scale: Floats
    feature_centre: Floats
    weights: Floats
    cost_at_centre: Floats
    near_weights: Floats
    near_means: Floats
    gate: Floats
    _products: _Products = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_products", _products_of(self))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of its arrays."""
        return tuple(one.name for one in fields(cls) if one.init)

    def predict(self, features: Floats, pool: Pool) -> Predicted:
        """``features``: (prompts, d)."""
        quality, usd = completed(pool)
        known = standardised(features, self.feature_mean, self.feature_spread, self.feature_scale) - self.feature_centre
        nothing = np.zeros((len(known), 1))
        measures = strangeness(
            known + self.feature_centre, self.feature_scale, known @ self.near_weights, self.near_means, nothing
        )
        familiarity = opened(self.gate, measures)
        ease, contrast, log_cost = (known @ self.weights).T.astype(np.float64) * familiarity
        better = quality - quality.mean()
        costs = np.exp(np.clip(log_cost, -_LOG_COST_MAX, _LOG_COST_MAX)) / float(self.cost_at_centre[0])
        return Predicted(
            # A better model is never predicted to be the worse one: whoever chose that would be below the static hull.
            np.clip(quality + ease[:, None] + np.maximum(contrast, -1.0)[:, None] * better, 0, 1),
            usd * costs[:, None],
            familiarity.astype(np.float64),
            np.zeros(len(known), np.int64),
        )

    def foresee(self, features: Floats, quality: Sequence[float], usd: Sequence[float]) -> Foreseen:
        """As ``predict``, of one prompt (d,) and models of which all is known beforehand, in a quarter of the time.

        One product tells all that is needed of the features; what follows is of few numbers, for which arrays are slow.
        """
        matrix, offset, limits = self._products
        sized = features - self.feature_mean
        sized /= self.feature_spread
        np.minimum(sized, OUTLIER, out=sized)
        np.maximum(sized, -OUTLIER, out=sized)
        told = sized @ matrix
        told += offset
        points = told[_TOLD : _TOLD + len(self.near_means[0])]
        ease, contrast, log_cost = told[:_TOLD].tolist()
        near = float(points @ points) + min(told[_TOLD + len(points) :].tolist())
        near = max(near, 0.0)  # by rounding it may be less
        measures = (log(float(sized @ sized) / len(sized) + TINY), log(near / len(points) + TINY), 0.0)
        openings = [(end - one) / width for one, (end, width) in zip(measures, limits, strict=True)]
        familiarity = min(max(min(openings), 0.0), 1.0)
        mean = sum(quality) / len(quality)
        more, gain = ease * familiarity, 1 + max(contrast * familiarity, -1.0)
        raised = exp(min(max(log_cost * familiarity, -_LOG_COST_MAX), _LOG_COST_MAX)) / float(self.cost_at_centre[0])
        predicted = [mean + more + gain * (one - mean) for one in quality]
        return Foreseen(
            [0.0 if one < 0 else 1.0 if one > 1 else one for one in predicted],
            [one * raised for one in usd],
            familiarity,
        )


def _products_of(one: GeneralPredictor) -> _Products:
    near, means = one.near_weights.astype(np.float64), one.near_means.astype(np.float64)
    weights = np.concatenate([one.weights, near, near @ (-2 * means.T)], axis=1)
    offset = -(one.feature_centre @ weights)
    offset[_TOLD + near.shape[1] :] += np.square(means).sum(axis=1)
    familiar, strange = one.gate.astype(np.float64)
    width = np.maximum(strange - familiar, TINY)
    limits = list(zip(strange.tolist(), width.tolist(), strict=True))
    matrix = one.feature_scale[:, None] * weights
    return _Products(matrix.astype(np.float32), offset.astype(np.float32), limits)


def completed(pool: Pool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean quality and mean USD of every model: what is unknown follows from its descriptors and prices."""
    priced = (_TOKENS_IN * pool.usd_in + _TOKENS_OUT * pool.usd_out) / 1e6
    usd = np.where(np.isnan(pool.usd), priced, pool.usd)
    usd = np.where(np.isnan(usd), _or(np.nanmax(usd) if not np.isnan(usd).all() else np.nan, 0.0), usd)
    stated = [None if np.isnan(one) else float(one) for one in pool.quality]
    if None not in stated:
        return pool.quality, usd
    return np.array(prior(pool.described_as or pool.models, usd.tolist(), stated)), usd


def _or(value: float, otherwise: float) -> float:
    return otherwise if np.isnan(value) else value
