"""What clients say of their answers, in Postgres: said once, kept with who said it and when."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, fields
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Caller
from gateway.domain.feedback import Feedback
from gateway.errors import Conflict
from gateway.stores.database import translated
from gateway.stores.entry_filter import EVERYTHING, EntryFilter, page_conditions
from gateway.stores.paging import decode_cursor, encode_cursor, parse_limit
from gateway.stores.records import new_id

FEEDBACKS_MAX = 100  # of one request: a call costs money, saying something of it does not
WRITERS_MAX = 2  # at once: a flood of feedback must leave the ledger its connections
WRITE_S = 5.0  # including the wait for its turn


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """One judgement and where it comes from; ``who`` is the client's word, all other names are ours."""

    id: str
    created_at: datetime
    request_id: str
    organization_id: str
    team_id: str
    key_id: str
    member_id: str | None
    score: float | None
    label: str | None
    who: str | None
    comment: str | None


_COLUMNS = ", ".join(field.name for field in fields(FeedbackRecord))
_IS_THEIRS = text("SELECT EXISTS (SELECT FROM ledger_entries WHERE request_id = :request_id AND team_id = :team_id)")
_COUNT = text("SELECT count(*) FROM feedback WHERE request_id = :request_id")
_STANDING = text(f"SELECT {_COLUMNS} FROM feedback WHERE key_id = :key_id AND body_sha256 = :body_sha256")  # noqa: S608 - our names
_INSERT = text("""
    INSERT INTO feedback
        (id, request_id, organization_id, team_id, key_id, member_id, score, label, who, comment, body_sha256)
    VALUES
        (:id, :request_id, :organization_id, :team_id, :key_id, :member_id, :score, :label, :who, :comment,
        :body_sha256)
    ON CONFLICT (key_id, body_sha256) DO NOTHING
""")


class FeedbackStore:
    """The table of feedback."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")  # one statement needs no transaction
        self._writers = asyncio.Semaphore(WRITERS_MAX)

    async def give(self, caller: Caller, feedback: Feedback) -> FeedbackRecord | None:
        """Keep it, once however often this key says it; ``None`` for a request that the ledger has not of its team.

        Raises StoreUnavailable, and Conflict where a request has as much feedback as is kept.
        """
        values = msgspec.structs.asdict(feedback)
        with translated():
            async with asyncio.timeout(WRITE_S), self._writers, self._at_once.connect() as connection:
                return await _given(connection, caller, values)

    async def page(
        self, chosen: EntryFilter = EVERYTHING, *, limit: int | str | None = None, cursor: str | None = None
    ) -> tuple[tuple[FeedbackRecord, ...], str | None]:
        """That feedback, newest first, and the next cursor. Raises BadRequest and StoreUnavailable."""
        count = parse_limit(limit)
        where, parameters = page_conditions(chosen, decode_cursor(cursor))
        query = text(f"SELECT {_COLUMNS} FROM feedback {where} ORDER BY created_at DESC, id DESC LIMIT :count")  # noqa: S608 - our names
        with translated():
            async with self._engine.connect() as connection:
                rows = await connection.execute(query, parameters | {"count": count + 1})
        found = tuple(FeedbackRecord(*row) for row in rows)
        if len(found) <= count:
            return found, None
        last = found[count - 1]
        return found[:count], encode_cursor(last.created_at, last.id)


async def _given(connection: AsyncConnection, caller: Caller, values: dict[str, object]) -> FeedbackRecord | None:
    asked = {"request_id": values["request_id"]}
    if not await connection.scalar(_IS_THEIRS, asked | {"team_id": caller.team_id}):
        return None
    place: dict[str, object] = {
        "key_id": caller.key_id,
        "body_sha256": hashlib.sha256(msgspec.json.encode(list(values.values()))).digest(),
    }
    if (standing := await _standing(connection, place)) is not None:
        return standing
    if (await connection.scalar(_COUNT, asked) or 0) >= FEEDBACKS_MAX:
        raise Conflict(
            f"The request has {FEEDBACKS_MAX} feedbacks already.", param="request_id", code="too_much_feedback"
        )
    whose = {
        "id": new_id("feedback"),
        "organization_id": caller.organization_id,
        "team_id": caller.team_id,
        "member_id": caller.member_id,
    }
    await connection.execute(_INSERT, values | place | whose)
    return await _standing(connection, place)


async def _standing(connection: AsyncConnection, place: dict[str, object]) -> FeedbackRecord | None:
    row = (await connection.execute(_STANDING, place)).one_or_none()
    return None if row is None else FeedbackRecord(*row)
