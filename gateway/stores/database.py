"""The one way to Postgres: how to connect, and what a foreign exception means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.errors import StoreUnavailable

POOL_SIZE = 4
POOL_OVERFLOW = 4
POOL_WAIT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 20.0  # on our side: a server that vanished without closing the connection answers nothing

# Every session: times are UTC in JSON too, and nothing of ours may hold the server (or a lock) for longer than this.
_SESSION = "SET timezone = 'UTC'; SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '30s'"

# Known to libpq, not to asyncpg, which would hand them to the server as settings and be refused.
_LIBPQ_ONLY = frozenset({"channel_binding", "connect_timeout", "gssencmode", "requirepeer", "sslcompression"})


def dsn(database_url: str) -> str:
    """The URL as asyncpg reads it: ``postgres://``, ``postgresql://`` and ``postgresql+<driver>://`` are all taken.

    A Unix socket is ``postgresql://user@/database?host=/its/folder``. Raises ValueError for any other scheme; the
    message does not repeat the URL, which may hold a password.
    """
    parts = urlsplit(database_url)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in {"postgres", "postgresql"}:
        raise ValueError("a database URL begins with postgresql://")
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in _LIBPQ_ONLY]
    # An empty host must keep its two slashes, which urlunsplit drops.
    rest = urlunsplit(("", "", parts.path, urlencode(query), ""))
    return f"postgresql://{parts.netloc}{rest}"


def connect(database_url: str, *, command_timeout_s: float | None = COMMAND_TIMEOUT_S) -> AsyncEngine:
    """A pool of connections, opened as they are needed; closed by ``await engine.dispose()``.

    Raises ValueError for a URL that is none; being away is told by the first use.
    """
    address = dsn(database_url)

    async def open_connection() -> asyncpg.Connection:
        connection = await asyncpg.connect(address, timeout=CONNECT_TIMEOUT_S, command_timeout=command_timeout_s)
        await connection.execute(_SESSION)
        return connection

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        hide_parameters=True,  # errors are logged, and parameters hold what clients sent
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a failed call per pooled connection
    )


# What "away" means, in one table. SQLSTATE classes (two characters) and single states, from the PostgreSQL manual,
# appendix A: waiting may help and nothing was written. All else is a fault of the data (`is_data_error`) or ours.
_AWAY_STATES = frozenset(
    {
        "08",  # connection exception
        "28",  # invalid authorization: the operator rotates a password
        "3D",  # the database does not exist (yet)
        "40",  # rolled back: deadlock, serialization
        "53",  # insufficient resources: disk full, too many connections
        "57",  # operator intervention: shutdown, starting up, cancelled by timeout
        "58",  # system error, I/O
        "XX",  # internal error
        "25006",  # read only: a standby after a failover
        "42P01",  # undefined table: not migrated yet
        "55P03",  # lock not available within lock_timeout
    }
)
_DATA_STATES = frozenset({"22", "23", "54"})  # data exception, integrity violation, program limit exceeded

_FOREIGN = (
    sqlalchemy.exc.DBAPIError,
    sqlalchemy.exc.TimeoutError,  # no free connection in the pool
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,  # refused, reset, no such socket; TimeoutError is one of them
)


def sqlstate(error: BaseException) -> str:
    """The five-character state of a driver error, empty when it has none."""
    origin = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    return getattr(origin, "sqlstate", None) or ""


def is_data_error(error: BaseException) -> bool:
    """Whether the statement was refused for the values in it: the same values will be refused again."""
    return sqlstate(error)[:2] in _DATA_STATES


def is_away(error: BaseException) -> bool:
    """Whether the error says that the database cannot serve now, as against: that the statement is wrong."""
    state = sqlstate(error)
    if state:
        return state in _AWAY_STATES or state[:2] in _AWAY_STATES
    return isinstance(error, _FOREIGN)  # no state: the connection itself failed


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable for every foreign error that means "away"; let the others pass as they are."""
    try:
        yield
    except _FOREIGN as exc:
        if is_away(exc):
            raise StoreUnavailable("The database is not available right now. Please retry.") from exc
        raise


async def answers(engine: AsyncEngine) -> bool:
    """Whether the database answers a query now."""
    try:
        with translated():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
    except StoreUnavailable:
        return False
    return True
