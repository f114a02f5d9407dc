"""Teams have targets: how much quality may be lost, and what a call may be expected to cost; decisions tell of caps."""

from __future__ import annotations

from alembic import op

revision = "0010_targets"
down_revision = "0009_conversations"


def upgrade() -> None:
    op.execute("ALTER TABLE teams ADD COLUMN quality_loss_max double precision, ADD COLUMN call_cost_max_nusd bigint")
    op.execute("ALTER TABLE route_decisions ADD COLUMN cost_max_nusd bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE route_decisions DROP COLUMN cost_max_nusd")
    op.execute("ALTER TABLE teams DROP COLUMN quality_loss_max, DROP COLUMN call_cost_max_nusd")
