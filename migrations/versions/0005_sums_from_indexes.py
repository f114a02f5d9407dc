"""What keys, teams and end users spent is read from indexes: GET /v1/me and every rebuilt balance ask for it.

CREATE INDEX locks the ledger against writes (SHARE) until this migration is committed: 4 seconds for a million entries
on two cores. Calls go on meanwhile, and their charges wait in the journal. Reading waits at the very end alone, while
the old indexes go (ACCESS EXCLUSIVE).
"""

from __future__ import annotations

from alembic import op

revision = "0005_sums_from_indexes"
down_revision = "0004_money"


def upgrade() -> None:
    for statement in (
        "CREATE INDEX ledger_entries_key_sums ON ledger_entries (key_id, created_at) INCLUDE (cost_nusd)",
        "CREATE INDEX ledger_entries_team_sums ON ledger_entries (team_id, created_at) INCLUDE (cost_nusd)",
        # Only as much of the name as a B-tree surely takes: clients choose it.
        "CREATE INDEX ledger_entries_end_user ON ledger_entries"
        " (organization_id, substr(end_user, 1, 200), created_at) WHERE end_user IS NOT NULL",
        "DROP INDEX ledger_entries_key, ledger_entries_team",
        "ALTER INDEX ledger_entries_key_sums RENAME TO ledger_entries_key",
        "ALTER INDEX ledger_entries_team_sums RENAME TO ledger_entries_team",
    ):
        op.execute(statement)


def downgrade() -> None:
    for statement in (
        "DROP INDEX ledger_entries_end_user, ledger_entries_key, ledger_entries_team",
        "CREATE INDEX ledger_entries_team ON ledger_entries (team_id, created_at)",
        "CREATE INDEX ledger_entries_key ON ledger_entries (key_id, created_at)",
    ):
        op.execute(statement)
