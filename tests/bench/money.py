"""What budgets and limits cost: five scopes and ten limits on the path, 20,000 budgets, a ledger of a million rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Actor, MeterReading, Role, Scope, Window
from gateway.stores import database, tables
from gateway.stores.budgets import BudgetStore
from gateway.stores.embedded import layout
from gateway.stores.limits import LimitStore

ROUTE, MODEL = "static", "bench"  # of the catalog that processes.py writes
BUDGETS, ROWS = 20_000, 1_000_000
APPLIED_S = 2.0  # a change of rules is in force everywhere within one
_PLENTY = 1_000_000_000
_OWNER = Actor("bench", "bench", Role.OWNER)

_METERS = msgspec.json.encode(
    [MeterReading("input", 10, 250_000_000), MeterReading("output", 20, 2_000_000_000)]
).decode()

Work = Callable[[AsyncEngine], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RedisUse:
    """What a Redis had done: scripts run, and the microseconds that it spent in them."""

    scripts: int
    script_us: int


class Money:
    """Writes rules and rows into the stores of a running gateway."""

    def __init__(self, data_dir: Path) -> None:
        self._places = layout(data_dir)

    def add_rules(self) -> None:
        """Five budgets and ten limits that every request of the load draws on."""
        self._run(self._add_rules)

    def add_many_budgets(self) -> None:
        """20,000 more budgets in the same organization: half for other teams, half for other end users."""
        self._run(_add_many_budgets)

    def add_rows(self) -> None:
        """A million ledger rows of the last thirty days in the same organization."""
        self._run(_add_rows)

    def redis_use(self) -> RedisUse:
        async def ask() -> RedisUse:
            async with Redis.from_url(self._places.redis_url) as redis:
                stats: dict[str, dict[str, Any]] = await redis.info("commandstats")
            scripts = [stats[name] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats]
            return RedisUse(sum(int(one["calls"]) for one in scripts), sum(int(one["usec"]) for one in scripts))

        return asyncio.run(ask())

    async def _add_rules(self, engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            asked = select(tables.keys.c.id, tables.teams.c.id, tables.teams.c.organization_id).join_from(
                tables.keys, tables.teams
            )
            key, team, organization = (await connection.execute(asked)).one()
        whose = [{}, {"team_id": team}, {"key_id": key}]
        scopes = [*whose, {"route": ROUTE}, {"model": MODEL}]
        budgets, limits = BudgetStore(engine), LimitStore(engine)
        for scope in scopes:
            await budgets.create(
                _OWNER, Scope(organization, **scope), limit_nusd=_PLENTY * 1_000_000, window=Window.MONTH
            )
        more = [{**one, **what} for one in whose[1:] for what in ({"route": ROUTE}, {"model": MODEL})]
        more.append({"route": ROUTE, "model": MODEL})
        for scope in [*scopes, *more]:
            rates = ("requests_per_minute", "tokens_per_minute", "parallel_requests")
            await limits.create(_OWNER, Scope(organization, **scope), dict.fromkeys(rates, _PLENTY))
        await asyncio.sleep(APPLIED_S)

    def _run(self, work: Work) -> None:
        async def run() -> None:
            engine = database.connect(self._places.database_url, command_timeout_s=None)
            try:
                await work(engine)
            finally:
                await engine.dispose()

        asyncio.run(run())


async def _add_many_budgets(engine: AsyncEngine) -> None:
    half = range(BUDGETS // 2)
    async with engine.begin() as connection:
        organization = (await connection.execute(select(tables.organizations.c.id))).scalars().first()
        common = {
            "organization_id": organization,
            "limit_nusd": _PLENTY,
            "window": str(Window.MONTH),
            "time_zone": "UTC",
            "is_rolling": False,
            "soft_limit_pct": [50, 80, 95],
            "on_exhausted": "refuse",
        }
        for table, rows in (
            (
                tables.teams,
                [{"id": f"bench_team_{n}", "organization_id": organization, "name": f"bench team {n}"} for n in half],
            ),
            (tables.budgets, [{"id": f"bench_a_{n}", "team_id": f"bench_team_{n}", **common} for n in half]),
            (tables.budgets, [{"id": f"bench_b_{n}", "end_user": f"bench user {n}", **common} for n in half]),
        ):
            await connection.execute(insert(table), rows)
    await asyncio.sleep(2 * APPLIED_S)


async def _add_rows(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        organization = (await connection.execute(select(tables.organizations.c.id))).scalars().first()
        await connection.execute(
            text("""
                INSERT INTO ledger_entries (
                    id, request_id, created_at, instance, attempt, organization_id, team_id, key_id, endpoint,
                    is_stream, deployment, provider, model_asked, model, purpose, source, basis, status,
                    input_tokens, cached_input_tokens, cache_write_tokens, cache_write_long_tokens, output_tokens,
                    reasoning_tokens, meters, cost_nusd, baseline_nusd, is_baseline_estimated, tags)
                SELECT gen_random_uuid(), 'req_' || n, now() - interval '30 days' * random(), 'bench', 1, :organization,
                       'bench_team_' || n % 100, 'bench_key_' || n % 1000, 'chat/completions', false, 'static-upstream',
                       'nginx', 'static', 'bench', 'answer', 'upstream', 'reported', 'succeeded', 10, 0, 0, 0, 20, 0,
                       CAST(:meters AS jsonb), 42500, 42500, false, '{}'
                FROM generate_series(1, :rows) AS n
            """),
            {"organization": organization, "rows": ROWS, "meters": _METERS},
        )
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("SET statement_timeout = 0"))
        await autocommit.execute(text("VACUUM ANALYZE ledger_entries"))
        await autocommit.execute(text("CHECKPOINT"))
