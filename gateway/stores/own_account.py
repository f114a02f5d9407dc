"""What a virtual key may know of itself: whose it is, what it spent, and what its budgets and limits leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.exceptions import RedisError
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Balance, BudgetClaim, Caller, LimitClaim
from gateway.errors import BudgetsUnavailable
from gateway.stores.balances import Balances, LimitUse
from gateway.stores.database import translated
from gateway.stores.rule_cache import RuleCache
from gateway.stores.tables import ledger_entries, members, organizations


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """The account of one key at one moment. Amounts are nano-dollars, days and months those of UTC."""

    organization_name: str | None
    member_name: str | None
    today_nusd: int
    month_nusd: int
    budgets: Sequence[tuple[BudgetClaim, Balance]]
    limits: Sequence[tuple[LimitClaim, LimitUse]]


class OwnAccounts:
    """Reads accounts. Raises StoreUnavailable while Postgres is away, BudgetsUnavailable while Redis is."""

    def __init__(self, engine: AsyncEngine, rules: RuleCache, balances: Balances) -> None:
        self._engine = engine
        self._rules = rules
        self._balances = balances

    async def of(self, caller: Caller, now_ms: int) -> OwnAccount:
        """The account of the caller's key."""
        organization_id = caller.organization_id
        claims = self._rules.claims_of_key(organization_id, caller.team_id, caller.member_id, caller.key_id, now_ms)
        organization_name, member_name, today_nusd, month_nusd = await self._written(caller, now_ms)
        try:
            balances = await self._balances.read(organization_id, claims.budgets)
            uses = await self._balances.used(organization_id, claims.limits)
        except RedisError as exc:
            raise BudgetsUnavailable("What is left of the budgets cannot be told right now. Please retry.") from exc
        return OwnAccount(
            organization_name=organization_name,
            member_name=member_name,
            today_nusd=today_nusd,
            month_nusd=month_nusd,
            budgets=list(zip(claims.budgets, balances, strict=True)),
            limits=list(zip(claims.limits, uses, strict=True)),
        )

    async def _written(self, caller: Caller, now_ms: int) -> tuple[str | None, str | None, int, int]:
        """Names, and what the ledger says of the key's day and month."""
        day = datetime.fromtimestamp(now_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        cost = func.coalesce(func.sum(ledger_entries.c.cost_nusd), 0)
        is_own: ColumnElement[bool] = ledger_entries.c.key_id == caller.key_id
        query = select(
            select(organizations.c.name).where(organizations.c.id == caller.organization_id).scalar_subquery(),
            select(members.c.name).where(members.c.id == caller.member_id).scalar_subquery(),
            select(cost).where(is_own, ledger_entries.c.created_at >= day).scalar_subquery(),
            select(cost).where(is_own, ledger_entries.c.created_at >= day.replace(day=1)).scalar_subquery(),
        )
        with translated():
            async with self._engine.connect() as connection:
                organization, member, today, month = (await connection.execute(query)).one()
        return organization, member, int(today), int(month)
