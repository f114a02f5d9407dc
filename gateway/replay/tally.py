"""Adds up replayed decisions, in all and by team: what was spent and would have been, and how good it is."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.replay.choosing import Choice, first_of
from gateway.replay.costing import Costs, Priced
from gateway.stores.recorded import Recorded
from policies.off_policy import (
    Estimate,
    Floats,
    Term,
    direct,
    doubly_robust,
    effective_count,
    interval,
)

_NAN = float("nan")
_NOBODY = -1
_EFFECTIVE_MIN = 30.0
_US_PER_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Sums:
    """What decisions come to under one policy. ``saving_net_nusd`` is the baseline less everything, the router too."""

    costs: Costs
    router_nusd: int

    @property
    def saving_net_nusd(self) -> int:
        return self.costs.baseline_nusd - self.costs.cost_nusd - self.router_nusd

    @property
    def saving_net_share(self) -> float | None:
        return self.saving_net_nusd / self.costs.baseline_nusd if self.costs.baseline_nusd > 0 else None


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean quality of the answers, 0 to 1, with 95 % intervals. ``feedbacks``: decisions of which clients said a score.

    ``effective_feedbacks``: as many would tell as much if all of them bore on the replayed policy alike.
    ``no_overlap_share``: of decisions for which the replayed policy asks whom the recorded one had no chance to ask.
    ``is_identified``: the recorded outcomes alone tell; else it rests on predictions.
    """

    recorded: Estimate
    replayed: Estimate
    difference: Estimate
    feedbacks: int
    effective_feedbacks: float
    no_overlap_share: float
    is_identified: bool
    note: str


