"""Fits the predictor of one pool, in closed form: a discriminant for the kind of prompt, ridges for quality and cost.

Every number that is chosen rather than computed stands at the top; all were chosen by cross-validation over groups and
over whole domains within training data. Nothing is random: folds follow from the hash of a prompt's group.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.features import MATCHING_LENGTH, SURFACE_LENGTH
from policies.routing.general import GeneralPredictor
from policies.routing.predictor import PoolPredictor, Predicted, softmax, standardised, strangeness, trusted

Floats = NDArray[np.float64]

FOLDS = 5
_SCALES = (1.0, 1.0, 1.0)  # of surface, matching and word features; each block is divided by the root of its length
_KINDS_SCALE = 3.0  # of the classifier's posterior among the features
_KINDS_RIDGE = 0.3  # of the mean variance, on the classifier's covariance
_KINDS_PRIOR = 2.0  # imagined prompts at the centre, for each kind
_TEMPERATURES = (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
_PENALTIES = np.geomspace(0.003, 300, 24)  # of the ridges, per prompt
_NOTHING = 2.0**-30  # of the largest number in an array
_COST_FLOOR = 0.02  # of a model's mean cost, so that free answers have a logarithm
_DIRECTIONS_MAX, _PROMPTS_PER_DIRECTION = 48, 8
_NEAR_PRIOR = 5.0
_FAMILIAR_QUANTILE, _STRANGE_QUANTILE = 0.75, 0.99  # of training prompts, by each measure of strangeness
_CONSTANT = 1e-3  # a spread below this share of the mean is none
_TINY = 1e-6


class Lessons(NamedTuple):
    """What one pool is fitted to: features (n, d), score and cost (n, m) without gaps, each prompt's kind and group."""

    features: Floats
    score: Floats
    cost: Floats
    kinds: NDArray[np.str_]
    groups: Sequence[str]

    def where(self, mask: NDArray[np.bool_]) -> Lessons:
        groups = [group for group, is_in in zip(self.groups, mask, strict=True) if is_in]
        return Lessons(self.features[mask], self.score[mask], self.cost[mask], self.kinds[mask], groups)


class Partial(NamedTuple):
    """Prompts of each of which one model's outcome is known, of ``chosen``; features (n, d), score and cost (n,)."""

    features: Floats
    chosen: NDArray[np.int64]
    score: Floats
    cost: Floats
    models: int

    def where(self, mask: NDArray[np.bool_]) -> Partial:
        return Partial(self.features[mask], self.chosen[mask], self.score[mask], self.cost[mask], self.models)


