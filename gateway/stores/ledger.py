"""The ledger in Postgres: written in batches, once per entry whoever writes it, and read newest first."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import LedgerEntry
from gateway.errors import BadRequest
from gateway.stores.database import is_data_error, translated
from gateway.stores.entry_filter import EVERYTHING, EntryFilter, page_conditions
from gateway.stores.paging import decode_cursor, encode_cursor, parse_limit
from gateway.stores.tables import ledger_rejects
from policies.reconciliation import reconcile

log = logging.getLogger(__name__)

# Fields that an older version did not write get their defaults here; fields of a newer one are ignored by Postgres.
_DEFAULTS = msgspec.json.encode(
    {field.name: field.default for field in msgspec.structs.fields(LedgerEntry) if not field.required}
).decode()

_NULL_IF_EMPTY = ("guards", "stages")
_WRITTEN = {name: f"nullif({name}, '[]')" for name in _NULL_IF_EMPTY}

# One statement for any number of entries: the batch is one JSON array, one parameter. Sorted, so that two replicas
# writing the same entries take the rows in the same order and cannot deadlock; of two with the same id the orphaned
# one comes first, so that the better one becomes its correction. What only takes back is no row of its own. Lists that
# most entries have empty are null there: a null takes no room.
_INSERT = text(f"""
    INSERT INTO ledger_entries ({", ".join(LedgerEntry.__struct_fields__)})
    SELECT {", ".join(_WRITTEN.get(name, name) for name in LedgerEntry.__struct_fields__)} FROM json_populate_recordset(
        json_populate_record(NULL::ledger_entries, CAST(:defaults AS json)), CAST(:entries AS json)
    ) AS entry
    WHERE entry.status <> 'voided' OR entry.corrects IS NOT NULL
    ORDER BY entry.id, entry.basis <> 'orphaned'
    ON CONFLICT (id, created_at) DO NOTHING
""")  # noqa: S608 - our names

_READ = {"created_at": """to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""} | {
    name: f"coalesce({name}, '[]')" for name in _NULL_IF_EMPTY
}
_COLUMNS = ", ".join(
    f"{_READ[name]} AS {name}" if name in _READ else name for name in LedgerEntry.__struct_fields__
).replace(":", r"\:")
_AS_JSON = f"SELECT row_to_json(entry)::text FROM (SELECT {_COLUMNS} FROM chosen) AS entry"  # noqa: S608 - our names

_STANDING = text(f"""
    WITH chosen AS (
        SELECT ledger_entries.* FROM ledger_entries
        JOIN unnest(CAST(:ids AS uuid[]), CAST(:instants AS timestamptz[])) AS wanted (id, created_at)
        USING (id, created_at)
    ) {_AS_JSON}
""")  # noqa: S608 - no value is in it

_decode_entry = msgspec.json.Decoder(LedgerEntry).decode


class _Poisoned(Exception):
    """Some entry of a batch will never be accepted; the message is Postgres's reason."""


class LedgerPage(NamedTuple):
    """One page of entries, newest first; ``next_cursor`` is None on the last."""

    entries: tuple[LedgerEntry, ...]
    next_cursor: str | None


