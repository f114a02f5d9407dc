"""Recorded decisions whose answers somebody judged, with what they cost: what a router can learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stores.database import translated


class JudgedDecision(NamedTuple):
    """One request: who answered, what the router saw, the mean of its scores (0..1), and what the answer cost.

    ``offered``: the names of the route's deployments then.
    """

    route: str
    chosen: str
    offered: tuple[str, ...]
    router_version: str | None
    features: bytes
    score: float
    cost_nusd: int


@dataclass(frozen=True, slots=True)
class JudgedDecisions:
    """``decisions``: oldest first. ``judgements``: all there are; ``used`` of them, by ``keys`` keys, ``people``."""

    decisions: tuple[JudgedDecision, ...]
    judgements: int
    used: int
    keys: int
    people: int


# Only what has a score and says whose it is: a key alone may be a script's.
_USED = "score IS NOT NULL AND (member_id IS NOT NULL OR who <> '')"
_COUNTS = text(f"""
    SELECT
        count(*), count(*) FILTER (WHERE {_USED}), count(DISTINCT key_id) FILTER (WHERE {_USED}),
        count(DISTINCT coalesce(member_id, key_id || ' ' || who)) FILTER (WHERE {_USED})
    FROM feedback
""")  # noqa: S608 - a condition of ours
_DECISIONS = text(f"""
    WITH judged AS (SELECT request_id, avg(score) AS score FROM feedback WHERE {_USED} GROUP BY request_id)
    SELECT
        decision.route, decision.chosen,
        ARRAY(SELECT jsonb_array_elements(decision.candidates)->>'deployment'),
        decision.router_version, decision.features, judged.score, sum(entry.cost_nusd)::bigint
    FROM judged
    JOIN route_decisions decision USING (request_id)
    JOIN ledger_entries entry ON entry.request_id = judged.request_id AND entry.deployment = decision.chosen
    WHERE length(decision.features) > 0
    GROUP BY decision.request_id, decision.created_at, judged.score
    ORDER BY decision.created_at, decision.request_id
""")  # noqa: S608


async def judged_decisions(engine: AsyncEngine) -> JudgedDecisions:
    """All of them. Raises StoreUnavailable."""
    with translated():
        async with engine.connect() as connection:
            counts = (await connection.execute(_COUNTS)).one()
            rows = (await connection.execute(_DECISIONS)).all()
    found = tuple(JudgedDecision(row[0], row[1], tuple(row[2]), *row[3:]) for row in rows)
    return JudgedDecisions(found, *counts)
