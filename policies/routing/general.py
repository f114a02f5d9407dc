"""What can be said of models that no router was trained on: from what they are, and how hard the prompt is.

Learned over all pools together: how much better or worse than usual every model does on a prompt (``ease``), how much
more the better models gain by it than the weaker ones (``contrast``), and how much more than usual it costs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from policies.routing.descriptors import prior
from policies.routing.pool import Pool
from policies.routing.predictor import Floats, Predicted, opened, standardised, strangeness

_LOG_COST_MAX = 3.0
# A call of the public benchmarks, for pools of which only prices are known.
_TOKENS_IN, _TOKENS_OUT = 150, 180


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

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of its arrays."""
        return tuple(field.name for field in fields(cls))

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
