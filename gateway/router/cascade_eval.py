"""What a cascade would have saved on prompts whose outcomes are known, all calls charged.

The first model's answer says more than the prompt: here its length, which is what recorded outcomes keep of it. For
each model a ridge learns by how much all models' scores are other than predicted (out of fold) where its answer has
that length. Then the cascade goes on if another one's ``quality - lambda * cost`` is above the quality of what there
is, and pays for both. Two forms are judged over all lambdas:

``cascade``  the router chooses who is asked first, and whom to ask next
``pair``     one cheap and one strong model for all prompts of a track, as a route with ``policy: cascade`` has them

Pairs, ridges and the lambda in ``quality``, ``saved`` and ``escalated`` come from the prompts that were learned from:
the lambda is the one that saves most there while it keeps 98 % of the strongest model's quality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.router.data import Outcomes
from gateway.router.figures import LAMBDAS, PROMPTS_MIN, Predicted, Trial, cost_at, curve
from gateway.router.fitting import FOLDS, folds_of, out_of_fold, ridge
from gateway.router.training import Track
from policies.routing.predictor import Predicted as Foreseen
from policies.routing.router import Router

Floats = NDArray[np.float64]

KEPT = 0.98  # of the strongest model's quality
NAMES = ("router", "cascade", "quality", "saved", "escalated", "pair", "pair quality", "pair saved")
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class CascadeEvaluation:
    """Figures in percent by track and over all of them; ``pairs``: cheap and strong. ``gain``: of ``cascade`` over
    ``router``, over all tracks, with the ends of its 95 % bootstrap interval.
    """

    tracks: Mapping[str, Mapping[str, float]]
    pairs: Mapping[str, tuple[str, str]]
    macro: Mapping[str, float]
    gain: tuple[float, float, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "tracks": {track: dict(found) for track, found in self.tracks.items()},
            "pairs": {track: list(pair) for track, pair in self.pairs.items()},
            "macro": dict(self.macro),
            "gain": list(self.gain),
        }


@dataclass(frozen=True, slots=True)
class _Walk:
    """What became of every prompt at every lambda: (lambdas, prompts)."""

    cost: Floats
    quality: Floats
    escalated: NDArray[np.bool_]

    def saved(self, strongest: int, outcomes: Outcomes, weights: Floats) -> float:
        """Percent of the strongest model's cost that is saved while its quality is kept, over prompts so weighted."""
        weights = weights / weights.sum()
        target, full = KEPT * float(weights @ outcomes.score[:, strongest]), weights @ outcomes.cost[:, strongest]
        reached = cost_at(curve(self.cost @ weights, self.quality @ weights), target)
        return 100 * (1 - reached / float(full)) if np.isfinite(reached) else 0.0

    def thriftiest(self, target: float) -> int:
        """The lambda of least cost whose quality is that good; the first one where none is."""
        cost = np.where(self.quality.mean(axis=1) >= target, self.cost.mean(axis=1), np.inf)
        return int(np.argmin(cost)) if np.isfinite(cost).any() else 0


class _Surprise:
    """What a first answer of some length changes of all models' predicted scores: nothing where it tells nothing."""

    def __init__(self, inputs: Floats, missed: Floats) -> None:
        """``missed``: by how much the scores were other than predicted."""
        self._centre, self._spread = inputs.mean(axis=0), inputs.std(axis=0) + _LEAST
        self._weights = ridge((inputs - self._centre) / self._spread, missed)

    def __call__(self, inputs: Floats) -> Floats:
        found: Floats = (inputs - self._centre) / self._spread @ self._weights
        return found


def judge_cascades(
    router: Router, learned: Sequence[Track], judged: Sequence[Track], *, draws: int = 0, seed: int = 0
) -> CascadeEvaluation:
    """Hold cascades against outcomes, on the tracks that the router knows. ``draws``: of the bootstrap."""
    found: dict[str, Mapping[str, float]] = {}
    pairs: dict[str, tuple[str, str]] = {}
    drawn: list[Floats] = []
    random = np.random.default_rng(seed)
    for past, track in zip(learned, judged, strict=True):
        if min(len(track.prompts), len(past.prompts)) < PROMPTS_MIN or track.pool.track not in router.known:
            continue
        known = _Known(past)
        foreseen = router.predict(track.features, track.pool)
        expected = known.once_answered(foreseen, track.outcomes)
        strongest = past.pool.strongest
        walk = _walk(foreseen, expected, track.outcomes, known.unit_usd)
        cheap, strong = known.pair
        by_pair = _walk(foreseen, expected, track.outcomes, known.unit_usd, known.pair)
        trial = Trial(track.pool, track.outcomes, Predicted(foreseen.quality, foreseen.cost))
        evenly = np.ones(len(track.prompts))
        pair_figures = _at(by_pair, known.pair_chosen, strongest, track.outcomes)
        found[track.pool.track] = {
            "router": trial.figures()["save@98"],
            "cascade": walk.saved(strongest, track.outcomes, evenly),
            **_at(walk, known.chosen, strongest, track.outcomes),
            "pair": by_pair.saved(strongest, track.outcomes, evenly),
            "pair quality": pair_figures["quality"],
            "pair saved": pair_figures["saved"],
        }
        pairs[track.pool.track] = (track.pool.models[cheap], track.pool.models[strong])
        weights = [_counts(random, len(evenly)) for _ in range(draws)]
        drawn.append(
            np.array([walk.saved(strongest, track.outcomes, one) - trial.figures(one)["save@98"] for one in weights])
        )
    means = {name: float(np.mean([one[name] for one in found.values()])) for name in NAMES} if found else {}
    gains = np.mean(drawn, axis=0) if draws and drawn else np.array([np.nan])
    ends = [float(one) for one in np.percentile(gains, [2.5, 97.5])]
    gain = means.get("cascade", np.nan) - means.get("router", np.nan)
    return CascadeEvaluation(found, pairs, means, (gain, ends[0], ends[1]))


