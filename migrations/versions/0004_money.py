"""Members, budgets, limits, roles and the audit log; whose member made a call and what was held for it."""

from __future__ import annotations

from alembic import op

revision = "0004_money"
down_revision = "0003_stored_responses"


def upgrade() -> None:
    for statement in (
        """
        ALTER TABLE organizations
            ADD COLUMN contact text,
            ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN deleted_at timestamptz""",
        # The name of a deleted organization is free again.
        "ALTER TABLE organizations DROP CONSTRAINT organizations_name_key",
        "CREATE UNIQUE INDEX organizations_live_name ON organizations (name) WHERE deleted_at IS NULL",
        """
        ALTER TABLE teams
            ADD COLUMN contact text,
            ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now()""",
        """
        CREATE TABLE members (
            id text PRIMARY KEY,
            organization_id text NOT NULL REFERENCES organizations (id),
            team_id text NOT NULL REFERENCES teams (id),
            name text NOT NULL,
            email text,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            deleted_at timestamptz
        )""",
        "CREATE INDEX ix_members_team_id ON members (team_id)",
        "CREATE UNIQUE INDEX members_live_name ON members (team_id, name) WHERE deleted_at IS NULL",
        """
        ALTER TABLE keys
            ADD COLUMN member_id text REFERENCES members (id),
            ADD COLUMN allowed_ips text[],
            ADD COLUMN previous_sha256 bytea UNIQUE,
            ADD COLUMN previous_expires_at timestamptz""",
        "CREATE INDEX ix_keys_member_id ON keys (member_id)",
        """
        CREATE TABLE budgets (
            id text PRIMARY KEY,
            organization_id text NOT NULL REFERENCES organizations (id),
            team_id text REFERENCES teams (id),
            member_id text REFERENCES members (id),
            key_id text REFERENCES keys (id),
            end_user text,
            route text,
            model text,
            each text,
            limit_nusd bigint NOT NULL,
            "window" text NOT NULL,
            time_zone text NOT NULL,
            is_rolling boolean NOT NULL,
            soft_limit_pct integer[] NOT NULL,
            on_exhausted text NOT NULL,
            raised_limit_nusd bigint,
            raised_until timestamptz,
            reset_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            deleted_at timestamptz
        )""",
        "CREATE INDEX ix_budgets_organization_id ON budgets (organization_id)",
        "CREATE INDEX ix_budgets_updated_at ON budgets (updated_at)",
        """
        CREATE TABLE limits (
            id text PRIMARY KEY,
            organization_id text NOT NULL REFERENCES organizations (id),
            team_id text REFERENCES teams (id),
            member_id text REFERENCES members (id),
            key_id text REFERENCES keys (id),
            end_user text,
            route text,
            model text,
            each text,
            requests_per_minute bigint,
            tokens_per_minute bigint,
            tokens_per_day bigint,
            parallel_requests bigint,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            deleted_at timestamptz
        )""",
        "CREATE INDEX ix_limits_organization_id ON limits (organization_id)",
        "CREATE INDEX ix_limits_updated_at ON limits (updated_at)",
        """
        CREATE TABLE admin_keys (
            id text PRIMARY KEY,
            secret_sha256 bytea NOT NULL UNIQUE,
            prefix text NOT NULL,
            name text NOT NULL,
            role text NOT NULL,
            organization_id text REFERENCES organizations (id),
            team_id text REFERENCES teams (id),
            expires_at timestamptz,
            revoked_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )""",
        """
        CREATE TABLE audit_log (
            id text PRIMARY KEY,
            created_at timestamptz NOT NULL DEFAULT now(),
            actor text NOT NULL,
            action text NOT NULL,
            object_kind text NOT NULL,
            object_id text NOT NULL,
            organization_id text,
            team_id text,
            before jsonb,
            after jsonb
        )""",
        "CREATE INDEX audit_log_newest ON audit_log (created_at DESC, id DESC)",
        """
        CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only';
        END $$""",
        """
        CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()""",
        "ALTER TABLE ledger_entries ADD COLUMN member_id text, ADD COLUMN held_nusd bigint NOT NULL DEFAULT 0",
        # What balances are rebuilt from; cost_nusd comes along so that the table itself need not be read.
        "CREATE INDEX ledger_entries_organization ON ledger_entries (organization_id, created_at) INCLUDE (cost_nusd)",
        "CREATE INDEX ledger_entries_member ON ledger_entries (member_id, created_at) INCLUDE (cost_nusd)"
        " WHERE member_id IS NOT NULL",
    ):
        op.execute(statement)


def downgrade() -> None:
    for statement in (
        "DROP INDEX ledger_entries_member, ledger_entries_organization",
        "ALTER TABLE ledger_entries DROP COLUMN member_id, DROP COLUMN held_nusd",
        "DROP TABLE audit_log, admin_keys, limits, budgets",
        "DROP FUNCTION audit_log_is_append_only",
        "ALTER TABLE keys DROP COLUMN member_id, DROP COLUMN allowed_ips, DROP COLUMN previous_sha256,"
        " DROP COLUMN previous_expires_at",
        "DROP TABLE members",
        "ALTER TABLE teams DROP COLUMN contact, DROP COLUMN updated_at",
        "DROP INDEX organizations_live_name",
        "ALTER TABLE organizations DROP COLUMN contact, DROP COLUMN updated_at, DROP COLUMN deleted_at",
        "ALTER TABLE organizations ADD CONSTRAINT organizations_name_key UNIQUE (name)",
    ):
        op.execute(statement)