class LedgerStore:
    """The ledger table. ``write`` is the gateway's LedgerSink; ``page`` is for people."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # One statement is its own transaction: the insert of a batch needs no BEGIN and COMMIT around it.
        self._statements = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def write(self, entries: Sequence[bytes]) -> None:
        """Insert entries (JSON of LedgerEntry), idempotent by id. Raises StoreUnavailable; then write them all again.

        An entry whose id already stands as orphaned while this one knows better becomes a correction. An entry that
        Postgres refuses for its values holds nobody up: it goes to ``ledger_rejects`` and is logged as an error.
        """
        pending = [list(entries)] if entries else []
        while pending:
            batch = pending.pop()
            try:
                await self._write_batch(batch)
            except _Poisoned as exc:
                if len(batch) > 1:  # Halving finds one bad entry of a thousand in ten steps.
                    middle = len(batch) // 2
                    pending += [batch[middle:], batch[:middle]]
                elif (mended := _mended(batch[0])) is not None:
                    pending.append([mended])
                else:
                    await self._reject(batch[0], str(exc))

    async def _write_batch(self, batch: list[bytes]) -> None:
        """Insert, then correct what stood already; once more does no harm. Raises StoreUnavailable and _Poisoned."""
        with translated():
            async with self._statements.connect() as connection:
                if await _insert(connection, batch) < len(batch):
                    await self._correct(connection, batch)

    async def _correct(self, connection: AsyncConnection, batch: list[bytes]) -> None:
        """Write the corrections that a batch with ids already in the ledger gives rise to.

        The rows standing now are compared with every entry of the batch: one compared with itself says nothing new.
        """
        try:
            incoming = [_decode_entry(entry) for entry in batch]
            places = [(UUID(entry.id), datetime.fromisoformat(entry.created_at)) for entry in incoming]
        except ValueError as exc:  # msgspec's errors are ValueErrors too
            raise _Poisoned(str(exc)) from exc
        ids, instants = zip(*places, strict=True)
        rows = await connection.execute(_STANDING, {"ids": list(ids), "instants": list(instants)})
        standing = {entry.id: entry for entry in map(_decode_entry, rows.scalars())}
        found = (reconcile(standing[entry.id], entry) for entry in incoming if entry.id in standing)
        corrections = [msgspec.json.encode(entry) for entry in found if entry is not None]
        if corrections:
            await _insert(connection, corrections)

    async def _reject(self, entry: bytes, reason: str) -> None:
        # Escaped, because the very bytes may be what Postgres cannot hold: NUL, or no UTF-8.
        kept = entry.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        with translated():
            async with self._engine.begin() as connection:
                await connection.execute(insert(ledger_rejects).values(reason=reason[:2000], entry=kept))
        log.error("a ledger entry was refused by Postgres and put into ledger_rejects: %s", reason[:500])

    async def page(
        self, chosen: EntryFilter = EVERYTHING, *, limit: int | str | None = None, cursor: str | None = None
    ) -> LedgerPage:
        """Those entries, newest first. Raises BadRequest and StoreUnavailable.

        Pages are stable under inserts: an entry that stood when the first page was read comes exactly once.
        """
        count = parse_limit(limit)
        place = decode_cursor(cursor)
        where, parameters = page_conditions(chosen, None if place is None else (place[0], _uuid(place[1])))
        query = text(f"""
            WITH chosen AS (
                SELECT * FROM ledger_entries {where} ORDER BY created_at DESC, id DESC LIMIT :count
            ) {_AS_JSON} ORDER BY created_at DESC, id DESC
        """)  # noqa: S608 - built of the names above; values are parameters
        with translated():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query, parameters | {"count": count + 1})).scalars().all()
        entries = tuple(map(_decode_entry, rows))
        if len(entries) <= count:
            return LedgerPage(entries, None)
        last = entries[count - 1]
        return LedgerPage(entries[:count], encode_cursor(datetime.fromisoformat(last.created_at), last.id))


async def _insert(connection: AsyncConnection, entries: list[bytes]) -> int:
    """Insert those entries that the table has not yet, return how many. Raises _Poisoned if any has bad values."""
    try:
        array = (b"[" + b",".join(entries) + b"]").decode()
        inserted = await connection.execute(_INSERT, {"entries": array, "defaults": _DEFAULTS})
    except UnicodeDecodeError as exc:
        raise _Poisoned(str(exc)) from exc
    except DBAPIError as exc:
        if is_data_error(exc):
            raise _Poisoned(str(exc.orig)) from exc
        raise
    return inserted.rowcount


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise BadRequest("cursor is not one that this list returned", param="cursor") from None


def _mended(entry: bytes) -> bytes | None:
    """The entry with every NUL and lone surrogate, which Postgres cannot hold, replaced; None if it had none."""
    try:
        value = json.loads(entry)
        storable = _storable(value)
    except (ValueError, RecursionError):
        return None  # no JSON at all
    return None if storable == value else json.dumps(storable).encode()


def _storable(value: object) -> object:
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_storable(name): _storable(item) for name, item in value.items()}
        case _:
            return value
