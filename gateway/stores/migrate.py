"""Bring the database to the schema of this code: `obol migrate`, and every start."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_MIGRATIONS_LOCK = 0x0B01_0001  # advisory lock key: one process migrates, the others wait and find it done

log = logging.getLogger(__name__)


def head() -> str:
    """The newest revision of this code, read from the file names: importing Alembic costs a quarter of a second."""
    return max(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def upgrade(database_url: str) -> None:
    """Run the missing migrations in one transaction and make the partitions of the coming months.

    Any number of processes may start at once. Blocks: from a running event loop call it in a thread. A database that
    a newer version has already migrated is left as it is. Raises StoreUnavailable.
    """
    asyncio.run(_upgrade(database_url))


async def _upgrade(database_url: str) -> None:
    from sqlalchemy import text  # noqa: PLC0415 - `head` must stay cheap to import

    from gateway.stores import database, partitions  # noqa: PLC0415

    engine = database.connect(database_url, command_timeout_s=None)
    try:
        with database.translated():
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = 0"))  # waits while another migrates
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATIONS_LOCK})"))
                has_version = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
                version = (
                    await connection.scalar(text("SELECT version_num FROM alembic_version")) if has_version else ""
                )
                if (version or "") > head():
                    log.warning("the database is at %s, newer than this code (%s)", version, head())
                elif version != head():
                    await connection.run_sync(_run_alembic)
        await partitions.ensure_all_partitions(engine)
    finally:
        await engine.dispose()


def _run_alembic(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - only when there is something to migrate
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
