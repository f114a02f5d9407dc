"""What a request went through, what guards said of it, and which of its stages an entry pays for."""

from __future__ import annotations

from alembic import op

revision = "0016_stages"
down_revision = "0015_faq_lists"


def upgrade() -> None:
    op.execute("ALTER TABLE ledger_entries ADD COLUMN guards jsonb, ADD COLUMN stages jsonb, ADD COLUMN stage text")


def downgrade() -> None:
    op.execute("ALTER TABLE ledger_entries DROP COLUMN guards, DROP COLUMN stages, DROP COLUMN stage")
