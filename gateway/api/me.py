"""GET /v1/me: what a virtual key may know of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Request

from gateway.api.auth import authenticate
from gateway.api.refusals import KEY_REFUSALS, NEEDS_KEY
from gateway.domain import Balance, BudgetClaim, Caller, LimitClaim
from gateway.ports import Services
from gateway.stores.balances import LimitUse
from gateway.stores.own_account import OwnAccount, OwnAccounts
from policies.refusal_text import dollars, instant
from policies.scopes import scope_fields


def me_router(services: Services, accounts: OwnAccounts, flush: Callable[[], Awaitable[None]]) -> APIRouter:
    """The route. ``flush`` ships this process's charges, so that a key finds its own last call."""
    router = APIRouter(responses=KEY_REFUSALS, dependencies=[NEEDS_KEY])

    @router.get("/v1/me")
    async def read_own_account(request: Request) -> dict[str, object]:
        caller = await authenticate(request.scope, services.keys, services.trusted_proxies)
        await flush()
        account = await accounts.of(caller, int(services.clock.unix_s() * 1000))
        return {
            "key": {
                "id": caller.key_id,
                "name": caller.key_name,
                "expires_at": _expiry(caller),
                "models": None if caller.models is None else sorted(caller.models),
            },
            "team": {"id": caller.team_id, "name": caller.team_name},
            "member": _member(caller, account),
            "organization": {"id": caller.organization_id, "name": account.organization_name},
            "spend": {"today_usd": dollars(account.today_nusd), "month_usd": dollars(account.month_nusd)},
            "budgets": [_budget(claim, balance) for claim, balance in account.budgets],
            "limits": [_limit(claim, use) for claim, use in account.limits],
        }

    return router


def _expiry(caller: Caller) -> str | None:
    if caller.expires_at_s is None:
        return None
    return datetime.fromtimestamp(caller.expires_at_s, UTC).isoformat().replace("+00:00", "Z")


def _member(caller: Caller, account: OwnAccount) -> dict[str, object] | None:
    return None if caller.member_id is None else {"id": caller.member_id, "name": account.member_name}


def _budget(claim: BudgetClaim, balance: Balance) -> dict[str, object]:
    budget = claim.budget
    return {
        "id": budget.id,
        "subject": budget.subject,
        "scope": scope_fields(budget.scope),
        "value": claim.value,
        "window": str(budget.window),
        "is_rolling": budget.is_rolling,
        "limit_usd": dollars(claim.limit_nusd),
        "spent_usd": dollars(balance.spent_nusd),
        "held_usd": dollars(balance.held_nusd),
        "remaining_usd": dollars(max(0, claim.limit_nusd - balance.spent_nusd - balance.held_nusd)),
        "resets_at": instant(claim.period.end_ms),
        "on_exhausted": str(budget.on_exhausted),
        "contact": budget.contact,
    }


def _limit(claim: LimitClaim, use: LimitUse) -> dict[str, object]:
    limit = claim.limit
    return {
        "id": limit.id,
        "subject": limit.subject,
        "scope": scope_fields(limit.scope),
        "value": claim.value,
        "requests_per_minute": limit.requests_per_minute,
        "tokens_per_minute": limit.tokens_per_minute,
        "tokens_per_day": limit.tokens_per_day,
        "parallel_requests": limit.parallel_requests,
        "used": {
            "requests_per_minute": use.requests,
            "tokens_per_minute": use.tokens,
            "tokens_per_day": use.tokens_today,
            "parallel_requests": use.parallel,
        },
        "contact": limit.contact,
    }
