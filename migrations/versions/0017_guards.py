"""Teams and keys add guards to those of the catalog: a list each, null for none."""

from __future__ import annotations

from alembic import op

revision = "0017_guards"
down_revision = "0016_stages"


def upgrade() -> None:
    op.execute("ALTER TABLE teams ADD COLUMN guards jsonb")
    op.execute("ALTER TABLE keys ADD COLUMN guards jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE keys DROP COLUMN guards")
    op.execute("ALTER TABLE teams DROP COLUMN guards")
