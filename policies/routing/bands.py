"""How far a predicted quality is to be believed: the band in which the mean score of such prompts lies.

A band is the 90 % interval of the mean score of prompts that are predicted like this one. It is read off prompts whose
outcome is known and which the prediction was not fitted to: gathered by their predicted quality, the mean of what came
out beyond the prediction, and that mean's uncertainty. A single answer is mostly right or wrong, and no band tells
which. The stranger the prompt, the more the band goes over to the one for prompts of an unknown kind: what the middle
90 % of the kinds that were learned from have as their means, and the usual uncertainty beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.predictor import Floats, Predicted

_BINS_MAX, _PROMPTS_PER_BIN = 10, 100
_Z = 1.645  # of a normal distribution, the middle 90 % lie within so many standard deviations
_TAILS = (0.05, 0.95)
_ANYWHERE = (-1.0, 1.0)


class Band(NamedTuple):
    """The ends for each prompt and model, within 0..1; the prediction lies between them."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Beyond(NamedTuple):
    """What came out beyond the predictions (prompts, models), and of which kind each prompt is."""

    values: NDArray[np.float64]
    kinds: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Bands:
    """Of a pool of ``m`` models, as differences from the prediction.

    ``edges`` (m, bins - 1): where the next bin of predicted quality begins. ``familiar`` (m, bins, 2): low and high in
    each. ``strange`` (m, 2): of prompts like none that were learned from.
    """

    edges: Floats
    familiar: Floats
    strange: Floats

    def at(self, models: Sequence[int]) -> Bands:
        """Of some of the models."""
        return Bands(self.edges[models], self.familiar[models], self.strange[models])

    def of(self, predicted: Predicted) -> Band:
        """The band of each prediction for this pool."""
        bins = (predicted.quality[:, :, None] >= self.edges).sum(axis=2)
        known = self.familiar[np.arange(len(self.edges)), bins]
        return around(predicted.quality, self.strange + predicted.familiarity[:, None, None] * (known - self.strange))


@dataclass(frozen=True, slots=True)
class GeneralBands:
    """Of models that no router was trained on: by how much pools were mistaken for which all was learned from others.

    ``stated``, ``guessed`` (2,): low and high, where a model's mean quality is known beforehand and where it is not.
    """

    stated: Floats
    guessed: Floats

    def of(self, predicted: Predicted, is_stated: NDArray[np.bool_]) -> Band:
        """``is_stated``: of which models the mean quality was known."""
        return around(predicted.quality, np.where(is_stated[:, None], self.stated, self.guessed))

    def of_one(self, quality: Sequence[float], is_stated: Sequence[bool]) -> tuple[list[float], list[float]]:
        """As ``of``, for one prompt: low and high for each model."""
        ends = (self.guessed.tolist(), self.stated.tolist())
        low, high = ([min(one[0], 0.0) for one in ends], [max(one[1], 0.0) for one in ends])
        lows = [one + low[is_known] for one, is_known in zip(quality, is_stated, strict=True)]
        highs = [one + high[is_known] for one, is_known in zip(quality, is_stated, strict=True)]
        return [one if one > 0 else 0.0 for one in lows], [one if one < 1 else 1.0 for one in highs]


def around(quality: NDArray[np.float64], beyond: NDArray[np.float64]) -> Band:
    """``beyond``: (..., 2), differences from the prediction."""
    low = np.minimum(np.maximum(quality + np.minimum(beyond[..., 0], 0), 0), 1)
    high = np.minimum(np.maximum(quality + np.maximum(beyond[..., 1], 0), 0), 1)
    return Band(low, high)


def bands_of(predicted: Predicted, score: NDArray[np.float64], kinds: NDArray[np.str_]) -> Bands:
    """Of predictions (prompts, models) held against outcomes that they were not fitted to."""
    prompts, models = score.shape
    bins = int(np.clip(prompts // _PROMPTS_PER_BIN, 1, _BINS_MAX))
    beyond = score - predicted.quality
    edges = np.quantile(predicted.quality, np.arange(1, bins) / bins, axis=0).T
    place = (predicted.quality[:, :, None] >= edges).sum(axis=2)
    familiar = np.zeros((models, bins, 2))
    for model in range(models):
        for one in range(bins):
            familiar[model, one] = _interval(beyond[place[:, model] == one, model])
    usual = (familiar[..., 1] - familiar[..., 0]).mean(axis=1) / 2
    strange = _between_kinds(score, kinds) + np.stack([-usual, usual], axis=1)
    return Bands(*(part.astype(np.float32) for part in (edges, familiar, strange)))


def general_bands_of(stated: Sequence[Beyond], guessed: Sequence[Beyond]) -> GeneralBands:
    """Of pools that were predicted by what the other pools taught: the means of their kinds of prompts, mistaken."""
    return GeneralBands(
        *(
            np.quantile(np.concatenate([_of_kinds(*pool)[1].ravel() for pool in pools]), _TAILS).astype(np.float32)
            for pools in (stated, guessed)
        )
    )


def _interval(beyond: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean; one imagined outcome that is half wrong keeps it from being none where all came out alike."""
    count = len(beyond)
    if count == 0:
        return _ANYWHERE
    error = _Z * np.sqrt((((beyond - beyond.mean()) ** 2).sum() + 0.25) / (count + 1) / count)
    return float(beyond.mean() - error), float(beyond.mean() + error)


def _between_kinds(score: NDArray[np.float64], kinds: NDArray[np.str_]) -> NDArray[np.float64]:
    """How far the means of kinds lie from the mean over all; of one kind alone nothing is known about others."""
    names, means = _of_kinds(score, kinds)
    if len(names) == 1:
        return np.tile(_ANYWHERE, (score.shape[1], 1))
    return np.asarray((np.quantile(means, _TAILS, axis=0) - score.mean(axis=0)).T)


def _of_kinds(values: NDArray[np.float64], kinds: NDArray[np.str_]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """The kinds, and their means of values (prompts, models)."""
    names, members = np.unique(kinds, return_inverse=True)
    return names, np.stack([values[members == one].mean(axis=0) for one in range(len(names))])
