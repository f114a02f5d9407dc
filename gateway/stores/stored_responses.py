"""Where responses are kept that upstreams store, in Postgres: which deployment made each, and for which team."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
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
WAITING_MAX = 10_000  # ids, while Postgres is away; those that come then are not kept
RETRY_S = 1.0
LOOKUPS_MAX = 2  # at once: a flood of ids must leave the ledger its connections
LOOKUP_S = 5.0  # including the wait for its turn
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,512}")  # what upstreams make; anything else could not stand in a path either
_PURGED_AT_ONCE = 10_000
_WRITTEN_AT_ONCE = 1_000
# One statement for any number of rows, so that it is compiled once.
_INSERT = text("""
    INSERT INTO stored_responses (id, organization_id, team_id, key_id, deployment)
    SELECT id, organization_id, team_id, key_id, deployment
    FROM json_to_recordset(CAST(:rows AS json))
        AS row (id text, organization_id text, team_id text, key_id text, deployment text)
    ON CONFLICT DO NOTHING
""")


class StoredResponseStore:
    """The StoredResponses of the path. Ids that come at the same time are written in one statement.

    While Postgres is away ids wait here, and nobody waits for them.
    """

    def __init__(self, engine: AsyncEngine, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")  # one statement needs no transaction
        self._sleep = sleep
        self._waiting: list[tuple[StoredResponse, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._is_away = False
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)

    async def remember(self, response: StoredResponse) -> None:
        """Write down where the response is. An id that is known already stays as it is.

        Never raises for a database that is away: the answer goes out, and can be fetched by its id when it is back.
        """
        is_writable = _ID.fullmatch(response.id) is not None and "\0" not in response.deployment
        if not is_writable or len(self._waiting) >= WAITING_MAX:
            return
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((response, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        if self._is_away:
            return
        try:
            async with asyncio.timeout(REMEMBER_S):
                await written
        except TimeoutError:
            self._tell(is_away=True)

    async def close(self) -> None:
        """Give up what could not be written. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.cancel()
            await asyncio.wait([writer])

    async def _write(self) -> None:
        """Write what waits, and what comes meanwhile; try again for as long as Postgres is away."""
        try:
            while self._waiting:
                batch = self._waiting[:_WRITTEN_AT_ONCE]
                is_done = await self._write_batch([response for response, _ in batch])
                for _, written in batch:
                    if not written.done():
                        written.set_result(None)
                if is_done:
                    del self._waiting[: len(batch)]
                self._tell(is_away=not is_done)
                if not is_done:
                    await self._sleep(RETRY_S)
        finally:
            self._writer = None

    async def _write_batch(self, responses: Sequence[StoredResponse]) -> bool:
        """Whether nothing is left to do about them."""
        rows = {response.id: response for response in reversed(responses)}  # the first one of an id counts
        encoded = msgspec.json.encode(list(rows.values())).decode()
        try:
            with translated():
                async with self._at_once.connect() as connection:
                    await connection.execute(_INSERT, {"rows": encoded})
        except StoreUnavailable:
            return False
        except Exception:  # noqa: BLE001 - whatever Postgres has against these, it would have against them for ever
            _log.exception("the ids of %d responses cannot be written down", len(rows))
        return True

    def _tell(self, *, is_away: bool) -> None:
        if is_away and not self._is_away:
            _log.warning("Postgres is away: new responses cannot be fetched by their ids until it is back")
        elif self._is_away and not is_away:
            _log.info("Postgres is back: responses can be fetched by their ids again")
        self._is_away = is_away

    async def find(self, response_id: str) -> StoredResponse | None:
        """Where the response is, ``None`` for an unknown id. Raises StoreUnavailable."""
        found = stored_responses.c
        query = select(found.id, found.organization_id, found.team_id, found.key_id, found.deployment)
        if _ID.fullmatch(response_id) is None:
            return None
        with translated():
            async with asyncio.timeout(LOOKUP_S), self._lookups, self._at_once.connect() as connection:
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
