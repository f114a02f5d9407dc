"""Where reports read from: snapshots of Postgres, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy.exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import StoreUnavailable
from gateway.stores.database import sqlstate, translated

REPORTS_AT_ONCE = 2
_QUERY_CANCELED = "57014"


class ReportSnapshots:
    """Opens snapshots: whatever one report reads is of one moment, so that its parts agree with one another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # Reports may take seconds, and keys are looked up over the same pool: they must never have all of it.
        self._places = asyncio.Semaphore(REPORTS_AT_ONCE)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncConnection]:
        """Waits for its turn. Raises StoreUnavailable, which says so of a statement that took too long."""
        async with self._places:
            try:
                with translated():
                    async with self._engine.connect() as connection:
                        yield connection
            except StoreUnavailable as exc:
                cause = exc.__cause__
                if isinstance(cause, sqlalchemy.exc.DBAPIError) and sqlstate(cause) == _QUERY_CANCELED:
                    raise StoreUnavailable(
                        "The report takes too long: ask for a shorter time, or for one team.", code="report_too_large"
                    ) from exc
                raise
