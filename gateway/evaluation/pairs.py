"""What a semantic cache makes of pairs of prompts of which it is known whether they have the same answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.evaluation.bounds import upper_bound
from gateway.evaluation.rows import BadRows, read_rows
from policies.semantic.budget import Action, plan
from policies.semantic.considering import Candidate, consider

Encode = Callable[[Sequence[str]], NDArray[np.float32]]

WRONG_ANSWERS_MAX = 0.01


@dataclass(frozen=True, slots=True)
class Pair:
    """``is_same``: whether the cached prompt's answer answers the asked one; ``why_not``: None where it is served."""

    cached: str
    asked: str
    is_same: bool
    kind: str
    why_not: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    pairs: int
    served: int

    @property
    def share(self) -> float:
        return self.served / self.pairs if self.pairs else 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """All pairs of a file, with whether the answer was served."""

    pairs: Sequence[Pair]

    def all(self, *, is_same: bool) -> Tally:
        return _tally([one for one in self.pairs if one.is_same is is_same])

    def by_kind(self, *, is_same: bool) -> Mapping[str, Tally]:
        kinds: dict[str, list[Pair]] = defaultdict(list)
        for one in self.pairs:
            if one.is_same is is_same:
                kinds[one.kind].append(one)
        return {kind: _tally(kinds[kind]) for kind in sorted(kinds)}

    def as_json(self) -> dict[str, object]:
        """Shares from 0 to 1; the bound is one-sided, with 95 % confidence."""
        changed, same = self.all(is_same=False), self.all(is_same=True)
        reasons = Counter(one.why_not for one in self.pairs if one.why_not)
        return {
            "n": len(self.pairs),
            "n_changed": changed.pairs,
            "n_same": same.pairs,
            "changed_served": changed.share,
            "same_served": same.share,
            "changed_served_upper95": upper_bound(changed.served, changed.pairs),
            "changed_served_by_kind": {kind: one.share for kind, one in self.by_kind(is_same=False).items()},
            "same_served_by_kind": {kind: one.share for kind, one in self.by_kind(is_same=True).items()},
            "refused": dict(reasons.most_common()),
        }


def judge(path: Path, encode: Encode, wrong_answers_max: float = WRONG_ANSWERS_MAX) -> Trial:
    """Ask the second prompt of each pair where the first is all that is cached, on a route that has seen nothing yet.

    Columns: a (cached), b (asked), same_answer (1 or 0) and, if any, kind.
    """
    rows = list(_read(path))
    cached = encode([row.cached for row in rows])
    asked = encode([row.asked for row in rows])
    cosines = np.einsum("ij,ij->i", cached, asked) if rows else ()
    fresh = plan({}, wrong_answers_max)
    pairs = []
    for row, cosine in zip(rows, cosines, strict=True):
        verdict = consider(row.asked, [Candidate(float(cosine), row.cached)])
        served = fresh.decide(verdict, {}, draw=1.0).action is Action.SERVE
        reason = verdict.reason if verdict.index is None else f"doubt: {verdict.doubt}"
        pairs.append(Pair(row.cached, row.asked, row.is_same, row.kind, None if served else reason))
    return Trial(pairs)


def _read(path: Path) -> Sequence[Pair]:
    pairs = []
    for number, row in read_rows(path, ("a", "b", "same_answer")):
        cached, asked, same = row["a"], row["b"], row["same_answer"]
        if not isinstance(cached, str) or not isinstance(asked, str) or same not in (0, 1):
            raise BadRows(f"{path}, line {number}: a and b must be strings, and same_answer 0 or 1")
        pairs.append(Pair(cached, asked, bool(same), str(row.get("kind") or "all"), None))
    return pairs


def _tally(pairs: Sequence[Pair]) -> Tally:
    return Tally(len(pairs), sum(one.why_not is None for one in pairs))
