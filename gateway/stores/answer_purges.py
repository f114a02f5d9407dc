"""Purges of kept answers: done in Redis, told in the audit log."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import Actor
from gateway.stores import audit
from gateway.stores.answers import RedisAnswers
from gateway.stores.database import translated


class AnswerPurges:
    """What the admin API needs of them."""

    def __init__(self, engine: AsyncEngine, answers: RedisAnswers) -> None:
        self._engine = engine
        self._answers = answers

    async def purge(self, actor: Actor, organization_id: str, team_id: str | None) -> None:
        """Give nothing again that the team, or the whole organization, was answered. Raises StoreUnavailable."""
        await self._answers.purge(organization_id, team_id)
        kind, of = ("organization", organization_id) if team_id is None else ("team", team_id)
        with translated():
            async with self._engine.begin() as connection:
                await audit.record(
                    connection, actor, "purge", kind, of, organization_id=organization_id, team_id=team_id
                )
