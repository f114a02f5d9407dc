"""The prompts that routes keep because their operator said so: written in batches, forgotten on their date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import delete, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import KeptPrompt
from gateway.stores.database import translated
from gateway.stores.tables import route_prompts

# As decisions are: one statement for any number of them.
_INSERT = text("""
    INSERT INTO route_prompts
    SELECT request_id, created_at, organization_id, team_id, route, text, expires_at
    FROM json_to_recordset(CAST(:prompts AS json)) AS prompt (
        request_id text, created_at timestamptz, organization_id text, team_id text, route text, text text,
        expires_at timestamptz
    )
    ON CONFLICT DO NOTHING
""")


class PromptStore:
    """The table of kept prompts. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, prompts: Sequence[KeptPrompt]) -> None:
        """Insert them, idempotent by request."""
        with translated():
            async with self._engine.begin() as connection:
                await connection.execute(_INSERT, {"prompts": msgspec.json.encode(prompts).decode()})

    async def text_of(self, request_id: str) -> str | None:
        """What was asked; ``None`` where it was not kept, or not any more."""
        query = select(route_prompts.c.text).where(
            route_prompts.c.request_id == request_id, route_prompts.c.expires_at > func.now()
        )
        with translated():
            async with self._engine.connect() as connection:
                found: str | None = await connection.scalar(query)
        return found

    async def purge(self, now: datetime, before: datetime) -> int:
        """Forget those whose date has come, and whose decision is older than ``before`` and forgotten; how many."""
        is_over = or_(route_prompts.c.expires_at <= now, route_prompts.c.created_at < before)
        with translated():
            async with self._engine.begin() as connection:
                return (await connection.execute(delete(route_prompts).where(is_over))).rowcount
