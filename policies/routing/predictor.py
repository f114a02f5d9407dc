"""From a prompt's features to what each model of a pool will make of it: quality, cost, and how familiar it is.

One linear model per pool, of two parts, for each model's score and the logarithm of its cost. What features say within
any kind of prompt (benchmark, domain) holds for kinds never seen too; what each kind is beyond that counts as far as a
classifier is sure that the prompt is of it. A gate closes with strangeness: the less familiar a prompt, the closer its
predictions to each model's mean, which is the static hull.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

OUTLIER = 5.0  # standard deviations at which a feature is cut
TINY = 1e-6  # beside which nothing is divided by zero, and has a logarithm
_LOG_COST_MAX = 4.0  # a call costs at most e^4 times its model's mean, and at least e^-4 of it


class Predicted(NamedTuple):
    """For each prompt and model: the score (about 0..1) and the cost in USD; for each prompt: 1 familiar, 0 strange.

    ``kind``: which of the pool's kinds of prompts it is most like.
    """

    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    familiarity: NDArray[np.float64]
    kind: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PoolPredictor:
    """The parameters for one pool, with ``d`` features, ``k`` kinds of prompts and ``m`` models.

    ``feature_mean, feature_spread, feature_scale, feature_centre``: (d,), how features are standardised.
    ``kind_weights`` (d, k), ``kind_bias`` (k,), ``kind_mean`` (k,), ``kind_scale`` (1,): the classifier.
    ``quality_mean`` (m,), ``quality_weights`` (d + k, m); ``cost_mean`` (m,) USD, ``cost_weights`` (d + k, m),
    ``cost_at_centre`` (m,) USD.
    ``near_weights`` (d, e), ``near_means`` (k + 1, e): the directions in which nearness is measured, whitened, and the
    kinds in them. ``gate`` (2, 3): of each measure of strangeness, up to where a prompt is familiar, and from where on
    it is wholly strange.
    """

    feature_mean: Floats
    feature_spread: Floats
    feature_scale: Floats
    feature_centre: Floats
    kind_weights: Floats
    kind_bias: Floats
    kind_mean: Floats
    kind_scale: Floats
    quality_mean: Floats
    quality_weights: Floats
    cost_mean: Floats
    cost_weights: Floats
    cost_at_centre: Floats
    near_weights: Floats
    near_means: Floats
    gate: Floats

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Of its arrays."""
        return tuple(field.name for field in fields(cls))

    def predict(self, features: Floats) -> Predicted:
        """``features``: (prompts, d)."""
        known = standardised(features, self.feature_mean, self.feature_spread, self.feature_scale) - self.feature_centre
        scores = known @ self.kind_weights + self.kind_bias
        kinds = trusted(softmax(scores), self.kind_mean) * self.kind_scale
        seen = np.concatenate([known, kinds], axis=1)
        measures = strangeness(
            known + self.feature_centre, self.feature_scale, known @ self.near_weights, self.near_means, scores
        )
        familiarity = opened(self.gate, measures)
        gate = familiarity[:, None]
        quality = self.quality_mean + gate * (seen @ self.quality_weights)
        log_cost = np.clip(seen @ self.cost_weights, -_LOG_COST_MAX, _LOG_COST_MAX)
        cost = self.cost_mean * (np.exp(log_cost) * self.cost_at_centre / self.cost_mean) ** gate
        return Predicted(
            quality.astype(np.float64), cost.astype(np.float64), familiarity.astype(np.float64), scores.argmax(axis=1)
        )


def standardised(features: NDArray[Any], mean: Floats, spread: Floats, scale: Floats) -> NDArray[Any]:
    """Features in standard deviations, cut at ``OUTLIER``, each block at its own scale."""
    cut: NDArray[Any] = np.clip((features - mean) / spread, -OUTLIER, OUTLIER) * scale
    return cut


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """Probabilities from log odds, row by row."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[Any] = raised / raised.sum(axis=1, keepdims=True)
    return shares


def trusted(posterior: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    """What is known of a prompt's kind beyond the mean, by the square of how sure that is.

    Of a kind that nobody has seen the classifier is mostly unsure, and what other kinds are is wrong for it.
    """
    weighed: NDArray[Any] = (posterior - mean) * np.square(posterior.max(axis=1, keepdims=True))
    return weighed


def strangeness(
    sized: NDArray[Any], scale: NDArray[Any], placed: NDArray[Any], means: NDArray[Any], scores: NDArray[Any]
) -> NDArray[Any]:
    """Measures (prompts, 3): how large the standardised features are, how far the nearest kind, how unlike all kinds.

    ``sized``: features at their scale; ``placed``: in the directions of ``means``; ``scores``: of the kinds.
    """
    size = np.log((np.square(sized) / np.square(scale)).mean(axis=1) + TINY)
    return np.stack([size, np.log(nearest(placed, means) + TINY), -scores.max(axis=1)], axis=1)


def opened(gate: NDArray[Any], measures: NDArray[Any]) -> NDArray[Any]:
    """How far the gate is open for each prompt: as its strangest measure says."""
    familiar, strange = gate
    width = np.maximum(strange - familiar, TINY)
    open_: NDArray[Any] = np.clip((strange - measures) / width, 0.0, 1.0).min(axis=1)
    return open_


def nearest(points: NDArray[Any], means: NDArray[Any]) -> NDArray[Any]:
    """The squared distance of each point to the nearest mean, per dimension."""
    squares = (points * points).sum(axis=1)[:, None] + (means * means).sum(axis=1)[None] - 2 * points @ means.T
    least: NDArray[Any] = squares.min(axis=1) / points.shape[1]
    return least
