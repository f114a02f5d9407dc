"""The books of an organization in Redis: names of the keys, and claims as the scripts read them.

What lies under the keys is said at the top of lua/books.lua.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.domain import BudgetClaim, Claims, LimitClaim

_KEPT_MAX = 20_000
_pack = msgspec.msgpack.Encoder().encode


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


def pack_claims(claims: Sequence[BudgetClaim]) -> bytes:
    """Budgets' claims as ``claims_in`` of lua/books.lua reads them."""
    return _pack([_claim(one) for one in claims])


def _claim(claim: BudgetClaim) -> dict[str, object]:
    budget, period = claim.budget, claim.period
    packed: dict[str, object] = {
        "name": claim.name,
        "start": period.start_ms,
        "known": budget.updated_at_ms,
        "cell_ms": period.cell_ms,
        "cells": period.cells,
        "limit": claim.limit_nusd,
        "mode": budget.on_exhausted,
        "pcts": sorted(budget.soft_limit_pct),
    }
    return packed if period.end_ms is None else packed | {"finish": period.end_ms}


def _limit(claim: LimitClaim) -> dict[str, object]:
    limit = claim.limit
    rates = {
        "requests": limit.requests_per_minute,
        "tokens": limit.tokens_per_minute,
        "tokens_day": limit.tokens_per_day,
        "parallel": limit.parallel_requests,
    }
    return {"name": claim.name, **{name: rate for name, rate in rates.items() if rate is not None}}


class PackedClaims(NamedTuple):
    """One Claims as lua/journal_open.lua and journal_settle.lua read it."""

    claims: Claims
    budgets: bytes
    limits: bytes


class ClaimPacker:
    """Packs claims once: the rule book gives the same object for as long as it holds."""

    def __init__(self) -> None:
        self._kept: dict[int, PackedClaims] = {}

    def __call__(self, claims: Claims) -> PackedClaims:
        found = self._kept.get(id(claims))
        if found is not None and found.claims is claims:  # ids come again once their object is gone
            return found
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        limits = _pack([_limit(one) for one in claims.limits])
        found = self._kept[id(claims)] = PackedClaims(claims, pack_claims(claims.budgets), limits)
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
