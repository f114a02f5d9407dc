"""How good a router is on prompts whose outcomes are known: in distribution, on unseen domains, and ablated."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.router.figures import PROMPTS_MIN, Predicted, Trial, intervals, macro
from gateway.router.training import Track, train
from policies.routing.features import MATCHING_LENGTH, SURFACE_LENGTH
from policies.routing.router import Router
from policies.routing.words import WordTable

HELD_PARTS = 4  # into which domains are gathered; each in turn is held out
NAMES = (
    *("headroom", "q@20", "save@98", "save@100", "worst", "apgr"),
    *("quality", "saved", "certified quality", "certified saved"),
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures in percent by track, over all tracks, and the intervals of those; n: prompts."""

    prompts: Mapping[str, int]
    tracks: Mapping[str, Mapping[str, float]]
    macro: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]

    def as_json(self) -> dict[str, Any]:
        return {
            "prompts": dict(self.prompts),
            "tracks": {track: dict(found) for track, found in self.tracks.items()},
            "macro": dict(self.macro),
            "intervals": {name: list(both) for name, both in self.intervals.items()},
        }


def judge(router: Router, tracks: Sequence[Track], loss_max: float, *, draws: int = 0) -> Evaluation:
    """Hold a router's predictions and decisions against outcomes. ``draws``: of the bootstrap, 0 for no intervals."""
    found: dict[str, dict[str, float]] = {}
    trials = []
    for track in tracks:
        if len(track.prompts) < PROMPTS_MIN:
            continue
        predicted = router.predict(track.features, track.pool)
        chosen = router.choose(predicted, track.pool, loss_max)
        safe = router.choose(predicted, track.pool, loss_max, must_be_certified=True)
        trial = Trial(track.pool, track.outcomes, Predicted(predicted.quality, predicted.cost), chosen.models)
        trials.append(trial)
        kept = Trial(track.pool, track.outcomes, Predicted(predicted.quality, predicted.cost), safe.models).figures()
        found[track.pool.track] = trial.figures() | {
            "certified quality": kept["quality"],
            "certified saved": kept["saved"],
        }
    spread = intervals(trials, draws=draws) if draws else {}
    counts = {track.pool.track: len(track.prompts) for track in tracks if track.pool.track in found}
    return Evaluation(counts, found, macro(list(found.values())), spread)


def split(tracks: Sequence[Track]) -> tuple[list[Track], list[Track]]:
    """What is to be learned from, and what is to be judged on: by the column ``split``, else one group in four."""
    learned, judged = [], []
    for track in tracks:
        named = track.prompts.label("split")
        if (named == "dev").any():
            held = named == "dev"
        else:
            groups = track.prompts.labels.get("group", track.prompts.pids)
            held = np.array([zlib.crc32(f"held {group}".encode()) % 4 == 0 for group in groups])
        learned.append(track.where(~held))
        judged.append(track.where(held))
    return learned, judged


def on_unseen_domains(tracks: Sequence[Track], words: WordTable, loss_max: float) -> Evaluation:
    """Each part of the domains judged by a router that learned from the others, and the mean over parts.

    A track of one domain has nothing to hold out and is left aside.
    """
    rounds: dict[str, list[Mapping[str, float]]] = {}
    counts: dict[str, int] = {}
    for part in range(HELD_PARTS):
        learned, judged = [], []
        for track in tracks:
            held = _parts(track) == part
            if held.sum() >= PROMPTS_MIN and (~held).sum() >= 5 * PROMPTS_MIN:
                judged.append(track.where(held))
            learned.append(track.where(~held) if not held.all() else track)
        for name, found in judge(train(learned, words), _repriced(judged, learned), loss_max).tracks.items():
            rounds.setdefault(name, []).append(found)
        for track in judged:
            counts[track.pool.track] = counts.get(track.pool.track, 0) + len(track.prompts)
    means = {name: macro(found) for name, found in rounds.items()}
    return Evaluation(counts, means, macro(list(means.values())), {})


def ablations(learned: Sequence[Track], judged: Sequence[Track], words: WordTable) -> dict[str, Mapping[str, float]]:
    """The macro figures without one part of the router at a time."""
    length = judged[0].features.shape[1]
    parts = {
        "no surface features": slice(0, SURFACE_LENGTH),
        "no matching features": slice(SURFACE_LENGTH, SURFACE_LENGTH + MATCHING_LENGTH),
        "no word vectors": slice(SURFACE_LENGTH + MATCHING_LENGTH, length),
    }
    whole = train(learned, words)
    found: dict[str, Mapping[str, float]] = {"whole": judge(whole, judged, 0.02).macro}
    for name, columns in parts.items():
        blind = train([_without(track, columns) for track in learned], words)
        found[name] = judge(blind, [_without(track, columns) for track in judged], 0.02).macro
    for name, change in _CHANGES.items():
        pools = {track: replace(pool, predictor=change(pool.predictor)) for track, pool in whole.known.items()}
        found[name] = judge(replace(whole, known=pools), judged, 0.02).macro
    found["only what is known of all pools"] = judge(replace(whole, known={}), judged, 0.02).macro
    return found


_CHANGES: Mapping[str, Callable[[Any], Any]] = {
    "no prediction of cost": lambda one: replace(one, cost_weights=np.zeros_like(one.cost_weights)),
    "no kinds of prompts": lambda one: replace(one, kind_scale=np.zeros_like(one.kind_scale)),
    "no gate": lambda one: replace(one, gate=np.array([[1e8] * 3, [2e8] * 3], np.float32)),
}


def _parts(track: Track) -> NDArray[np.int64]:
    """Which part each prompt's domain belongs to: the benchmark where a track has but one domain."""
    domains = track.prompts.label("domain")
    if len(np.unique(domains)) == 1:
        domains = track.prompts.label("benchmark")
    return np.array([zlib.crc32(str(one).encode()) % HELD_PARTS for one in domains], dtype=np.int64)


def _repriced(judged: Sequence[Track], learned: Sequence[Track]) -> list[Track]:
    """The floor goes by the averages of what was learned from: those of the file know the held-out part."""
    by_name = {track.pool.track: track for track in learned}
    found = []
    for track in judged:
        seen = by_name[track.pool.track].outcomes
        pool = replace(track.pool, quality=seen.score.mean(axis=0), usd=seen.cost.mean(axis=0))
        found.append(replace(track, pool=pool))
    return found


def _without(track: Track, columns: slice) -> Track:
    features = track.features.copy()
    features[:, columns] = 0
    return replace(track, features=features)
