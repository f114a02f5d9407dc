"""Limits in Postgres: what admins do with them. The path asks the rule cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor, Limit, Scope
from gateway.errors import Conflict
from gateway.stores.records import new_id
from gateway.stores.rules import Announce, RuleRecord, RuleStore, announce_nothing, kind_of_rule
from gateway.stores.scopes import is_same_scope, scope_values, subject_in
from gateway.stores.tables import limits
from policies.rule_book import RATES
from policies.scopes import scope_fields

LimitRecord: TypeAlias = RuleRecord[Limit]


def _read(row: Row[*tuple[Any, ...]], scope: Scope) -> Limit:
    return Limit(
        id=row.id,
        scope=scope,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        tokens_per_day=row.tokens_per_day,
        parallel_requests=row.parallel_requests,
        subject=subject_in(row, scope),
        contact=row.contact,
    )


LIMIT = kind_of_rule("limit", limits, RATES, _read)


class LimitStore(RuleStore[Limit]):
    """Reads and writes limits. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, announce: Announce = announce_nothing) -> None:
        super().__init__(engine, LIMIT, announce)

    async def create(self, actor: Actor, scope: Scope, rates: Mapping[str, int | None]) -> LimitRecord:
        """Raises Conflict where the scope has a limit already, and for one without any rate."""
        return await self._create(actor, {"id": new_id("limit"), **scope_values(scope), **rates})

    async def update(self, actor: Actor, limit_id: str, rates: Mapping[str, int | None]) -> LimitRecord:
        """Set rates, None for unlimited. Raises NotFound, and Conflict where none would be left."""
        return await self._change(actor, limit_id, rates)

    def told(self, record: LimitRecord) -> dict[str, object]:
        """The limit as the admin API and the audit log show it."""
        limit = record.rule
        return {
            "id": limit.id,
            "organization_id": limit.scope.organization_id,
            "scope": scope_fields(limit.scope),
            "model": limit.scope.model,
            **{rate: getattr(limit, rate) for rate in RATES},
            "created_at": record.created_at,
            "updated_at": record.updated_at,
        }

    async def _check(self, connection: AsyncConnection, record: LimitRecord) -> None:
        limit = record.rule
        if all(getattr(limit, rate) is None for rate in RATES):
            raise Conflict(f"A limit states at least one of {', '.join(RATES)}.", param=RATES[0], code="no_rate")
        same = select(limits.c.id).where(
            is_same_scope(limits, limit.scope), limits.c.deleted_at.is_(None), limits.c.id != limit.id
        )
        if (other := (await connection.execute(same.limit(1))).scalar()) is not None:
            raise Conflict(f"The limit {other!r} has the same scope: change that one.", param="scope")
