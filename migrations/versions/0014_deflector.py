"""Which deflector answered without a model, or was asked the same again."""

from __future__ import annotations

from alembic import op

revision = "0014_deflector"
down_revision = "0013_turns"


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_entries ADD COLUMN deflector text")


def downgrade() -> None:
    op.execute("ALTER TABLE ledger_entries DROP COLUMN deflector")
