"""What a policy went by when it decided, so that it can be run again."""

from __future__ import annotations

from alembic import op

revision = "0008_replay"
down_revision = "0007_feedback"

_COLUMNS = (
    "draw double precision",
    "is_stream boolean NOT NULL DEFAULT false",
    "quality_loss_target double precision",
    "is_loss_asked boolean NOT NULL DEFAULT false",
    "cost_weight double precision",
    "strongest text",
    "is_certified boolean NOT NULL DEFAULT false",
    "router_us bigint",
)


def upgrade() -> None:
    op.execute("ALTER TABLE route_decisions " + ", ".join(f"ADD COLUMN {column}" for column in _COLUMNS))


def downgrade() -> None:
    names = [column.partition(" ")[0] for column in _COLUMNS]
    op.execute("ALTER TABLE route_decisions " + ", ".join(f"DROP COLUMN {name}" for name in names))
