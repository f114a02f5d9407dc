"""Partitions of tables that grow by the month: made ahead of time, dropped when all in them is old.

Such a table has a partition ``<table>_default`` too, which takes the rows of months that nobody made one for.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.stores.database import translated

PARTITIONED = ("ledger_entries", "route_decisions")
MONTHS_AHEAD = 3
_PARTITIONS_LOCK = 0x0B01_0002  # advisory lock key: one replica makes partitions at a time


def _month(year: int, month: int) -> date:
    """The first day of a month whose number may run past twelve."""
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


async def ensure_all_partitions(engine: AsyncEngine) -> None:
    """Make what is missing of every table that has partitions. Raises StoreUnavailable."""
    for table in PARTITIONED:
        await ensure_partitions(engine, table=table)


async def ensure_partitions(
    engine: AsyncEngine, today: date | None = None, *, table: str = "ledger_entries"
) -> list[str]:
    """Make the table's partitions for this month and the next three; return the names of those made now.

    Safe to run in every replica at once. Rows of such a month that already lie in the default partition (nobody ran
    this for months) move to their own. Raises StoreUnavailable.
    """
    day = today or datetime.now(UTC).date()
    wanted = {
        f"{table}_{first:%Y_%m}": (first, _month(first.year, first.month + 1))
        for first in (_month(day.year, day.month + ahead) for ahead in range(MONTHS_AHEAD + 1))
    }
    with translated():
        async with engine.connect() as connection:
            missing = await _missing(connection, table, list(wanted))
        if not missing:
            return []
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_PARTITIONS_LOCK})"))
            # Writers of the table must not queue for long behind us: give up and let the next run try again.
            await connection.execute(text("SET LOCAL lock_timeout = '3s'"))
            missing = await _missing(connection, table, list(wanted))  # another replica may have been first
            for name in missing:
                await _make_partition(connection, table, name, *wanted[name])
    return missing


async def drop_partitions(engine: AsyncEngine, table: str, before: datetime) -> list[str]:
    """Drop the months of the table that ended by then; return their names. Raises StoreUnavailable."""
    last = f"{table}_{before.astimezone(UTC):%Y_%m}"  # its month has not ended by then

    def is_over(name: str) -> bool:
        return name < last and name != f"{table}_default"

    with translated():
        async with engine.connect() as connection:
            if not any(map(is_over, await _attached(connection, table))):
                return []
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_PARTITIONS_LOCK})"))
            # The whole table is locked for a moment: give up where that would wait, and let the next run try again.
            await connection.execute(text("SET LOCAL lock_timeout = '3s'"))
            over = sorted(filter(is_over, await _attached(connection, table)))
            for name in over:
                await connection.exec_driver_sql(f"DROP TABLE {name}")
    return over


async def _missing(connection: AsyncConnection, table: str, names: list[str]) -> list[str]:
    """The months that have no partition."""
    return sorted(set(names) - set(await _attached(connection, table)))


async def _attached(connection: AsyncConnection, table: str) -> list[str]:
    """Its partitions. Not by to_regclass: it remembers across a wait for an advisory lock."""
    attached = await connection.execute(
        text("""
            SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid
            WHERE inhparent = CAST(:table AS text)::regclass
        """),
        {"table": table},
    )
    return list(attached.scalars())


async def _make_partition(connection: AsyncConnection, table: str, name: str, first: date, after: date) -> None:
    """Build the month beside the table, move its rows out of the default partition, then attach it.

    Attaching blocks no writer of other partitions, while CREATE ... PARTITION OF would block them all. The default
    partition is locked first, so that no row of this month can enter it between the move and the attachment.
    """
    low, high = f"'{first.isoformat()} 00:00:00+00'", f"'{after.isoformat()} 00:00:00+00'"
    # Names and dates are of our own making, and DDL takes no parameters.
    move = f"""
        WITH moved AS (DELETE FROM {table}_default WHERE created_at >= {low} AND created_at < {high} RETURNING *)
        INSERT INTO {name} SELECT * FROM moved"""  # noqa: S608
    for statement in (
        f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)",
        move,
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
    ):
        await connection.exec_driver_sql(statement)
