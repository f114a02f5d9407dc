"""The tables in Postgres, as the migrations leave them, and the monthly partitions of the ledger.

A test compares these definitions with a migrated database, and the ledger's columns with the fields of LedgerEntry.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.stores.database import translated

metadata = MetaData()
_Instant = DateTime(timezone=True)

organizations = Table(
    "organizations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("contact", Text),
    Column("updated_at", _Instant, nullable=False, server_default=func.now()),
    Column("deleted_at", _Instant),
    Index("organizations_live_name", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

teams = Table(
    "teams",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("deleted_at", _Instant),
    Column("contact", Text),
    Column("updated_at", _Instant, nullable=False, server_default=func.now()),
    # The name of a deleted team is free again; its row stays, because the ledger names it.
    Index("teams_live_name", "organization_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

# People. A member belongs to one team; the keys bound to it spend on its budgets, whatever ``user`` a client sends.
members = Table(
    "members",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("team_id", Text, ForeignKey("teams.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("updated_at", _Instant, nullable=False, server_default=func.now()),
    Column("deleted_at", _Instant),
    Index("members_live_name", "team_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("team_id", Text, ForeignKey("teams.id"), nullable=False, index=True),
    Column("models", ARRAY(Text)),  # null: every model
    Column("expires_at", _Instant),
    Column("revoked_at", _Instant),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("updated_at", _Instant, nullable=False, server_default=func.now(), index=True),
    Column("member_id", Text, ForeignKey("members.id"), index=True),
    Column("allowed_ips", ARRAY(Text)),  # networks, null: from anywhere
    Column("previous_sha256", LargeBinary, unique=True),  # the secret before the last rotation,
    Column("previous_expires_at", _Instant),  # ... which serves until then
)


def _scope_columns() -> list[Column[str]]:
    return [
        Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False, index=True),
        Column("team_id", Text, ForeignKey("teams.id")),
        Column("member_id", Text, ForeignKey("members.id")),
        Column("key_id", Text, ForeignKey("keys.id")),
        Column("end_user", Text),
        Column("route", Text),
        Column("model", Text),
        Column("each", Text),
    ]


def _dates() -> list[Column[datetime]]:
    return [
        Column("created_at", _Instant, nullable=False, server_default=func.now()),
        Column("updated_at", _Instant, nullable=False, server_default=func.now(), index=True),
        Column("deleted_at", _Instant),
    ]


budgets = Table(
    "budgets",
    metadata,
    Column("id", Text, primary_key=True),
    *_scope_columns(),
    Column("limit_nusd", BigInteger, nullable=False),
    Column("window", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("is_rolling", Boolean, nullable=False),
    Column("soft_limit_pct", ARRAY(Integer), nullable=False),
    Column("on_exhausted", Text, nullable=False),
    Column("raised_limit_nusd", BigInteger),
    Column("raised_until", _Instant),
    Column("reset_at", _Instant),
    *_dates(),
)

limits = Table(
    "limits",
    metadata,
    Column("id", Text, primary_key=True),
    *_scope_columns(),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("tokens_per_day", BigInteger),
    Column("parallel_requests", BigInteger),
    *_dates(),
)

admin_keys = Table(
    "admin_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("organization_id", Text, ForeignKey("organizations.id")),
    Column("team_id", Text, ForeignKey("teams.id")),
    Column("expires_at", _Instant),
    Column("revoked_at", _Instant),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("updated_at", _Instant, nullable=False, server_default=func.now()),
)

# Who changed what from what to what. A trigger refuses UPDATE, DELETE and TRUNCATE.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("organization_id", Text),
    Column("team_id", Text),
    Column("before", JSONB),
    Column("after", JSONB),
    Index("audit_log_newest", text("created_at DESC"), text("id DESC")),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("created_at", _Instant, primary_key=True),
    Column("instance", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("team_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("end_user", Text),
    Column("endpoint", Text, nullable=False),
    Column("is_stream", Boolean, nullable=False),
    Column("route", Text),
    Column("deployment", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_answered", Text),
    Column("purpose", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("http_status", Integer),
    Column("error_code", Text),
    Column("finish_reason", Text),
    Column("service_tier", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("cache_write_long_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("meters", JSONB, nullable=False),
    Column("cost_nusd", BigInteger, nullable=False),
    Column("baseline_nusd", BigInteger, nullable=False),
    Column("is_baseline_estimated", Boolean, nullable=False),
    Column("first_token_ms", Double),
    Column("total_ms", Double),
    Column("upstream_request_id", Text),
    Column("tags", ARRAY(Text), nullable=False),
    Column("corrects", Uuid),
    Column("content", JSONB),
    Column("member_id", Text),
    Column("held_nusd", BigInteger, nullable=False, server_default=text("0")),
    Index("ledger_entries_organization", "organization_id", "created_at", postgresql_include=["cost_nusd"]),
    Index(
        "ledger_entries_member",
        "member_id",
        "created_at",
        postgresql_include=["cost_nusd"],
        postgresql_where=text("member_id IS NOT NULL"),
    ),
    Index("ledger_entries_newest", text("created_at DESC"), text("id DESC")),
    Index("ledger_entries_team", "team_id", "created_at", postgresql_include=["cost_nusd"]),
    Index("ledger_entries_key", "key_id", "created_at", postgresql_include=["cost_nusd"]),
    # A prefix, because a B-tree refuses values over 2.7 kB and clients choose the name.
    Index(
        "ledger_entries_end_user",
        "organization_id",
        text("substr(end_user, 1, 200)"),
        "created_at",
        postgresql_where=text("end_user IS NOT NULL"),
    ),
    # Hash, because a request id may come from a client and a B-tree refuses values over 2.7 kB.
    Index("ledger_entries_request", "request_id", postgresql_using="hash"),
    postgresql_partition_by="RANGE (created_at)",
)

# Entries that Postgres refused for their values: put aside by hand or tool, never dropped.
ledger_rejects = Table(
    "ledger_rejects",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("received_at", _Instant, nullable=False, server_default=func.now()),
    Column("reason", Text, nullable=False),
    Column("entry", Text, nullable=False),
)

# Which deployment's upstream keeps a response, and whose it is.
stored_responses = Table(
    "stored_responses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("team_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Index("stored_responses_oldest", "created_at"),
)

MONTHS_AHEAD = 3
_PARTITIONS_LOCK = 0x0B01_0002  # advisory lock key: one replica makes partitions at a time


def _month(year: int, month: int) -> date:
    """The first day of a month whose number may run past twelve."""
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


async def ensure_partitions(engine: AsyncEngine, today: date | None = None) -> list[str]:
    """Make the ledger's partitions for this month and the next three; return the names of those made now.

    Safe to run in every replica at once. Rows of such a month that already lie in the default partition (nobody ran
    this for months) move to their own. Raises StoreUnavailable.
    """
    day = today or datetime.now(UTC).date()
    wanted = {
        f"ledger_entries_{first:%Y_%m}": (first, _month(first.year, first.month + 1))
        for first in (_month(day.year, day.month + ahead) for ahead in range(MONTHS_AHEAD + 1))
    }
    with translated():
        async with engine.connect() as connection:
            missing = await _missing(connection, list(wanted))
        if not missing:
            return []
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_PARTITIONS_LOCK})"))
            # Writers of the ledger must not queue for long behind us: give up and let the next run try again.
            await connection.execute(text("SET LOCAL lock_timeout = '3s'"))
            missing = await _missing(connection, list(wanted))  # another replica may have been first
            for name in missing:
                await _make_partition(connection, name, *wanted[name])
    return missing


async def _missing(connection: AsyncConnection, names: list[str]) -> list[str]:
    """The months that have no partition. Not by to_regclass: it remembers across a wait for an advisory lock."""
    attached = await connection.execute(
        text("""
            SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid
            WHERE inhparent = 'ledger_entries'::regclass
        """)
    )
    return sorted(set(names) - set(attached.scalars()))


async def _make_partition(connection: AsyncConnection, name: str, first: date, after: date) -> None:
    """Build the month beside the ledger, move its rows out of the default partition, then attach it.

    Attaching blocks no writer of other partitions, while CREATE ... PARTITION OF would block them all. The default
    partition is locked first, so that no row of this month can enter it between the move and the attachment.
    """
    low, high = f"'{first.isoformat()} 00:00:00+00'", f"'{after.isoformat()} 00:00:00+00'"
    # Names and dates are of our own making, and DDL takes no parameters.
    move = f"""
        WITH moved AS (DELETE FROM ledger_entries_default WHERE created_at >= {low} AND created_at < {high} RETURNING *)
        INSERT INTO {name} SELECT * FROM moved"""  # noqa: S608
    for statement in (
        "LOCK TABLE ledger_entries_default IN ACCESS EXCLUSIVE MODE",
        f"CREATE TABLE {name} (LIKE ledger_entries INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)",
        move,
        f"ALTER TABLE ledger_entries ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
    ):
        await connection.exec_driver_sql(statement)
