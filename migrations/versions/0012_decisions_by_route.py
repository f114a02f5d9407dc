"""Who looks at the questions of one route finds its decisions without reading those of all others."""

from __future__ import annotations

from alembic import op

revision = "0012_decisions_by_route"
down_revision = "0011_route_prompts"


def upgrade() -> None:
    op.execute("CREATE INDEX route_decisions_route ON route_decisions (route, created_at)")


def downgrade() -> None:
    op.execute("DROP INDEX route_decisions_route")