class _Known:
    """What is taken from the prompts that were learned from."""

    def __init__(self, track: Track) -> None:
        self._track = track
        lessons, outcomes = track.lessons(), track.outcomes
        self._foreseen = out_of_fold(lessons)
        self._missed = outcomes.score - self._foreseen.quality
        strongest = track.pool.strongest
        self.unit_usd = float(outcomes.cost[:, strongest].mean())
        target = KEPT * float(outcomes.score[:, strongest].mean())
        unseen = self._unseen(folds_of(lessons.groups))
        self.chosen = _walk(self._foreseen, unseen, outcomes, self.unit_usd).thriftiest(target)
        mean_cost, mean_score = outcomes.cost.mean(axis=0), outcomes.score.mean(axis=0)
        evenly = np.ones(len(outcomes.score))
        best, self.pair, self.pair_chosen = -np.inf, (strongest, strongest), 0
        for cheap, strong in np.argwhere((mean_cost[:, None] < mean_cost) & (mean_score >= target)[None]):
            walk = _walk(self._foreseen, unseen, outcomes, self.unit_usd, (cheap, strong))
            saved = walk.saved(strongest, outcomes, evenly)
            if saved > best:
                best, self.pair, self.pair_chosen = saved, (int(cheap), int(strong)), walk.thriftiest(target)

    def once_answered(self, foreseen: Foreseen, outcomes: Outcomes) -> Floats:
        """Scores that are expected once a model has answered: (prompts, who answered, models)."""
        found = _as_predicted(foreseen)
        for first in range(found.shape[1]):
            past = _inputs(self._foreseen, self._track.outcomes, first)
            now = _inputs(foreseen, outcomes, first)
            if past is not None and now is not None:
                found[:, first] += _Surprise(past, self._missed)(now)
        return found

    def _unseen(self, folds: NDArray[np.int64]) -> Floats:
        """The same of the prompts themselves, each by what was learned without it."""
        found = _as_predicted(self._foreseen)
        for first in range(found.shape[1]):
            inputs = _inputs(self._foreseen, self._track.outcomes, first)
            for fold in range(FOLDS) if inputs is not None else ():
                held = folds == fold
                if inputs is not None and held.any() and not held.all():
                    found[held, first] += _Surprise(inputs[~held], self._missed[~held])(inputs[held])
        return found


def _as_predicted(foreseen: Foreseen) -> Floats:
    """For each who may answer first, a copy of what is predicted of all."""
    return np.repeat(foreseen.quality[:, None, :], foreseen.quality.shape[1], axis=1)


def _inputs(foreseen: Foreseen, outcomes: Outcomes, first: int) -> Floats | None:
    """How long the first one's answer is, as such and for its predicted cost; ``None`` where nobody wrote it down."""
    length = np.log1p(outcomes.output_tokens[:, first])
    if np.isnan(length).any():
        return None
    beyond = length - np.log(np.maximum(foreseen.cost[:, first], _LEAST))
    quality = foreseen.quality[:, first]
    return np.column_stack([length, length**2, beyond, beyond**2, length * quality, beyond * quality])


def _walk(
    foreseen: Foreseen, expected: Floats, outcomes: Outcomes, unit_usd: float, pair: tuple[int, int] | None = None
) -> _Walk:
    """Ask, look at the answer, and ask another one where that is worth it; the two of ``pair`` where it is given."""
    rows = np.arange(len(outcomes.score))
    costs, qualities, escalations = [], [], []
    for weight in LAMBDAS:
        priced = weight * foreseen.cost / unit_usd
        first = np.argmax(foreseen.quality - priced, axis=1) if pair is None else np.full(len(rows), pair[0])
        worth = expected[rows, first] - priced
        worth[rows, first] = -np.inf
        second = np.argmax(worth, axis=1) if pair is None else np.full(len(rows), pair[1])
        goes_on = worth[rows, second] > expected[rows, first, first]
        costs.append(outcomes.cost[rows, first] + np.where(goes_on, outcomes.cost[rows, second], 0.0))
        qualities.append(outcomes.score[rows, np.where(goes_on, second, first)])
        escalations.append(goes_on)
    return _Walk(np.array(costs), np.array(qualities), np.array(escalations))


def _at(walk: _Walk, place: int, strongest: int, outcomes: Outcomes) -> dict[str, float]:
    """Real figures at one lambda."""
    return {
        "quality": 100 * float(walk.quality[place].mean() / outcomes.score[:, strongest].mean()),
        "saved": 100 * (1 - float(walk.cost[place].mean() / outcomes.cost[:, strongest].mean())),
        "escalated": 100 * float(walk.escalated[place].mean()),
    }


def _counts(random: np.random.Generator, count: int) -> Floats:
    return np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
