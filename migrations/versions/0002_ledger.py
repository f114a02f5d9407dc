"""The ledger, partitioned by month from the start, and the place for entries that Postgres refuses."""

from __future__ import annotations

from alembic import op

revision = "0002_ledger"
down_revision = "0001_tenants"


def upgrade() -> None:
    for statement in (
        """
        CREATE TABLE ledger_entries (
            id uuid NOT NULL,
            request_id text NOT NULL,
            created_at timestamptz NOT NULL,
            instance text NOT NULL,
            attempt integer NOT NULL,
            organization_id text NOT NULL,
            team_id text NOT NULL,
            key_id text NOT NULL,
            end_user text,
            endpoint text NOT NULL,
            is_stream boolean NOT NULL,
            route text,
            deployment text NOT NULL,
            provider text NOT NULL,
            model_asked text NOT NULL,
            model text NOT NULL,
            model_answered text,
            purpose text NOT NULL,
            source text NOT NULL,
            basis text NOT NULL,
            status text NOT NULL,
            http_status integer,
            error_code text,
            finish_reason text,
            service_tier text,
            input_tokens bigint NOT NULL,
            cached_input_tokens bigint NOT NULL,
            cache_write_tokens bigint NOT NULL,
            cache_write_long_tokens bigint NOT NULL,
            output_tokens bigint NOT NULL,
            reasoning_tokens bigint NOT NULL,
            meters jsonb NOT NULL,
            cost_nusd bigint NOT NULL,
            baseline_nusd bigint NOT NULL,
            is_baseline_estimated boolean NOT NULL,
            first_token_ms double precision,
            total_ms double precision,
            upstream_request_id text,
            tags text[] NOT NULL,
            corrects uuid,
            content jsonb,
            PRIMARY KEY (id, created_at)
        ) PARTITION BY RANGE (created_at)""",
        # The safety net: a row whose month nobody made a partition for is kept, and moved when the month is made.
        "CREATE TABLE ledger_entries_default PARTITION OF ledger_entries DEFAULT",
        "CREATE INDEX ledger_entries_newest ON ledger_entries (created_at DESC, id DESC)",
        "CREATE INDEX ledger_entries_team ON ledger_entries (team_id, created_at)",
        "CREATE INDEX ledger_entries_key ON ledger_entries (key_id, created_at)",
        "CREATE INDEX ledger_entries_request ON ledger_entries USING hash (request_id)",
        """
        CREATE TABLE ledger_rejects (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            received_at timestamptz NOT NULL DEFAULT now(),
            reason text NOT NULL,
            entry text NOT NULL
        )""",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE ledger_entries, ledger_rejects")
