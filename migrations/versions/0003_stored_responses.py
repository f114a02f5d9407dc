"""Which deployment keeps which response, and for whom: ids come back in later requests."""

from __future__ import annotations

from alembic import op

revision = "0003_stored_responses"
down_revision = "0002_ledger"


def upgrade() -> None:
    for statement in (
        """
        CREATE TABLE stored_responses (
            id text PRIMARY KEY,
            organization_id text NOT NULL,
            team_id text NOT NULL,
            key_id text NOT NULL,
            deployment text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )""",
        "CREATE INDEX stored_responses_oldest ON stored_responses (created_at)",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE stored_responses")
