"""What was decided for requests to routes, by the month as the ledger is."""

from __future__ import annotations

from alembic import op

revision = "0006_route_decisions"
down_revision = "0005_sums_from_indexes"


def upgrade() -> None:
    for statement in (
        """
        CREATE TABLE route_decisions (
            request_id text NOT NULL,
            created_at timestamptz NOT NULL,
            organization_id text NOT NULL,
            team_id text NOT NULL,
            key_id text NOT NULL,
            endpoint text NOT NULL,
            route text NOT NULL,
            policy text NOT NULL,
            router_version text,
            quality_loss_max double precision,
            input_tokens bigint NOT NULL,
            output_tokens_max bigint,
            chosen text,
            propensity double precision NOT NULL,
            baseline text,
            candidates jsonb NOT NULL,
            features bytea NOT NULL,
            conversation text,
            PRIMARY KEY (created_at, request_id)
        ) PARTITION BY RANGE (created_at)""",
        # The safety net: a row whose month nobody made a partition for is kept, and moved when the month is made.
        "CREATE TABLE route_decisions_default PARTITION OF route_decisions DEFAULT",
        "CREATE INDEX route_decisions_organization ON route_decisions (organization_id, created_at)",
        "CREATE INDEX route_decisions_team ON route_decisions (team_id, created_at)",
        "CREATE INDEX route_decisions_key ON route_decisions (key_id, created_at)",
        "CREATE INDEX route_decisions_request ON route_decisions USING hash (request_id)",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE route_decisions")
