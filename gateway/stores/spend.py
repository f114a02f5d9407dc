"""What teams spent in the last full hour and on its day so far, beside the same hours a week before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.stores.database import translated
from policies.alerts import LEAST_NUSD, Spend

_WEEK = timedelta(days=7)

# One pass over two spans of at most a day each; the hour lies inside the day.
_SPENT = text("""
    SELECT organization_id, team_id,
           coalesce(sum(cost_nusd) FILTER (WHERE created_at >= :hour), 0)::bigint,
           coalesce(sum(cost_nusd) FILTER (WHERE created_at >= :usual_hour AND created_at < :usual_end), 0)::bigint,
           coalesce(sum(cost_nusd) FILTER (WHERE created_at >= :day), 0)::bigint,
           coalesce(sum(cost_nusd) FILTER (WHERE created_at < :usual_end), 0)::bigint
    FROM ledger_entries
    WHERE (created_at >= :day AND created_at < :end) OR (created_at >= :usual_day AND created_at < :usual_end)
    GROUP BY organization_id, team_id
""")
_OLDER = text("""
    SELECT team FROM unnest(cast(:teams AS text[])) AS team
    WHERE EXISTS (SELECT 1 FROM ledger_entries WHERE team_id = team AND created_at < :before)
""")


async def spend_until(engine: AsyncEngine, end: datetime) -> list[Spend]:
    """Two for each team that spent: the hour before ``end`` (a full hour), and the day in UTC that this hour is in.

    Raises StoreUnavailable.
    """
    hour = end - timedelta(hours=1)
    day = hour.replace(hour=0)
    usual = {"usual_hour": hour - _WEEK, "usual_day": day - _WEEK, "usual_end": end - _WEEK}
    with translated():
        async with engine.connect() as connection:
            rows = (await connection.execute(_SPENT, {"hour": hour, "day": day, "end": end, **usual})).all()
            found = [
                Spend(organization_id, team_id, window, _unix_ms(start), spent, before)
                for organization_id, team_id, spent_hour, usual_hour, spent_day, usual_day in rows
                for window, start, spent, before in (
                    ("hour", hour, spent_hour, usual_hour),
                    ("day", day, spent_day, usual_day),
                )
            ]
            return await _with_history(connection, found, day - _WEEK)


async def _with_history(connection: AsyncConnection, spends: list[Spend], before: datetime) -> list[Spend]:
    """Mark teams that had not called anything by then. Asked only where it matters: it costs a look-up each."""
    asked = {one.team_id for one in spends if one.usual_nusd <= 0 and one.spent_nusd >= LEAST_NUSD}
    if not asked:
        return spends
    older = set((await connection.execute(_OLDER, {"teams": sorted(filter(None, asked)), "before": before})).scalars())
    new = asked - older
    return [one._replace(has_history=False) if one.team_id in new else one for one in spends]


def _unix_ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp()) * 1000
