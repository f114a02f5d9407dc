"""How often a route may be wrong, and what it does to keep to that: the error budget of its similar answers.

An operator says what share of *requests* may get a wrong answer (``wrong_answers_max``). Of what would be served, some
is answered anew instead ("in the shadow") and compared: half at first, and the less the more comparisons a tenant has
of that kind of doubt, but never less than ``_AUDIT_MIN``. So is what comes next to being served: a model answers that
anyway, and it is a miss. Comparisons of all tenants count alike: new ones, of whom more are compared, weigh more than
their share, which errs on the careful side. Everything is counted in whole numbers that all replicas add up in one
place, by epochs of so many requests, of which the latest few count. Three things follow from the counts:

1. *Correction.* The score's risks are the same for all routes. For each kind of doubt, and within it for each tenant,
   what was found wrong is set against what the score had foretold: (wrong + prior) / (foretold + prior).
2. *Limit.* Corrected risks are counted by bins. The limit is the highest bin up to which the wrong answers of all
   would-be hits, at the upper end of what the comparisons leave open, stay within what is planned with: less than the
   share, as wrong answers come by chance.
3. *Brake.* Where what was given of late had more risk than planned, less is given until the window is over.

Pure: counts in, a plan out. A plan serves for some fifty requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from policies.semantic.considering import Verdict
from policies.semantic.guards import DOUBTS

WINDOW = 2_000  # requests, in each of which the share has to be kept
EPOCH = 1_000  # requests
EPOCHS = 4  # that count, the present one among them
# Bin b holds corrected risks up to EDGES[b].
EDGES = tuple(0.0005 * 1.35**step for step in range(21))
CLOSED = -1  # the limit of a route that serves nothing
_OUT = len(EDGES)  # the bin of what is never served
_MICRO = 1_000_000

_FACTOR = {"none": 1.0, "words": 1.0, "negation": 1.5, "question": 1.5}  # of risks, at the beginning
_FACTOR_DOUBTED = 4.0
_WEIGHT = {"none": 3.0}  # of the beginning, in wrong answers
_WEIGHT_DOUBTED = 1.5
_TENANT_WEIGHT = 2.0
_BIN_WEIGHT = 20.0  # of the upper edge of a bin, in comparisons
_HITS_FIRST = 0.4  # share of requests that are would-be hits, before any were seen
_HITS_WEIGHT = 200  # of that, in requests
_DEVIATIONS = 0.3  # above what is expected, within which the share has to stay
_REST_MIN = 500  # requests that what is left of a window has to do for
_CERTAIN = 2.33  # deviations that one of a hundred exceeds
_AUDIT_MIN = 0.04  # share of would-be hits that are answered anew
_AUDIT_FIRST = 0.5
_AUDIT_LEAST = 6  # comparisons, from which on that share is half of the first one
_NEXT = 8  # bins above the limit that are compared


class Action(Enum):
    SERVE = "serve"
    SHADOW = "shadow"  # a model answers; what would have been served is compared with its answer
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Decision:
    """``index``: the candidate served or compared; ``foretold``: its risk; ``risk``: corrected for the route."""

    action: Action
    index: int | None
    doubt: str
    foretold: float
    risk: float
    bin: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What is to be added to the counts of a route, and of a tenant on that route."""

    route: Mapping[str, int]
    tenant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a route does until the next plan.

    ``limit``: the highest bin that is served; ``expected_wrong``: share of requests, at the upper end; ``factors``: of
    risks, by doubt; ``rung``: of the share that it keeps to, see ``_rung``.
    """

    epoch: int
    limit: int
    expected_wrong: float
    factors: Mapping[str, float]
    rung: int

    def decide(self, verdict: Verdict, tenant: Mapping[str, int], draw: float) -> Decision:
        """``tenant``: its counts on this route; ``draw``: by chance, from 0 to 1."""
        factor = _factor(tenant, verdict.doubt, self.epoch, self.factors[verdict.doubt], _TENANT_WEIGHT)
        odds = factor * verdict.risk / max(1e-9, 1 - verdict.risk)
        risk = odds / (1 + odds)
        at = _bin_of(risk) if verdict.index is not None else _OUT
        if at == _OUT or at > max(self.limit, 0) + _NEXT:
            action = Action.MISS
        else:
            action = Action.SHADOW if at > self.limit or draw < self._audited(tenant, verdict.doubt) else Action.SERVE
        return Decision(action, verdict.index, verdict.doubt, verdict.risk, risk, at)

    def _audited(self, tenant: Mapping[str, int], doubt: str) -> float:
        compared = _sum(tenant, f"{doubt}:looked", self.epoch)
        return max(_AUDIT_MIN, _AUDIT_FIRST * _AUDIT_LEAST / (_AUDIT_LEAST + compared))

    def asked(self, decision: Decision | None) -> Counts:
        """What a request adds. Without a decision: it was not looked up, or was answered by the exact cache."""
        would = {f"{self.epoch}:would:{decision.bin}": 1} if decision and decision.bin < _OUT else {}
        counts = {"requests": 1, f"{self.epoch}:requests": 1, f"{self.epoch}:asked:{self.rung}": 1, **would}
        if decision and decision.action is Action.SERVE:
            counts[f"{self.epoch}:given:{self.rung}"] = round(decision.risk * _MICRO)
        return Counts(counts, {})

    def compared(self, decision: Decision, *, is_wrong: bool) -> Counts:
        """What a comparison adds, of a decision for the shadow."""
        tally = {
            f"{self.epoch}:{decision.doubt}:foretold": round(decision.foretold * _MICRO),
            f"{self.epoch}:{decision.doubt}:looked": 1,
            f"{self.epoch}:{decision.doubt}:wrong": int(is_wrong),
        }
        bins = {f"{self.epoch}:looked:{decision.bin}": 1, f"{self.epoch}:wrong:{decision.bin}": int(is_wrong)}
        return Counts(tally | bins, tally)


def plan(route: Mapping[str, int], wrong_answers_max: float) -> Plan:
    """``route``: all its counts, none at first; ``wrong_answers_max``: a share of requests; 0 serves nothing."""
    epoch = route.get("requests", 0) // EPOCH
    factors = {
        doubt: _factor(route, doubt, epoch, _FACTOR.get(doubt, _FACTOR_DOUBTED), _WEIGHT.get(doubt, _WEIGHT_DOUBTED))
        for doubt in DOUBTS
    }
    rung = _rung(wrong_answers_max)
    limit, expected = _limit(route, epoch, _left(route, epoch, rung, planned(wrong_answers_max)))
    return Plan(epoch, limit, expected, factors, rung)


def planned(share: float) -> float:
    """The share to plan with, so that about 99 of 100 windows keep to ``share``: wrong answers come by chance.

    The mean at which a Poisson count is ``_CERTAIN`` deviations below the most that a window may have.
    """
    most = share * WINDOW
    return (most + _CERTAIN**2 / 2 - _CERTAIN * math.sqrt(most + _CERTAIN**2 / 4)) / WINDOW


def stale(counts: Mapping[str, int], epoch: int) -> list[str]:
    """Fields that no longer count, of a route or a tenant: to be deleted."""
    return [name for name in counts if name[0].isdigit() and int(name.partition(":")[0]) <= epoch - EPOCHS]


def _rung(share: float) -> int:
    """Under which requests of about this share are counted: callers that are stricter have a brake of their own."""
    return round(4 * math.log2(max(share, 1e-6)))


def _left(route: Mapping[str, int], epoch: int, rung: int, share: float) -> float:
    """What is left of a planned share for the rest of a window, after what was given in this epoch and the last."""
    recent = (epoch - 1, epoch)
    asked = sum(route.get(f"{age}:asked:{rung}", 0) for age in recent)
    given = sum(route.get(f"{age}:given:{rung}", 0) for age in recent) / _MICRO
    return min(share, max(0.0, share * WINDOW - given) / max(_REST_MIN, WINDOW - asked))


def _limit(route: Mapping[str, int], epoch: int, share: float) -> tuple[int, float]:
    requests = _sum(route, "requests", epoch)
    limit, expected, mean, variance = CLOSED, 0.0, 0.0, 0.0
    for at, edge in enumerate(EDGES):
        would, looked, wrong = (_sum(route, f"{name}:{at}", epoch) for name in ("would", "looked", "wrong"))
        part = (would + _HITS_WEIGHT * _HITS_FIRST / _OUT) / (requests + _HITS_WEIGHT)
        chance = min(1.0, (wrong + _BIN_WEIGHT * edge) / (looked + _BIN_WEIGHT))
        mean += part * chance
        variance += part * part * chance * (1 - chance) / (looked + _BIN_WEIGHT)
        upper = mean + _DEVIATIONS * math.sqrt(variance)
        if upper > share:
            break
        limit, expected = at, upper
    return limit, expected


def _bin_of(risk: float) -> int:
    return next((at for at, edge in enumerate(EDGES) if risk <= edge), _OUT)


def _factor(counts: Mapping[str, int], doubt: str, epoch: int, prior: float, weight: float) -> float:
    wrong, foretold = (_sum(counts, f"{doubt}:{name}", epoch) for name in ("wrong", "foretold"))
    return (wrong + weight * prior) / (foretold / _MICRO + weight)


def _sum(counts: Mapping[str, int], name: str, epoch: int) -> int:
    return sum(counts.get(f"{age}:{name}", 0) for age in _epochs(epoch))


def _epochs(last: int) -> Iterable[int]:
    return range(max(0, last - EPOCHS + 1), last + 1)
