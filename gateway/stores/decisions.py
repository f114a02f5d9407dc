"""The decisions of routes in Postgres: written in batches, read newest first, forgotten when they are old."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain import DecisionRecord
from gateway.stores.database import is_data_error, translated
from gateway.stores.entry_filter import EVERYTHING, EntryFilter, page_conditions
from gateway.stores.paging import decode_cursor, encode_cursor, parse_limit
from gateway.stores.partitions import drop_partitions

_log = logging.getLogger("obol.decisions")
_PURGED_AT_ONCE = 10_000
_PURGE_LOCK = 0x0B01_0003  # advisory lock key: one replica purges at a time

# One statement for any number of records: the batch is one JSON array, one parameter. Bytes are base64 in JSON.
_INSERT = text("""
    INSERT INTO route_decisions
    SELECT
        request_id, created_at, organization_id, team_id, key_id, endpoint, route, policy, router_version,
        quality_loss_max, input_tokens, output_tokens_max, chosen, propensity, baseline, candidates,
        decode(features, 'base64'), conversation, draw, is_stream, quality_loss_target, is_loss_asked, cost_weight,
        strongest, is_certified, router_us, question_tokens, answered_before, is_kept, switching_nusd,
        cost_max_nusd, text_tokens, before
    FROM json_to_recordset(CAST(:records AS json)) AS record (
        request_id text, created_at timestamptz, organization_id text, team_id text, key_id text, endpoint text,
        route text, policy text, router_version text, quality_loss_max double precision, input_tokens bigint,
        output_tokens_max bigint, chosen text, propensity double precision, baseline text, candidates jsonb,
        features text, conversation text, draw double precision, is_stream boolean,
        quality_loss_target double precision, is_loss_asked boolean, cost_weight double precision, strongest text,
        is_certified boolean, router_us bigint, question_tokens bigint, answered_before text, is_kept boolean,
        switching_nusd bigint, cost_max_nusd bigint, text_tokens bigint, before jsonb
    )
    ON CONFLICT DO NOTHING
""")
WRITTEN_OTHERWISE = {
    "created_at": """to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at""",
    "features": "translate(encode(features, 'base64'), E'\\n', '') AS features",  # Postgres breaks its lines
}
RECORD_COLUMNS = ", ".join(WRITTEN_OTHERWISE.get(name, name) for name in DecisionRecord.__struct_fields__).replace(
    ":", r"\:"
)
# Oldest first, so that what is left after a break lies together.
_PURGE = text(f"""
    DELETE FROM route_decisions WHERE created_at < :before AND (created_at, request_id) IN (
        SELECT created_at, request_id FROM route_decisions WHERE created_at < :before
        ORDER BY created_at LIMIT {_PURGED_AT_ONCE}
    )
""")  # noqa: S608 - no value is in it
_decode = msgspec.json.Decoder(DecisionRecord).decode


class DecisionPage(NamedTuple):
    """One page of records, newest first; ``next_cursor`` is None on the last."""

    records: tuple[DecisionRecord, ...]
    next_cursor: str | None


class DecisionStore:
    """The table of decisions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._statements = engine.execution_options(isolation_level="AUTOCOMMIT")  # one statement needs no transaction

    async def write(self, records: Sequence[DecisionRecord]) -> int:
        """Insert records, idempotent by id and time; return how many Postgres refused for their values.

        Raises StoreUnavailable; then write them all again. A refused record is logged, and holds no other up.
        """
        pending, refused = [list(records)] if records else [], 0
        while pending:
            batch = pending.pop()
            try:
                with translated():
                    async with self._statements.connect() as connection:
                        await connection.execute(_INSERT, {"records": msgspec.json.encode(batch).decode()})
            except (DBAPIError, UnicodeEncodeError) as exc:
                if isinstance(exc, DBAPIError) and not is_data_error(exc):
                    raise
                if len(batch) > 1:  # Halving finds one bad record of a thousand in ten steps.
                    middle = len(batch) // 2
                    pending += [batch[middle:], batch[:middle]]
                else:
                    refused += 1
                    _log.error("the decision of request %s cannot be written down: %s", batch[0].request_id, exc)
        return refused

    async def page(
        self, chosen: EntryFilter = EVERYTHING, *, limit: int | str | None = None, cursor: str | None = None
    ) -> DecisionPage:
        """Those records, newest first. Raises BadRequest and StoreUnavailable."""
        count = parse_limit(limit)
        where, parameters = page_conditions(chosen, decode_cursor(cursor), "request_id")
        query = text(f"""
            WITH chosen AS (
                SELECT * FROM route_decisions {where} ORDER BY created_at DESC, request_id DESC LIMIT :count
            ) SELECT row_to_json(record)::text FROM (SELECT {RECORD_COLUMNS} FROM chosen) AS record
            ORDER BY created_at DESC, request_id DESC
        """)  # noqa: S608 - built of names of our own; values are parameters
        with translated():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query, parameters | {"count": count + 1})).scalars().all()
        records = tuple(map(_decode, rows))
        if len(records) <= count:
            return DecisionPage(records, None)
        last = records[count - 1]
        return DecisionPage(records[:count], encode_cursor(datetime.fromisoformat(last.created_at), last.request_id))

    async def purge(self, before: datetime) -> int:
        """Forget what is older; return how many rows were deleted one by one. Raises StoreUnavailable.

        Whole months are dropped, the rest is deleted. Safe to run in every replica at once: one of them does it.
        """
        await drop_partitions(self._engine, "route_decisions", before)
        purged = 0
        while True:
            with translated():
                async with self._engine.begin() as connection:
                    if not await connection.scalar(text(f"SELECT pg_try_advisory_xact_lock({_PURGE_LOCK})")):
                        return purged
                    found = await connection.execute(_PURGE, {"before": before})
            purged += found.rowcount
            if found.rowcount < _PURGED_AT_ONCE:
                return purged
