"""The prompts that routes keep because their operator said so, each until a date of its own."""

from __future__ import annotations

from alembic import op

revision = "0011_route_prompts"
down_revision = "0010_targets"


def upgrade() -> None:
    for statement in (
        """
        CREATE TABLE route_prompts (
            request_id text PRIMARY KEY,
            created_at timestamptz NOT NULL,
            organization_id text NOT NULL,
            team_id text NOT NULL,
            route text NOT NULL,
            text text NOT NULL,
            expires_at timestamptz NOT NULL
        )""",
        "CREATE INDEX route_prompts_expiry ON route_prompts (expires_at)",
        "CREATE INDEX route_prompts_team ON route_prompts (team_id)",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE route_prompts")
