"""Measures on prompts with known outcomes what a router keeps of its promise, over all and slice by slice.

Predictions are out of fold. A cap makes answers safer for some questions only, and never bolder: as long as a safer
point loses no more, which is what the order of points stands for, the certificate of the point itself holds for what
is left of it. That the capped choices pass the same test is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gateway.router.data import Prompts
from gateway.router.fitting import Lessons, rounded
from policies.routing.calibration import HELD_MIN, SLICE_LOSS_RATIO, TOLD_MIN, Calibration, Slice
from policies.routing.certificate import CONFIDENCE, certify, certify_judged
from policies.routing.operating import LAMBDAS, STRONGEST, TARGETS, Judged, OperatingTable, choices
from policies.routing.predictor import Predicted
from policies.routing.slices import BY_SELF, DOMAIN, KIND, seen_in, slices_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_QUANTILES = np.linspace(0, 1, 101)
_ONE_SIDED_95 = 1.645  # standard errors
_STRAY_SHARE = 0.1
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class _Evidence:
    """``lost``, ``cost``: (points + 1, prompts), the last row is STRONGEST; ``base``: the strongest model's scores.

    ``slices`` are told of, those of ``held`` keep their limit; ``recognised`` of a question. ``seen_by``: for each
    slice, the places in ``recognised`` by which its prompts are known. ``is_as_next`` (points,): the next bolder point
    chooses the same. ``told``: losses as ``lost``, and ``told_base``, as a judge has them; it is measured where
    ``judged`` says.
    """

    lost: Floats
    cost: Floats
    base: Floats
    slices: dict[tuple[str, str], Mask]
    recognised: dict[tuple[str, str], Mask]
    held: tuple[tuple[str, str], ...]
    seen_by: dict[tuple[str, str], list[int]]
    is_as_next: Mask
    judged: Judged | None
    told: Floats
    told_base: Floats

    def points(self, point: int, caps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each prompt."""
        found = np.full(len(self.base), point)
        for mask, cap in zip(self.recognised.values(), caps.tolist(), strict=True):
            if cap < point:
                found[mask] = np.minimum(found[mask], cap)
        return found

    def loss(self, points: NDArray[np.int64], mask: Mask) -> float:
        rows = np.flatnonzero(mask)
        return float(self.lost[points[rows], rows].sum() / max(self.base[rows].sum(), _TINY))

    def passes(self, points: NDArray[np.int64], target: float) -> bool:
        """Whether these choices pass the test that operating points are certified by."""
        rows = np.arange(len(points))
        losses = self.lost[points, rows] - target * self.base
        if self.judged is None:
            return certify(losses[None], 0.0, CONFIDENCE, 1 - target).point == 0
        errors = losses - (self.told[points, rows] - target * self.told_base)
        measured = errors[None, self.judged.measured]
        return certify_judged(losses[None], measured, self.judged.is_judged, CONFIDENCE, 1 - target).point == 0


def calibration(
    predicted: Predicted,
    lessons: Lessons,
    prompts: Prompts,
    operating: OperatingTable,
    *,
    strongest: int,
    unit_usd: float,
    calibrated_at: float | None,
    judged: Judged | None = None,
) -> Calibration:
    """The record of what was predicted out of fold of these prompts, held against their outcomes."""
    evidence = _evidence(predicted, lessons, prompts, strongest, unit_usd, judged)
    kept = [
        _kept(evidence, float(target), int(point)) for target, point in zip(TARGETS, operating.certified, strict=True)
    ]
    told = [_figures(evidence, evidence.points(point, caps)) for point, caps in kept]
    loss, saving, slice_loss, slice_loss_upper, slice_saving = (
        np.array([one[at] for one in told], np.float32) for at in range(5)
    )
    return Calibration(
        prompts=len(prompts),
        calibrated_at=calibrated_at,
        slices=tuple(Slice(*name, int(mask.sum())) for name, mask in evidence.slices.items()),
        recognised=tuple(evidence.recognised),
        points=np.array([point for point, _ in kept], np.int16),
        caps=np.array([caps for _, caps in kept], np.int16),
        loss=loss,
        saving=saving,
        slice_loss=slice_loss,
        slice_loss_upper=slice_loss_upper,
        slice_saving=slice_saving,
        familiarity=rounded(np.quantile(predicted.familiarity, _QUANTILES)),
        quality=rounded(np.quantile(predicted.quality.mean(axis=1), _QUANTILES)),
    )


