"""Teams have lists of questions with their answers, in versions that never change."""

from __future__ import annotations

from alembic import op

revision = "0015_faq_lists"
down_revision = "0014_deflector"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE faq_versions (
            team_id text NOT NULL REFERENCES teams (id),
            version integer NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            changed_by text NOT NULL,
            entries jsonb NOT NULL,
            PRIMARY KEY (team_id, version)
        )""")
    op.execute("CREATE INDEX faq_versions_newest ON faq_versions (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE faq_versions")
