"""The books of an organization in Redis: names of the keys, and claims as the scripts read them.

What lies under the keys is said at the top of lua/books.lua.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain import BudgetClaim, Claims, LimitClaim
from gateway.stores.redis_wire import Arg

_KEPT_MAX = 20_000
_NONE = b"-1"


class Journaled(NamedTuple):
    """One entry as it lies in the journal: ``entry`` is the JSON of a LedgerEntry."""

    id: str
    organization_id: str
    entry: bytes


class Keys(NamedTuple):
    """The keys of one instance in one organization, all under one hash tag."""

    books: str
    open: str
    journal: str
    instances: str

    @classmethod
    def of(cls, organization_id: str, instance: str) -> Keys:
        prefix = f"obol:{{{organization_id}}}:"
        return cls(f"{prefix}books", f"{prefix}open:{instance}", f"{prefix}journal:{instance}", f"{prefix}instances")


def claim_args(claim: BudgetClaim) -> tuple[Arg, ...]:
    """CLAIM_SIZE arguments, read by ``claim_at`` of lua/books.lua."""
    budget, period = claim.budget, claim.period
    return (
        claim.name.encode(),
        period.start_ms,
        budget.updated_at_ms,
        b"" if period.end_ms is None else period.end_ms,
        period.cell_ms,
        period.cells,
        claim.limit_nusd,
        budget.on_exhausted.encode(),
        ",".join(map(str, budget.soft_limit_pct)).encode(),
    )


def _limit_args(claim: LimitClaim) -> tuple[Arg, ...]:
    limit = claim.limit
    numbers = (limit.requests_per_minute, limit.tokens_per_minute, limit.tokens_per_day, limit.parallel_requests)
    return (claim.name.encode(), *(_NONE if number is None else number for number in numbers))


class EncodedClaims(NamedTuple):
    """The arguments of one Claims: all budgets', all limits'."""

    claims: Claims
    budgets: tuple[Arg, ...]
    limits: tuple[Arg, ...]


class ClaimEncoder:
    """Encodes claims once: the rule book gives the same object for as long as it holds."""

    def __init__(self) -> None:
        self._kept: dict[int, EncodedClaims] = {}

    def __call__(self, claims: Claims) -> EncodedClaims:
        found = self._kept.get(id(claims))
        if found is not None and found.claims is claims:  # ids come again once their object is gone
            return found
        budgets = tuple(arg for claim in claims.budgets for arg in claim_args(claim))
        limits = tuple(arg for claim in claims.limits for arg in _limit_args(claim))
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        found = self._kept[id(claims)] = EncodedClaims(claims, budgets, limits)
        return found


def hold_record(hold_nusd: int, claims: Claims) -> str:
    """What stands in ``holds`` for an attempt, '' when nothing is held."""
    if not hold_nusd or not claims.budgets:
        return ""
    return "\n".join((str(hold_nusd), *(claim.name for claim in claims.budgets)))


def place_record(second: int, tokens: int, claims: Claims) -> str:
    """What stands in ``places`` for a request that is counted."""
    lines = [str(second), str(tokens)]
    for claim in claims.limits:
        limit = claim.limit
        flags = (limit.parallel_requests, limit.tokens_per_minute, limit.tokens_per_day)
        lines.append("".join("0" if flag is None else "1" for flag in flags) + claim.name)
    return "\n".join(lines)
