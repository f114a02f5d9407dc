"""Asks Redis to admit a call, and what its answer means: room, a refusal in words, or balances to rebuild."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from gateway.domain import NO_ROOM_TOLD, Admission, Balance, BudgetClaim, LimitClaim, Room
from gateway.errors import BudgetExceeded, BudgetsUnavailable, GatewayError, RateLimited, StoreUnavailable
from gateway.stores.balances import Balances
from gateway.stores.books import ClaimPacker, Journaled, Keys
from gateway.stores.redis_link import Link, Script
from policies.refusal_text import budget_refusal, limit_refusal

_OPEN = Script.load("journal_open", "books", "rates")


class Admissions:
    """``admit`` checks and takes a call's limits, holds its money and records its intent, all in one script."""

    def __init__(
        self,
        link: Link,
        balances: Balances,
        pack_claims: ClaimPacker,
        *,
        serves_without_balances: bool,
        on_alert: Callable[[str], None],
    ) -> None:
        """``serves_without_balances``: while balances cannot be rebuilt, calls go on without their budgets.

        ``on_alert`` is told the organization for which an alert was left in Redis.
        """
        self._link = link
        self._balances = balances
        self._pack_claims = pack_claims
        self._serves_without_balances = serves_without_balances
        self._on_alert = on_alert

    async def admit(self, keys: Keys, intent: Journaled, asked_by: tuple[str, str], admission: Admission) -> Room:
        """Ask, and again after every rebuild that the answer calls for; ``asked_by``: instance and request.

        Raises RedisError, RateLimited, BudgetExceeded and BudgetsUnavailable.
        """
        tries = 0
        while True:
            claims = self._pack_claims(admission.claims)
            reply = await self._link.script(
                _OPEN,
                (keys.books, keys.open, keys.instances),
                (
                    intent.id,
                    intent.entry,
                    *asked_by,
                    admission.hold_nusd,
                    admission.input_tokens,
                    admission.ladder_pct,
                    claims.budgets,
                    claims.limits,
                ),
            )
            judgement = judged(reply, admission)
            if isinstance(judgement, Room):
                return judgement
            if isinstance(judgement, Refused):
                if judgement.has_alerted:
                    self._on_alert(intent.organization_id)
                raise judgement.error
            unknown = [admission.claims.budgets[index] for index in judgement.which]
            try:
                await self._balances.rebuild(intent.organization_id, unknown, tries)
            except StoreUnavailable as exc:
                if not self._serves_without_balances:
                    raise BudgetsUnavailable(f"What is left of the budgets cannot be told right now: {exc}") from exc
                admission = dataclasses.replace(admission, claims=admission.claims._replace(budgets=()))
            tries += 1


class Unknown(NamedTuple):
    """Balances that nobody knows; ``which`` of the claimed budgets."""

    which: tuple[int, ...]


class Refused(NamedTuple):
    """The call may not start; ``has_alerted``: an alert was left in Redis."""

    error: GatewayError
    has_alerted: bool = False


def judged(reply: object, admission: Admission) -> Room | Unknown | Refused:
    """Read an answer. Raises ValueError for one that the script does not give."""
    match reply:
        case [b"ok", -1, _, _, -1, _, _]:
            return NO_ROOM_TOLD
        case [b"ok", int(requests), int(requests_left), int(requests_ms), int(tokens), int(left), int(tokens_ms)]:
            return Room(
                limit_requests=requests if requests >= 0 else None,
                remaining_requests=requests_left if requests >= 0 else None,
                reset_requests_ms=requests_ms,
                limit_tokens=tokens if tokens >= 0 else None,
                remaining_tokens=left if tokens >= 0 else None,
                reset_tokens_ms=tokens_ms,
            )
        case [b"limit", int(which), bytes(kind), int(wait_ms), int(limit), int(rest)]:
            return _over_limit(admission.claims.limits[which - 1], kind, wait_ms, limit, rest)
        case [b"budget", int(which), int(spent), int(held), bytes(_), int(told)]:
            balance = Balance(spent, held)
            return _over_budget(admission.claims.budgets[which - 1], balance, admission.hold_nusd, told == 1)
        case [b"unknown", *which]:
            return Unknown(tuple(index - 1 for index in which if isinstance(index, int)))
        case _:
            raise ValueError(f"an admission was answered with {reply!r}")


def _over_limit(claim: LimitClaim, kind: bytes, wait_ms: int, limit: int, rest: int) -> Refused:
    message, details = limit_refusal(claim, kind.decode(), wait_ms)
    room = _room_of_refusal(kind, wait_ms, limit, rest)
    headers = {"retry-after": str(-(-wait_ms // 1000)), "retry-after-ms": str(wait_ms)}
    return Refused(RateLimited(message, headers=headers, details=details, room=room))


def _over_budget(claim: BudgetClaim, balance: Balance, hold_nusd: int, has_alerted: bool) -> Refused:
    message, details = budget_refusal(claim, balance, hold_nusd)
    error = BudgetExceeded(message, details=details, on_exhausted=claim.budget.on_exhausted)
    return Refused(error, has_alerted)


def _room_of_refusal(kind: bytes, wait_ms: int, limit: int, rest: int) -> Room:
    if kind == b"tokens":
        return Room(limit_tokens=limit, remaining_tokens=rest, reset_tokens_ms=wait_ms)
    if kind == b"requests":
        return Room(limit_requests=limit, remaining_requests=0, reset_requests_ms=wait_ms)
    return NO_ROOM_TOLD
