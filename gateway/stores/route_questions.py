"""The last questions of a route, and what clients said of their answers: for who watches whether they have changed."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stores.database import translated

# The same question asked again counts once: a client that repeats itself is no change of what is asked.
_QUESTIONS = text("""
    SELECT max(created_at), features FROM (
        SELECT created_at, features FROM route_decisions
        WHERE route = :route AND created_at > :after AND router_version = :version AND features <> ''
        ORDER BY created_at DESC LIMIT :limit
    ) AS newest GROUP BY features ORDER BY 1
""")
_JUDGED = text("""
    SELECT max(f.created_at), avg(f.score), min((
        SELECT (candidate->>'quality')::double precision FROM jsonb_array_elements(d.candidates) AS candidate
        WHERE candidate->>'deployment' = d.chosen LIMIT 1
    ))
    FROM route_decisions AS d JOIN feedback AS f ON f.request_id = d.request_id
    WHERE d.route = :route AND d.created_at > :decided AND d.router_version = :version
        AND f.score IS NOT NULL AND f.created_at > :after
    GROUP BY d.request_id HAVING min(d.chosen) IS NOT NULL ORDER BY 1 DESC LIMIT :limit
""")


class Asked(NamedTuple):
    """One question: when, and the bytes of its features."""

    at: datetime
    features: bytes


class Judged(NamedTuple):
    """One answer: when it was last judged, the mean of what clients gave it, and what was predicted of it."""

    at: datetime
    score: float
    predicted: float | None


class RouteQuestions:
    """All methods raise StoreUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def asked(self, route: str, router_version: str, after: datetime, limit: int) -> list[Asked]:
        """The newest that a router of that version decided since then, oldest first."""
        parameters = {"route": route, "version": router_version, "after": after, "limit": limit}
        with translated():
            async with self._engine.connect() as connection:
                return [Asked(*row) for row in await connection.execute(_QUESTIONS, parameters)]

    async def judged(
        self, route: str, router_version: str, after: datetime, decided: datetime, limit: int
    ) -> list[Judged]:
        """The newest that clients scored since then, of what was decided since ``decided``, oldest first."""
        parameters = {
            "route": route,
            "version": router_version,
            "after": after,
            "decided": decided,
            "limit": limit,
        }
        with translated():
            async with self._engine.connect() as connection:
                rows = [Judged(*row) for row in await connection.execute(_JUDGED, parameters)]
        return [one for one in reversed(rows) if one.predicted is not None]
