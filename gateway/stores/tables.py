"""The tables in Postgres, as the migrations leave them.

A test compares these definitions with a migrated database, and the ledger's columns with the fields of LedgerEntry.
"""

from __future__ import annotations

from datetime import datetime

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

metadata = MetaData()
_Instant = DateTime(timezone=True)
_Added = JSONB(none_as_null=True)  # guards beside those of the catalog, null: none

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
    Column("quality_loss_max", Double),
    Column("call_cost_max_nusd", BigInteger),
    Column("guards", _Added),
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
    Column("guards", _Added),
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
    Column("deflector", Text),
    Column("guards", JSONB),  # null: none looked
    Column("stages", JSONB),  # null: nothing is known of them
    Column("stage", Text),
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

# What was decided for requests to routes. Their ids are our own.
route_decisions = Table(
    "route_decisions",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("created_at", _Instant, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("team_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("router_version", Text),
    Column("quality_loss_max", Double),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens_max", BigInteger),
    Column("chosen", Text),
    Column("propensity", Double, nullable=False),
    Column("baseline", Text),
    Column("candidates", JSONB, nullable=False),
    Column("features", LargeBinary, nullable=False),
    Column("conversation", Text),
    Column("draw", Double),
    Column("is_stream", Boolean, nullable=False, server_default=text("false")),
    Column("quality_loss_target", Double),
    Column("is_loss_asked", Boolean, nullable=False, server_default=text("false")),
    Column("cost_weight", Double),
    Column("strongest", Text),
    Column("is_certified", Boolean, nullable=False, server_default=text("false")),
    Column("router_us", BigInteger),
    Column("question_tokens", BigInteger),
    Column("answered_before", Text),
    Column("is_kept", Boolean, nullable=False, server_default=text("false")),
    Column("switching_nusd", BigInteger, nullable=False, server_default=text("0")),
    Column("cost_max_nusd", BigInteger),
    Column("text_tokens", BigInteger),
    Column("before", JSONB),
    Index("route_decisions_organization", "organization_id", "created_at"),
    Index("route_decisions_team", "team_id", "created_at"),
    Index("route_decisions_key", "key_id", "created_at"),
    Index("route_decisions_route", "route", "created_at"),
    Index("route_decisions_request", "request_id", postgresql_using="hash"),
    postgresql_partition_by="RANGE (created_at)",
)

# What was asked of routes that keep it, each until a date of its own.
route_prompts = Table(
    "route_prompts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("created_at", _Instant, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("team_id", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("expires_at", _Instant, nullable=False),
    Index("route_prompts_expiry", "expires_at"),
    Index("route_prompts_team", "team_id"),
)

# What clients say of their answers. The same said twice by the same key is one row.
feedback = Table(
    "feedback",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("request_id", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("team_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("member_id", Text),
    Column("score", Double),
    Column("label", Text),
    Column("who", Text),
    Column("comment", Text),
    Column("body_sha256", LargeBinary, nullable=False),
    Index("feedback_once", "key_id", "body_sha256", unique=True),
    Index("feedback_newest", text("created_at DESC"), text("id DESC")),
    Index("feedback_organization", "organization_id", "created_at"),
    Index("feedback_team", "team_id", "created_at"),
    Index("feedback_request", "request_id", postgresql_using="hash"),
)

# Lists of questions with their answers. A row never changes: every change of a list is its next version.
faq_versions = Table(
    "faq_versions",
    metadata,
    Column("team_id", Text, ForeignKey("teams.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("created_at", _Instant, nullable=False, server_default=func.now()),
    Column("changed_by", Text, nullable=False),
    Column("entries", JSONB, nullable=False),
    Index("faq_versions_newest", "created_at"),
)
