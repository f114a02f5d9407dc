"""Where responses are kept that upstreams store, in Postgres: which deployment made each, and for which team."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from datetime import timedelta

import msgspec
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import StoredResponse
from gateway.errors import StoreUnavailable
from gateway.stores.database import translated
from gateway.stores.tables import stored_responses

_log = logging.getLogger("obol.stored_responses")
KEPT = timedelta(days=31)  # OpenAI keeps responses for 30 days
REMEMBER_S = 1.0  # what an answer waits at most for its id to be written down
AWAY_S = 5.0  # after a failure, answers do not wait for Postgres for so long
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,512}")  # what upstreams make; anything else could not stand in a path either
_PURGED_AT_ONCE = 10_000
# One statement for any number of rows, so that it is compiled once.
_INSERT = text("""
    INSERT INTO stored_responses (id, organization_id, team_id, key_id, deployment)
    SELECT id, organization_id, team_id, key_id, deployment
    FROM json_to_recordset(CAST(:rows AS json))
        AS row (id text, organization_id text, team_id text, key_id text, deployment text)
    ON CONFLICT DO NOTHING
""")


class StoredResponseStore:
    """The StoredResponses of the path. Ids that come at the same time are written in one statement."""

    def __init__(self, engine: AsyncEngine, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")  # one statement needs no transaction
        self._monotonic_s = monotonic_s
        self._away_until_s = float("-inf")
        self._waiting: list[tuple[StoredResponse, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def remember(self, response: StoredResponse) -> None:
        """Write down where the response is. An id that is known already stays as it is.

        Never raises for a database that is away: the answer goes out, and cannot be fetched by its id later.
        """
        if (
            _ID.fullmatch(response.id) is None
            or "\0" in response.deployment
            or self._monotonic_s() < self._away_until_s
        ):
            return
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((response, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        try:
            async with asyncio.timeout(REMEMBER_S):
                await written
        except TimeoutError:
            self._is_away()

    async def _write(self) -> None:
        """Write what waits, and what comes meanwhile."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                rows = {response.id: response for response, _ in reversed(batch)}  # the first one of an id counts
                encoded = msgspec.json.encode(list(rows.values())).decode()
                try:
                    with translated():
                        async with self._at_once.connect() as connection:
                            await connection.execute(_INSERT, {"rows": encoded})
                except StoreUnavailable:
                    self._is_away()
                finally:
                    for _, written in batch:
                        if not written.done():
                            written.set_result(None)
        finally:
            self._writer = None

    def _is_away(self) -> None:
        if self._monotonic_s() >= self._away_until_s:
            _log.warning("Postgres is away: responses of the next %g s cannot be fetched by their ids later", AWAY_S)
        self._away_until_s = self._monotonic_s() + AWAY_S

    async def find(self, response_id: str) -> StoredResponse | None:
        """Where the response is, ``None`` for an unknown id. Raises StoreUnavailable."""
        found = stored_responses.c
        query = select(found.id, found.organization_id, found.team_id, found.key_id, found.deployment)
        if _ID.fullmatch(response_id) is None:
            return None
        with translated():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query.where(found.id == response_id))).one_or_none()
        return None if row is None else StoredResponse(*row)

    async def forget(self, response_id: str) -> None:
        """Its upstream keeps it no longer. Raises StoreUnavailable."""
        with translated():
            async with self._engine.begin() as connection:
                await connection.execute(delete(stored_responses).where(stored_responses.c.id == response_id))

    async def purge(self) -> int:
        """Forget what upstreams have forgotten as well; return how many. Raises StoreUnavailable."""
        oldest = (
            select(stored_responses.c.id)
            .where(stored_responses.c.created_at < func.now() - KEPT)
            .limit(_PURGED_AT_ONCE)
            .scalar_subquery()
        )
        purged = 0
        while True:
            with translated():
                async with self._engine.begin() as connection:
                    found = await connection.execute(delete(stored_responses).where(stored_responses.c.id.in_(oldest)))
            purged += found.rowcount
            if found.rowcount < _PURGED_AT_ONCE:
                return purged