@dataclass(frozen=True, slots=True)
class Figures:
    """``quality`` is ``None`` where nothing predicts it and nobody said anything.

    ``cost_estimate``: what the replayed policy would have cost, by what its choices did cost where they were made, in
    nano-dollars; ``None`` where some never were.
    """

    requests: int
    changed: int
    recorded: Sums
    replayed: Sums
    quality: Quality | None
    cost_estimate: Estimate | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay found. ``kept``: how many are as they were, by reason; ``firsts``: who came first how often."""

    totals: Figures
    teams: dict[str, Figures]
    kept: dict[str, int]
    recorded_firsts: dict[str, int]
    replayed_firsts: dict[str, int]


class Row(NamedTuple):
    """One replayed decision, as numbers; deployments and teams are numbered."""

    team: int
    cluster: int
    logged: int
    first: int
    is_changed: int
    is_drawn: int
    weight: float
    score: float
    logged_quality: float
    first_quality: float
    first_quality_low: float
    first_quality_high: float
    logged_nusd: int
    expected_nusd: int


_WHOLE = frozenset({"team", "cluster", "logged", "first", "is_changed", "is_drawn", "logged_nusd", "expected_nusd"})
Columns = dict[str, NDArray[np.float64] | NDArray[np.int64]]


class Tally:
    """Takes decisions one by one, some 250 bytes each, and sums them up at the end."""

    def __init__(self, cpu_nusd_per_hour: int) -> None:
        self._cpu_nusd_per_hour = cpu_nusd_per_hour
        self._rows = {name: array("q" if name in _WHOLE else "d") for name in Row._fields}
        self._costs = {f"{which}_{name}": array("q") for which in ("recorded", "replayed") for name in Costs._fields}
        self._teams: dict[str, int] = {}
        self._deployments: dict[str, int] = {}
        self._conversations: dict[tuple[str, str], int] = {}
        self._clusters = 0
        self._kept: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rows["team"])

    def add(self, one: Recorded, choice: Choice, priced: Priced) -> None:
        record, kept = one.record, priced.kept
        found = {each.deployment: each for each in record.candidates}
        logged = first_of(record)
        first = logged if kept is not None else choice.first
        told = choice.predictions or {}

        def quality(name: str | None) -> tuple[float, float, float]:
            if name is None:
                return 0.0, 0.0, 0.0
            of = told.get(name) or found[name]
            if of.quality is None:
                return _NAN, _NAN, _NAN
            return (
                of.quality,
                of.quality if of.quality_low is None else of.quality_low,
                of.quality if of.quality_high is None else of.quality_high,
            )

        expected, low, high = quality(first)
        row = Row(
            team=self._teams.setdefault(record.team_id, len(self._teams)),
            cluster=self._cluster(one),
            logged=self._number(logged),
            first=self._number(first),
            is_changed=kept is None and choice.is_changed,
            is_drawn=record.propensity < 1,
            weight=choice.weight if kept is None else 1.0,
            score=_NAN if one.score is None else one.score,
            logged_quality=quality(logged)[0],
            first_quality=expected,
            first_quality_low=low,
            first_quality_high=high,
            logged_nusd=priced.logged_nusd,
            expected_nusd=priced.expected_nusd,
        )
        for name, value in row._asdict().items():
            self._rows[name].append(value)
        for which, costs in (("recorded", priced.recorded), ("replayed", priced.replayed)):
            for name, value in costs._asdict().items():
                self._costs[f"{which}_{name}"].append(value)
        if kept is not None:
            self._kept[kept] += 1

    def _number(self, deployment: str | None) -> int:
        return _NOBODY if deployment is None else self._deployments.setdefault(deployment, len(self._deployments))

    def _cluster(self, one: Recorded) -> int:
        """Of its conversation; one without is on its own."""
        record = one.record
        if record.conversation is not None:
            known = self._conversations.get((record.team_id, record.conversation))
            if known is not None:
                return known
        self._clusters += 1
        if record.conversation is not None:
            self._conversations[record.team_id, record.conversation] = self._clusters - 1
        return self._clusters - 1

    def outcome(self) -> Outcome:
        """What all that was taken comes to. Raises ValueError for nothing."""
        columns: Columns = {name: np.frombuffer(values, values.typecode) for name, values in self._rows.items()}
        columns |= {name: np.frombuffer(values, values.typecode) for name, values in self._costs.items()}
        if not len(self):
            raise ValueError("there is nothing to sum up")
        overlaps = _overlaps(columns)
        filled = _with_means(columns)
        everything = np.ones(len(self), bool)
        return Outcome(
            totals=self._figures(columns, filled, overlaps, everything),
            teams={
                team: self._figures(columns, filled, overlaps, columns["team"] == number)
                for team, number in self._teams.items()
            },
            kept=dict(self._kept),
            recorded_firsts=self._firsts(columns, "logged"),
            replayed_firsts=self._firsts(columns, "first"),
        )

    def _firsts(self, columns: Columns, which: str) -> dict[str, int]:
        return {name: int((columns[which] == number).sum()) for name, number in self._deployments.items()}

    def _figures(
        self, columns: Columns, filled: tuple[Floats, Floats], overlaps: NDArray[np.bool_], rows: NDArray[np.bool_]
    ) -> Figures:
        part = {name: values[rows] for name, values in columns.items()}
        return Figures(
            requests=int(rows.sum()),
            changed=int(part["is_changed"].sum()),
            recorded=self._sums(part, "recorded"),
            replayed=self._sums(part, "replayed"),
            quality=_quality(part, filled[0][rows], filled[1][rows], overlaps[rows]),
            cost_estimate=_cost_estimate(part, overlaps[rows]),
        )

    def _sums(self, part: Columns, which: str) -> Sums:
        costs = Costs(*(int(part[f"{which}_{name}"].sum()) for name in Costs._fields))
        return Sums(costs, -(-costs.router_us * self._cpu_nusd_per_hour // _US_PER_HOUR))


def _overlaps(columns: Columns) -> NDArray[np.bool_]:
    """Whether the recorded policy may have asked whom the replayed one asks: it did, or drew that one elsewhere."""
    drawn = np.unique(columns["logged"][columns["is_drawn"] > 0])
    found: NDArray[np.bool_] = (columns["is_changed"] == 0) | (
        (columns["is_drawn"] > 0) & np.isin(columns["first"], drawn)
    )
    return found


def _with_means(columns: Columns) -> tuple[Floats, Floats]:
    """Predictions of the first and of the logged; where there are none, the mean score of that deployment's answers."""
    first = columns["first_quality"].astype(np.float64)
    logged = columns["logged_quality"].astype(np.float64)
    is_told = ~np.isnan(columns["score"])
    if not is_told.any():
        return first, logged
    overall = float(columns["score"][is_told].mean())
    for filled, of in ((first, columns["first"]), (logged, columns["logged"])):
        for number in np.unique(of[np.isnan(filled)]):
            here = is_told & (columns["logged"] == number)
            mean = float(columns["score"][here].mean()) if here.any() else overall
            filled[np.isnan(filled) & (of == number)] = mean
    return first, logged


