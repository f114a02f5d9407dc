"""Whether the entries of the ledger say what their meters say, checked by Postgres itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stores.database import translated

_SPAN = timedelta(days=1)  # what one statement looks at: an entry and its correction have the same time
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

_EARLIEST = text("""
    SELECT min(created_at) FROM ledger_entries
    WHERE created_at >= :after AND organization_id = coalesce(:organization, organization_id)
""")
# One row for each upstream call: the entry and its correction together cost what the meters of both come to, divided
# once and rounded up. A call has one entry and at most one correction.
_CALLS = text("""
    WITH calls AS (
        SELECT coalesce(corrects, id) AS id, min(organization_id) AS organization_id, sum(cost_nusd) AS cost_nusd,
               count(*) FILTER (WHERE corrects IS NULL) AS entries,
               count(*) FILTER (WHERE corrects IS NOT NULL) AS corrections,
               coalesce(ceil(sum(lines.nusd_mtok) / 1000000), 0) AS metered_nusd
        FROM ledger_entries
        CROSS JOIN LATERAL (
            SELECT sum((line->>'quantity')::numeric * (line->>'rate_nusd_per_mtok')::numeric) AS nusd_mtok
            FROM jsonb_array_elements(meters) AS line
        ) AS lines
        WHERE created_at >= :start AND created_at < :end
          AND organization_id = coalesce(:organization, organization_id)
        GROUP BY 1
    )
    SELECT organization_id, id::text, entries, corrections, cost_nusd::bigint, metered_nusd::bigint,
           (SELECT sum(entries + corrections)::bigint FROM calls) AS total
    FROM calls
    WHERE cost_nusd <> metered_nusd OR entries <> 1 OR corrections > 1
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, (SELECT sum(entries + corrections)::bigint FROM calls)
""")


class WrongCall(NamedTuple):
    """An upstream call whose entries do not add up."""

    organization_id: str
    id: str
    entries: int
    corrections: int
    cost_nusd: int
    metered_nusd: int


class CheckedSpan(NamedTuple):
    """What was found among ``entries`` entries."""

    entries: int
    wrong: tuple[WrongCall, ...]


async def check_entries(engine: AsyncEngine, organization_id: str | None = None) -> AsyncIterator[CheckedSpan]:
    """Every entry, a day at a time, oldest first; days without any are left out. Raises StoreUnavailable."""
    after = datetime(1, 1, 1, tzinfo=UTC)
    while True:
        with translated():
            async with engine.connect() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = '10min'"))
                earliest = await connection.execute(_EARLIEST, {"after": after, "organization": organization_id})
                start = earliest.scalar()
                if start is None:
                    return
                parameters = {"start": start, "end": start + _SPAN, "organization": organization_id}
                *wrong, (*_, total) = (await connection.execute(_CALLS, parameters)).all()
        yield CheckedSpan(total, tuple(WrongCall(*row[:6]) for row in wrong))
        after = start + _SPAN
