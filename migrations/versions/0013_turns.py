"""What a decision knew of its conversation, and of how long its text is, so that it can be run again."""

from __future__ import annotations

from alembic import op

revision = "0013_turns"
down_revision = "0012_decisions_by_route"


def upgrade() -> None:
    op.execute("ALTER TABLE route_decisions ADD COLUMN text_tokens bigint, ADD COLUMN before jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE route_decisions DROP COLUMN text_tokens, DROP COLUMN before")