def _quality(part: Columns, first: Floats, logged: Floats, overlaps: NDArray[np.bool_]) -> Quality | None:
    score = part["score"].astype(np.float64)
    is_told = ~np.isnan(score)
    if np.isnan(first).any() or np.isnan(logged).any():
        return None
    clusters = _numbered(part["cluster"])
    share = 1 - float(overlaps.mean())
    if not is_told.any():
        before, after, change = direct(logged), direct(first), direct(first - logged)
        effective = float(len(first))
    else:
        weight = part["weight"].astype(np.float64)
        before = doubly_robust(logged, logged, np.ones(len(score)), score)
        after = doubly_robust(first, logged, weight, score)
        change = doubly_robust(first - logged, logged, weight - 1, score)
        effective = effective_count(weight[is_told])
    feedbacks = int(is_told.sum())
    unsure = np.ones(len(first), bool) if feedbacks == 0 else ~overlaps
    below = float(np.where(unsure, first - part["first_quality_low"], 0.0).mean())
    above = float(np.where(unsure, part["first_quality_high"] - first, 0.0).mean())
    is_identified = feedbacks > 0 and share == 0
    return Quality(
        recorded=_within(0, interval(before, clusters, float(feedbacks or len(first)))),
        replayed=_within(0, _widened(interval(after, clusters, effective), below, above)),
        difference=_within(-1, _widened(interval(change, clusters, effective), below, above)),
        feedbacks=feedbacks,
        effective_feedbacks=effective if feedbacks else 0.0,
        no_overlap_share=share,
        is_identified=is_identified,
        note=_note(feedbacks, effective, share),
    )


def _within(least: float, estimate: Estimate) -> Estimate:
    """The interval up to 1, and down to what is possible at all; its value stays as it is."""
    return Estimate(estimate.value, max(least, estimate.low), min(1.0, estimate.high))


def _widened(estimate: Estimate, below: float, above: float) -> Estimate:
    """With what the predictions themselves are unsure of, as far as they say; NaN: they do not."""
    return Estimate(
        estimate.value,
        estimate.low - (0.0 if np.isnan(below) else below),
        estimate.high + (0.0 if np.isnan(above) else above),
    )


def _note(feedbacks: int, effective: float, no_overlap_share: float) -> str:
    if feedbacks == 0:
        return "Nobody said how good answers were: this is what is predicted, and the intervals do not know its errors."
    if no_overlap_share > 0:
        return (
            f"For {no_overlap_share:.1%} of the decisions the replayed policy asks whom the recorded one never would"
            " have: there is no overlap, and this part rests on predictions, whose errors the intervals do not know."
        )
    if effective < _EFFECTIVE_MIN:
        return f"The feedback tells as much as {effective:.0f} scores would: too few to lean on."
    return "Feedback is taken to be given or not whatever the answer was worth, beyond what was predicted."


def _cost_estimate(part: Columns, overlaps: NDArray[np.bool_]) -> Estimate | None:
    """What the replayed policy would have cost by what the recorded one's choices did cost."""
    if not overlaps.all():
        return None
    count = len(overlaps)
    weight = part["weight"].astype(np.float64)
    term = doubly_robust(
        part["expected_nusd"].astype(np.float64),
        part["logged_nusd"].astype(np.float64),
        weight,
        part["recorded_cost_nusd"].astype(np.float64),
        are_scores=False,
    )
    told = interval(
        Term(term.value * count, term.influence * count), _numbered(part["cluster"]), effective_count(weight)
    )
    return told if np.isfinite(told.low) else None


def _numbered(clusters: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """The clusters of a part, from 0 on."""
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)
