"""How often a route may be wrong, and what it does to keep to that: the error budget of its similar answers.

An operator says what share of *requests* may get a wrong answer (``wrong_answers_max``). Of what would be served, some
is answered anew instead ("in the shadow") and compared: half at first, and the less the more comparisons a tenant has
of that kind of doubt, but never less than ``_AUDIT_MIN``. So is what comes next to being served: a model answers that
anyway, and it is a miss. Comparisons of all tenants count alike: new ones, of whom more are compared, weigh more than
their share, which errs on the careful side. Everything is counted in whole numbers that all replicas add up in one
place, by epochs of so many requests, of which the latest few count. Three things follow from the counts:

1. *Correction.* The score's risks are the same for all routes. For each kind of doubt, and within it for each tenant,
   what was found wrong is set against what the score had foretold: (wrong + prior) / (foretold + prior).
2. *Limit.* Corrected risks are counted by bins. How likely each bin is wrong is a straight line through the log odds of
   what was found in all of them, so that what is compared above the limit tells of what lies below it. The limit is the
   highest bin up to which the wrong answers of all would-be hits, at the upper end of what the comparisons leave open,
   stay within what is planned with: less than the share, as wrong answers come by chance. Of the next bin a part is
   served, as much as is left.
3. *Brake.* Where what was given of late had more risk than planned, less is given until the window is over.

Pure: counts in, a plan out. A plan serves for some fifty requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from policies.semantic.considering import Verdict
from policies.semantic.guards import DOUBTS

WINDOW = 2_000  # requests, in each of which the share has to be kept
EPOCH = 1_000  # requests
EPOCHS = 4  # that count, the present one among them
# Bin b holds corrected risks up to EDGES[b].
_GROWTH = 1.35
EDGES = tuple(0.0005 * _GROWTH**step for step in range(21))
CLOSED = -1  # the limit of a route that serves nothing
_OUT = len(EDGES)  # the bin of what is never served
_MICRO = 1_000_000

_FACTOR = {"none": 1.0, "words": 1.0, "negation": 1.5, "question": 1.5}  # of risks, at the beginning
_FACTOR_DOUBTED = 4.0
_WEIGHT = {"none": 3.0}  # of the beginning, in wrong answers
_WEIGHT_DOUBTED = 1.5
_TENANT_WEIGHT = 2.0
_CENTRE = math.log(0.01)  # log odds about which the line turns
_LOG_ODDS = tuple(  # of the middle of each bin, from there
    math.log(middle / (1 - middle)) - _CENTRE for middle in (edge / math.sqrt(_GROWTH) for edge in EDGES)
)
_HEIGHT_FIRST = math.log(0.05)  # the line begins with risks five times as high as what they say
_SHIFT_WEIGHT = 0.5  # of that beginning: 1 / variance of the line's height
_SLOPE_WEIGHT = 4.0  # and of its slope
_STEPS = 8  # of Newton's method
_STEEPEST = 30.0  # log odds that a chance has at most
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

    ``limit``: the highest bin that is served whole; ``part``: of the next one that is served, from 0 to 1;
    ``expected_wrong``: share of requests, at the upper end; ``chances``: how likely each bin is wrong; ``factors``: of
    risks, by doubt; ``rung``: of the share that it keeps to, see ``_rung``.
    """

    epoch: int
    limit: int
    part: float
    expected_wrong: float
    chances: tuple[float, ...]
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
            action = Action.SERVE if draw > 1 - self._served(at, tenant, verdict.doubt) else Action.SHADOW
        return Decision(action, verdict.index, verdict.doubt, verdict.risk, risk, at)

    def _served(self, at: int, tenant: Mapping[str, int], doubt: str) -> float:
        """The share of a bin that is served; the rest is compared."""
        whole = 1.0 if at <= self.limit else self.part if at == self.limit + 1 else 0.0
        return whole * (1 - self._audited(tenant, doubt))

    def _audited(self, tenant: Mapping[str, int], doubt: str) -> float:
        compared = _sum(tenant, f"{doubt}:looked", self.epoch)
        return max(_AUDIT_MIN, _AUDIT_FIRST * _AUDIT_LEAST / (_AUDIT_LEAST + compared))

    def asked(self, decision: Decision | None) -> Counts:
        """What a request adds. Without a decision: it was not looked up, or was answered by the exact cache."""
        would = {f"{self.epoch}:would:{decision.bin}": 1} if decision and decision.bin < _OUT else {}
        counts = {"requests": 1, f"{self.epoch}:requests": 1, f"{self.epoch}:asked:{self.rung}": 1, **would}
        if decision and decision.action is Action.SERVE:
            counts[f"{self.epoch}:given:{self.rung}"] = round(self.chances[decision.bin] * _MICRO)
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
    chances = _chances(route, epoch)
    left = _left(route, epoch, rung, planned(wrong_answers_max))
    limit, part, expected = _limit(route, epoch, left, chances)
    return Plan(epoch, limit, part, expected, tuple(chance for chance, _ in chances), factors, rung)


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


