"""What a decision owes to the conversation that its request goes on with."""

from __future__ import annotations

from alembic import op

revision = "0009_conversations"
down_revision = "0008_replay"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE route_decisions
            ADD COLUMN question_tokens bigint,
            ADD COLUMN answered_before text,
            ADD COLUMN is_kept boolean NOT NULL DEFAULT false,
            ADD COLUMN switching_nusd bigint NOT NULL DEFAULT 0
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE route_decisions
            DROP COLUMN question_tokens, DROP COLUMN answered_before, DROP COLUMN is_kept, DROP COLUMN switching_nusd
        """
    )
