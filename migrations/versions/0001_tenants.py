"""Organizations, teams and virtual keys."""

from __future__ import annotations

from alembic import op

revision = "0001_tenants"
down_revision = None


def upgrade() -> None:
    for statement in (
        """
        CREATE TABLE organizations (
            id text PRIMARY KEY,
            name text NOT NULL UNIQUE,
            created_at timestamptz NOT NULL DEFAULT now()
        )""",
        """
        CREATE TABLE teams (
            id text PRIMARY KEY,
            organization_id text NOT NULL REFERENCES organizations (id),
            name text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            deleted_at timestamptz
        )""",
        "CREATE UNIQUE INDEX teams_live_name ON teams (organization_id, name) WHERE deleted_at IS NULL",
        """
        CREATE TABLE keys (
            id text PRIMARY KEY,
            secret_sha256 bytea NOT NULL UNIQUE,
            prefix text NOT NULL,
            name text NOT NULL,
            team_id text NOT NULL REFERENCES teams (id),
            models text[],
            expires_at timestamptz,
            revoked_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )""",
        "CREATE INDEX ix_keys_team_id ON keys (team_id)",
        "CREATE INDEX ix_keys_updated_at ON keys (updated_at)",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE keys, teams, organizations")