def _evidence(
    predicted: Predicted, lessons: Lessons, prompts: Prompts, strongest: int, unit_usd: float, judged: Judged | None
) -> _Evidence:
    rows = np.arange(len(prompts))
    picks = [choices(predicted, point, strongest, unit_usd) for point in [*range(len(LAMBDAS)), STRONGEST]]
    base = lessons.score[:, strongest]
    told = lessons.score if judged is None else judged.score
    slices = _by_value([slices_of(text) for text in prompts.texts])
    domains = prompts.label(DOMAIN)
    slices |= {(DOMAIN, str(value)): domains == value for value in np.unique(domains) if value}
    slices = {name: mask for name, mask in slices.items() if mask.sum() >= TOLD_MIN}
    recognised = _by_value([seen_in(one.astype(np.float32)) for one in lessons.features])
    recognised |= {(KIND, str(kind)): predicted.kind == at for at, kind in enumerate(np.unique(lessons.kinds))}
    places = {name: at for at, name in enumerate(recognised)}
    seen_by = {
        (dimension, value): [places[KIND, str(kind)] for kind in np.unique(lessons.kinds[mask])]
        if dimension == DOMAIN
        else [places[name] for name, seen in recognised.items() if name[0] == dimension and _is_seen(mask, seen)]
        for (dimension, value), mask in slices.items()
    }
    return _Evidence(
        np.array([base - lessons.score[rows, pick] for pick in picks]),
        np.array([lessons.cost[rows, pick] for pick in picks]),
        base,
        slices,
        recognised,
        tuple(name for name, mask in slices.items() if mask.sum() >= HELD_MIN),
        seen_by,
        np.array([(one == other).all() for one, other in pairwise(picks[:-1])] + [False]),
        judged,
        np.array([told[:, strongest] - told[rows, pick] for pick in picks]),
        told[:, strongest],
    )


def _by_value(found: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str], Mask]:
    columns = np.array(found, dtype=np.str_)
    return {
        (dimension, str(value)): columns[:, at] == value
        for at, dimension in enumerate(BY_SELF)
        for value in np.unique(columns[:, at])
    }


def _is_seen(mask: Mask, seen: Mask) -> bool:
    """Whether what is seen so is more than a stray part of the slice."""
    return bool((mask & seen).sum() >= _STRAY_SHARE * mask.sum())


def _kept(evidence: _Evidence, target: float, certified: int) -> tuple[int, NDArray[np.int64]]:
    """The cheapest point, no bolder than the certified one, at which caps bring every slice within its limit.

    A bold point may need caps that cost more than it saves.
    """
    best, best_usd = (STRONGEST, np.full(len(evidence.recognised), STRONGEST)), np.inf
    for point in range(certified, STRONGEST, -1):
        if point < certified and evidence.is_as_next[point]:
            continue
        if evidence.cost[point].sum() >= best_usd:  # caps make it no cheaper, nor do safer points
            break
        caps = _caps(evidence, point, SLICE_LOSS_RATIO * target)
        if caps is not None and evidence.passes(points := evidence.points(point, caps), target):
            usd = float(evidence.cost[points, np.arange(len(points))].sum())
            if usd < best_usd:
                best, best_usd = (point, caps), usd
    return best


def _caps(evidence: _Evidence, point: int, limit: float) -> NDArray[np.int64] | None:
    """Of all that is recognised, the worst slice first; ``None`` where they do not help."""
    caps = np.full(len(evidence.recognised), point)
    masks = list(evidence.recognised.values())
    while True:
        points = evidence.points(point, caps)
        losses = {name: evidence.loss(points, evidence.slices[name]) for name in evidence.held}
        worst = max(losses, key=lambda name: losses[name], default=None)
        if worst is None or losses[worst] <= limit:
            return caps
        places = evidence.seen_by[worst]
        boldest = int(caps[places].max())
        if boldest == STRONGEST:
            return None
        is_seen = np.any([masks[at] for at in places], axis=0)
        safer = _safer(evidence, points, evidence.slices[worst], is_seen, range(boldest - 1, STRONGEST - 1, -1), limit)
        caps[places] = np.minimum(caps[places], safer)


def _safer(
    evidence: _Evidence, points: NDArray[np.int64], mask: Mask, is_seen: Mask, tried: Sequence[int], limit: float
) -> int:
    """The first of these caps, for prompts that are seen, by which the slice comes within its limit, else the last."""
    rows = np.flatnonzero(mask)
    capped = np.where(is_seen[rows], np.minimum(points[rows], np.array(tried)[:, None]), points[rows])
    losses = evidence.lost[capped, rows].sum(axis=1) / max(evidence.base[rows].sum(), _TINY)
    is_within = losses <= limit
    return tried[int(np.argmax(is_within))] if is_within.any() else tried[-1]


def _figures(evidence: _Evidence, points: NDArray[np.int64]) -> tuple[float, float, Floats, Floats, Floats]:
    """Loss and saving over all; and loss, its upper bound and saving of every slice."""
    everything = np.ones(len(points), np.bool_)
    slices = np.array([_told(evidence, points, mask) for mask in evidence.slices.values()]).reshape(-1, 3)
    loss, _, saving = _told(evidence, points, everything)
    return loss, saving, slices[:, 0], slices[:, 1], slices[:, 2]


def _told(evidence: _Evidence, points: NDArray[np.int64], mask: Mask) -> tuple[float, float, float]:
    rows = np.flatnonzero(mask)
    lost, base = evidence.lost[points[rows], rows], evidence.base[rows]
    loss = evidence.loss(points, mask)
    error = float((lost - loss * base).std() / np.sqrt(len(rows)) / max(base.mean(), _TINY))  # of a ratio of means
    spent = evidence.cost[points[rows], rows].sum() / max(evidence.cost[STRONGEST, rows].sum(), 1e-300)
    return loss, loss + _ONE_SIDED_95 * error, 1 - float(spent)
