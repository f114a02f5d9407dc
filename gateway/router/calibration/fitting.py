"""Fits a route's router to what its own deployments made of its prompts, and says what it would do with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.router.artifact import Artifact
from gateway.router.data import read_outcomes, read_pools, read_prompts
from gateway.router.fitting import out_of_fold
from gateway.router.training import Track, known_pool, tracks_of, with_tracks, words_in
from policies.routing.operating import choices, row_of
from policies.routing.predictor import Predicted
from policies.routing.router import KnownPool


class Level(NamedTuple):
    """What a level of quality comes to on the prompts that were tried, each predicted by what it was not fitted to.

    ``shares``: of the prompts, by deployment; ``saved`` and ``loss``: shares of the strongest one's cost and quality.
    ``is_certified``: the loss is. Else the strongest answers all, and the figures are of the point that is aimed at.
    """

    loss_max: float
    shares: Mapping[str, float]
    saved: float
    loss: float
    is_certified: bool


class Fitted(NamedTuple):
    """The artifact with the route's track in it, how many prompts that was fitted to, and what it comes to."""

    artifact: Artifact
    prompts: int
    strongest: str
    levels: tuple[Level, ...]


def fit_route(
    base: Artifact, route: str, folder: Path, targets: tuple[float, ...], calibrated_at: float | None = None
) -> Fitted:
    """The router of ``base`` with the folder's track of the route; ``calibrated_at`` (Unix seconds) is kept in it.

    Raises BadData where the folder cannot be learned from.
    """
    pools, prompts = read_pools(folder), read_prompts(folder)
    (track,) = tracks_of(pools, prompts, read_outcomes(folder, prompts, pools), words_in(base))
    pool = known_pool(track, calibrated_at)
    predicted = out_of_fold(track.lessons())
    count = len(track.prompts)
    levels = tuple(_level(pool, track, predicted, target) for target in targets)
    return Fitted(with_tracks(base, {route: pool}, {route: count}), count, pool.models[pool.strongest], levels)


def _level(pool: KnownPool, track: Track, predicted: Predicted, target: float) -> Level:
    picked = _picked(pool, track, predicted, row_of(target))
    rows = np.arange(len(picked))
    outcomes = track.outcomes
    cost, quality = (float(one[rows, picked].mean()) for one in (outcomes.cost, outcomes.score))
    cost_max, quality_max = (float(one[:, pool.strongest].mean()) for one in (outcomes.cost, outcomes.score))
    counts = np.bincount(picked, minlength=len(pool.models)) / len(picked)
    shares = {name: float(share) for name, share in zip(pool.models, counts, strict=True)}
    saved = 1 - cost / cost_max if cost_max > 0 else 0.0
    loss = 1 - quality / quality_max if quality_max > 0 else 0.0
    return Level(target, shares, saved, loss, pool.is_kept(row_of(target)))


def _picked(pool: KnownPool, track: Track, predicted: Predicted, row: int) -> NDArray[np.int64]:
    """Who answers each prompt: as the gateway does it; where nothing is certified, at the point that is aimed at."""
    if not pool.is_kept(row):
        return choices(predicted, int(pool.operating.aimed[row]), pool.strongest, pool.unit_usd)
    kinds = predicted.kind.tolist()
    points = np.array([pool.point(row, seen, kind) for seen, kind in zip(track.features, kinds, strict=True)])
    picked = np.zeros(len(points), np.int64)
    for point in np.unique(points).tolist():
        at_it = points == point
        picked[at_it] = choices(predicted, point, pool.strongest, pool.unit_usd)[at_it]
    return picked