def folds_of(groups: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each prompt: near-duplicates share one."""
    return np.array([zlib.crc32(group.encode()) % FOLDS for group in groups], dtype=np.int64)


def fit(lessons: Lessons) -> PoolPredictor:
    """The predictor of one pool."""
    features = lessons.features
    mean, spread, scale = _standards(features)
    known = standardised(features, mean, spread, scale)
    feature_centre = known.mean(axis=0)
    known = known - feature_centre
    names, kinds = np.unique(lessons.kinds, return_inverse=True)
    posterior, scores, kind_weights, kind_bias = _fit_kinds(known, kinds, len(names), folds_of(lessons.groups))
    kind_mean = posterior.mean(axis=0)
    deviation = max(float(np.sqrt(((posterior - kind_mean) ** 2).sum(axis=1).mean())), _TINY)
    kind_scale = np.array([_KINDS_SCALE / deviation])
    sure = (posterior - kind_mean) * kind_scale
    seen = np.concatenate([known, trusted(posterior, kind_mean) * kind_scale], axis=1)
    cost_mean = lessons.cost.mean(axis=0)
    cost_weights = _fit_weights(known, sure, kinds, np.log(lessons.cost + _COST_FLOOR * cost_mean + 1e-15))
    near_weights, near_means = _fit_nearness(known, kinds, len(names))
    gate = _fit_gate(strangeness(known + feature_centre, scale, known @ near_weights, near_means, scores))
    arrays = {
        "feature_mean": mean,
        "feature_spread": spread,
        "feature_scale": scale,
        "feature_centre": feature_centre,
        "kind_weights": kind_weights,
        "kind_bias": kind_bias,
        "kind_mean": kind_mean,
        "kind_scale": kind_scale,
        "quality_mean": lessons.score.mean(axis=0),
        "quality_weights": _fit_weights(known, sure, kinds, lessons.score),
        "cost_mean": cost_mean,
        "cost_weights": cost_weights,
        "cost_at_centre": cost_mean / np.exp(seen @ cost_weights).mean(axis=0),  # so that the mean cost is kept
        "near_weights": near_weights,
        "near_means": near_means,
        "gate": gate,
    }
    return PoolPredictor(**{name: rounded(array) for name, array in arrays.items()})


def fit_partial(partial: Partial) -> PoolPredictor:
    """The predictor of a pool of whose models none has answered what another one has: each has ridges of its own.

    Means are those that the ridges expect over all prompts, whoever answered them. There is one kind of prompt.
    """
    mean, spread, scale = _standards(partial.features)
    known = standardised(partial.features, mean, spread, scale)
    feature_centre = known.mean(axis=0)
    known = known - feature_centre
    length = known.shape[1]
    weights = np.zeros((2, length + 1, partial.models))  # of quality and of the logarithm of cost
    quality_mean, cost_mean, cost_at_centre = np.zeros((3, partial.models))
    for model in range(partial.models):
        own = partial.chosen == model
        seen, score, cost = known[own], partial.score[own], partial.cost[own]
        centre = seen.mean(axis=0)
        targets = (score, np.log(cost + _COST_FLOOR * cost.mean() + 1e-15))
        for at, target in enumerate(targets):
            weights[at, :length, model] = ridge(seen - centre, target[:, None])[:, 0]
        quality_mean[model] = score.mean() - centre @ weights[0, :length, model]
        raised = np.exp(known @ weights[1, :length, model])
        cost_at_centre[model] = cost.mean() / raised[own].mean()
        cost_mean[model] = cost_at_centre[model] * raised.mean()
    nothing = np.zeros(len(known), np.int64)
    near_weights, near_means = _fit_nearness(known, nothing, 1)
    measures = strangeness(known + feature_centre, scale, known @ near_weights, near_means, np.zeros((len(known), 1)))
    arrays = {
        "feature_mean": mean,
        "feature_spread": spread,
        "feature_scale": scale,
        "feature_centre": feature_centre,
        "kind_weights": np.zeros((length, 1)),
        "kind_bias": np.zeros(1),
        "kind_mean": np.ones(1),
        "kind_scale": np.ones(1),
        "quality_mean": quality_mean,
        "quality_weights": weights[0],
        "cost_mean": cost_mean,
        "cost_weights": weights[1],
        "cost_at_centre": cost_at_centre,
        "near_weights": near_weights,
        "near_means": near_means,
        "gate": _fit_gate(measures),
    }
    return PoolPredictor(**{name: rounded(array) for name, array in arrays.items()})


def fit_general(pools: Sequence[Lessons]) -> GeneralPredictor:
    """What all pools together teach of prompts, for models that none of them has. Every pool weighs the same."""
    features = np.concatenate([one.features for one in pools])
    mean, spread, scale = _standards(features)
    known = standardised(features, mean, spread, scale)
    feature_centre = known.mean(axis=0)
    known = known - feature_centre
    targets = np.concatenate([_general_targets(one) for one in pools])
    # A pool of few prompts counts as much as one of many.
    weight = np.concatenate(
        [np.full(len(one.score), np.sqrt(len(features) / len(pools) / len(one.score))) for one in pools]
    )
    columns = [ridge(known * weight[:, None], targets[:, [at]] * weight[:, None]) for at in range(targets.shape[1])]
    weights = np.concatenate(columns, axis=1)
    kinds = np.concatenate([np.full(len(one.score), number) for number, one in enumerate(pools)])
    near_weights, near_means = _fit_nearness(known, kinds, len(pools))
    nothing = np.zeros((len(known), 1))
    gate = _fit_gate(strangeness(known + feature_centre, scale, known @ near_weights, near_means, nothing))
    arrays = {
        "feature_mean": mean,
        "feature_spread": spread,
        "feature_scale": scale,
        "feature_centre": feature_centre,
        "weights": weights,
        "cost_at_centre": np.array([np.exp(known @ weights[:, 2]).mean()]),
        "near_weights": near_weights,
        "near_means": near_means,
        "gate": gate,
    }
    return GeneralPredictor(**{name: rounded(array) for name, array in arrays.items()})


def _general_targets(lessons: Lessons) -> Floats:
    """Of each prompt: ease, contrast and log cost (policies/routing/general.py), less their means in the pool."""
    means = lessons.score.mean(axis=0)
    beyond = lessons.score - means
    better = means - means.mean()
    contrast = beyond @ better / max(float(better @ better), _TINY)
    costs = np.log(lessons.cost / lessons.cost.mean(axis=0) + _COST_FLOOR).mean(axis=1)
    targets = np.stack([beyond.mean(axis=1), contrast, costs], axis=1)
    return np.asarray(targets - targets.mean(axis=0))


def out_of_fold(lessons: Lessons) -> Predicted:
    """What a predictor says of each prompt that was fitted without it and its like: for calibration."""
    quality, cost = np.zeros_like(lessons.score), np.zeros_like(lessons.cost)
    familiarity, kind = np.ones(len(lessons.score)), np.zeros(len(lessons.score), np.int64)
    folds = folds_of(lessons.groups)
    kinds = np.unique(lessons.kinds)
    for fold in range(FOLDS):
        held = folds == fold
        if not held.any() or held.all():
            continue
        rest = lessons.where(~held)
        found = fit(rest).predict(lessons.features[held].astype(np.float32))
        quality[held], cost[held], familiarity[held] = found[:3]
        kind[held] = np.searchsorted(kinds, np.unique(rest.kinds))[found.kind]  # a fold may lack a kind
    return Predicted(quality, cost, familiarity, kind)


def ridge(inputs: Floats, outputs: Floats) -> Floats:
    """Weights (d, m) for centred inputs. Outputs are turned to their principal components, each with its own penalty.

    The penalty is the one of greatest evidence (marginal likelihood of the component under a Gaussian prior of the
    weights): what carries no signal is shrunk to nothing, and models that succeed on the same prompts share strength.
    """
    count = len(inputs)
    centred = outputs - outputs.mean(axis=0)
    turn = np.linalg.svd(centred, full_matrices=False)[2]
    components = centred @ turn.T
    sizes, axes = np.linalg.eigh(inputs.T @ inputs)
    sizes = np.maximum(sizes, 0)
    along = axes.T @ (inputs.T @ components)
    penalties = _PENALTIES * count
    shrunk = 1 / (sizes[:, None] + penalties)
    unexplained = (components * components).sum(axis=0)[None] - np.einsum("dl,dj->lj", shrunk, along * along)
    complexity = np.log1p(sizes[:, None] / penalties).sum(axis=0)
    evidence = -0.5 * count * np.log(np.maximum(unexplained, 1e-12) / count) - 0.5 * complexity[:, None]
    best = evidence.argmax(axis=0)
    return np.asarray((axes @ (along * shrunk[:, best])) @ turn)


def rounded(array: NDArray[Any]) -> NDArray[np.float32]:
    """Single precision with twelve bits of mantissa: what differs by the order of additions becomes the same.

    What is nothing beside the largest is nothing, or its bits would be chance.
    """
    single = np.ascontiguousarray(array, dtype=np.float32)
    largest = np.abs(single).max(initial=0.0)
    bits = np.where(np.abs(single) < largest * _NOTHING, np.float32(0), single).view(np.uint32)
    return ((bits + np.uint32(0x400)) & np.uint32(0xFFFFF800)).view(np.float32)


def _fit_weights(known: Floats, sure: Floats, kinds: NDArray[np.int64], outputs: Floats) -> Floats:
    """Weights (d + k, m): what features say within kinds, and what each kind is beyond that."""
    slopes = ridge(_within(known, kinds), _within(outputs, kinds))
    return np.concatenate([slopes, ridge(sure, outputs - known @ slopes)])


def _within(values: Floats, kinds: NDArray[np.int64]) -> Floats:
    """Less the mean of their kind."""
    member = np.eye(kinds.max() + 1)[kinds]
    means = (member.T @ values) / member.sum(axis=0)[:, None]
    return np.asarray(values - means[kinds])


def _standards(features: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Mean, spread and scale of each feature, as they are kept: one that is always the same says nothing."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    is_constant = spread < _CONSTANT * (1 + np.abs(mean))
    return rounded(mean), rounded(np.where(is_constant, 1.0, spread)), rounded(_block_scales(features.shape[1]))


def _block_scales(length: int) -> Floats:
    lengths = (SURFACE_LENGTH, MATCHING_LENGTH, length - SURFACE_LENGTH - MATCHING_LENGTH)
    return np.concatenate([np.full(n, scale / np.sqrt(max(n, 1))) for n, scale in zip(lengths, _SCALES, strict=True)])


def _fit_kinds(
    known: Floats, kinds: NDArray[np.int64], count: int, folds: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Posteriors and scores of prompts, by classifiers that have not seen them; weights and bias of the whole one."""
    if count == 1:
        return np.ones((len(known), 1)), np.zeros((len(known), 1)), np.zeros((known.shape[1], 1)), np.zeros(1)
    scores, priors = np.zeros((len(known), count)), np.zeros((len(known), count))
    for fold in range(FOLDS):
        held = folds == fold
        if held.any() and not held.all():
            weights, bias, log_prior = _discriminant(known[~held], kinds[~held], count)
            scores[held], priors[held] = known[held] @ weights + bias, log_prior
    rows = np.arange(len(kinds))
    fits = [np.log(softmax(one * scores + priors)[rows, kinds] + 1e-9).mean() for one in _TEMPERATURES]
    temperature = _TEMPERATURES[int(np.argmax(fits))]
    weights, bias, log_prior = _discriminant(known, kinds, count)
    scores = temperature * scores + priors
    return softmax(scores), scores, temperature * weights, temperature * bias + log_prior


def _discriminant(known: Floats, kinds: NDArray[np.int64], count: int) -> tuple[Floats, Floats, Floats]:
    """Linear discriminant analysis with one covariance and shrunken means: weights, bias, log priors."""
    member = np.eye(count)[kinds]
    sizes = member.sum(axis=0)
    means = (member.T @ known) / (sizes + _KINDS_PRIOR)[:, None]
    rest = known - means[kinds]
    covariance = rest.T @ rest / len(known)
    covariance[np.diag_indices_from(covariance)] += _KINDS_RIDGE * np.trace(covariance) / len(covariance)
    weights = np.linalg.solve(covariance, means.T)
    log_prior = np.log((sizes + 0.5) / (len(known) + 0.5 * count))
    return weights, -0.5 * (means.T * weights).sum(axis=0), log_prior


def _fit_nearness(known: Floats, kinds: NDArray[np.int64], count: int) -> tuple[Floats, Floats]:
    """The leading directions within kinds, whitened; and the kinds (and the centre) in them."""
    sizes = np.bincount(kinds, minlength=count)
    means = np.stack([known[kinds == one].mean(axis=0) for one in range(count)])
    rest = known - means[kinds]
    spreads, axes = np.linalg.eigh(np.cov(rest.T))
    directions = max(1, min(_DIRECTIONS_MAX, len(known) // _PROMPTS_PER_DIRECTION))
    weights = axes[:, -directions:] / np.sqrt(np.maximum(spreads[-directions:], 0) + 1e-3 * spreads[-1] + 1e-12)
    shrunk = means * (sizes / (sizes + _NEAR_PRIOR))[:, None]
    return weights, np.concatenate([shrunk, np.zeros((1, known.shape[1]))]) @ weights


def _fit_gate(measures: Floats) -> Floats:
    familiar = np.quantile(measures, _FAMILIAR_QUANTILE, axis=0)
    strange = np.quantile(measures, _STRANGE_QUANTILE, axis=0)
    return np.stack([familiar, np.maximum(strange, familiar + 1e-3)])