def _limit(
    route: Mapping[str, int], epoch: int, share: float, chances: Sequence[tuple[float, float]]
) -> tuple[int, float, float]:
    """The limit, the part of the next bin, and the share that is expected to be wrong with both."""
    requests = _sum(route, "requests", epoch)
    expected = 0.0
    for at, (chance, deviation) in enumerate(chances):
        would = _sum(route, f"would:{at}", epoch)
        part = (would + _HITS_WEIGHT * _HITS_FIRST / _OUT) / (requests + _HITS_WEIGHT)
        more = part * (chance + _DEVIATIONS * deviation)
        if expected + more > share:
            return at - 1, (share - expected) / more, share
        expected += more
    return _OUT - 1, 0.0, expected


def _chances(route: Mapping[str, int], epoch: int) -> list[tuple[float, float]]:
    """How likely each bin is wrong, and the standard deviation of that: a logistic regression on the bin's log odds."""
    found = [(at, _sum(route, f"looked:{at}", epoch), _sum(route, f"wrong:{at}", epoch)) for at in range(_OUT)]
    seen = [(_LOG_ODDS[at], looked, wrong) for at, looked, wrong in found if looked]
    height, slope = _HEIGHT_FIRST, 1.0
    for _ in range(_STEPS):
        up, turn = _SHIFT_WEIGHT * (height - _HEIGHT_FIRST), _SLOPE_WEIGHT * (slope - 1.0)
        heights, both, slopes = _SHIFT_WEIGHT, 0.0, _SLOPE_WEIGHT  # the matrix of second derivatives
        for place, looked, wrong in seen:
            chance = _chance(height + slope * place)
            error, weight = looked * chance - wrong, looked * chance * (1 - chance)
            up, turn = up + error, turn + error * place
            heights, both, slopes = heights + weight, both + weight * place, slopes + weight * place * place
        area = heights * slopes - both * both
        rise, lean = (slopes * up - both * turn) / area, (heights * turn - both * up) / area
        step = max(1.0, abs(rise), abs(lean))
        height, slope = height - rise / step, slope - lean / step
    told = []
    for place in _LOG_ODDS:
        chance = _chance(height + slope * place)
        variance = max(0.0, slopes - 2 * both * place + heights * place * place) / area
        told.append((chance, chance * (1 - chance) * math.sqrt(variance)))
    return told


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-_STEEPEST, min(_STEEPEST, log_odds))))


def _bin_of(risk: float) -> int:
    return next((at for at, edge in enumerate(EDGES) if risk <= edge), _OUT)


def _factor(counts: Mapping[str, int], doubt: str, epoch: int, prior: float, weight: float) -> float:
    wrong, foretold = (_sum(counts, f"{doubt}:{name}", epoch) for name in ("wrong", "foretold"))
    return (wrong + weight * prior) / (foretold / _MICRO + weight)


def _sum(counts: Mapping[str, int], name: str, epoch: int) -> int:
    return sum(counts.get(f"{age}:{name}", 0) for age in _epochs(epoch))


def _epochs(last: int) -> Iterable[int]:
    return range(max(0, last - EPOCHS + 1), last + 1)
