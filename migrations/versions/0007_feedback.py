"""What clients say of their answers. The ledger's entries are found by an index that it has: ledger_entries_request."""

from __future__ import annotations

from alembic import op

revision = "0007_feedback"
down_revision = "0006_route_decisions"


def upgrade() -> None:
    for statement in (
        """
        CREATE TABLE feedback (
            id text PRIMARY KEY,
            created_at timestamptz NOT NULL DEFAULT now(),
            request_id text NOT NULL,
            organization_id text NOT NULL,
            team_id text NOT NULL,
            key_id text NOT NULL,
            member_id text,
            score double precision,
            label text,
            who text,
            comment text,
            body_sha256 bytea NOT NULL
        )""",
        # The same said twice by the same key counts once.
        "CREATE UNIQUE INDEX feedback_once ON feedback (key_id, body_sha256)",
        "CREATE INDEX feedback_newest ON feedback (created_at DESC, id DESC)",
        "CREATE INDEX feedback_organization ON feedback (organization_id, created_at)",
        "CREATE INDEX feedback_team ON feedback (team_id, created_at)",
        "CREATE INDEX feedback_request ON feedback USING hash (request_id)",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE feedback")
