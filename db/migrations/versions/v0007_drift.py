"""Drift: differences between EC2 and the records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import ascii_, column, index, table, when

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table(
        "drift",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64),
        ascii_("server_id", 64),
        ascii_("region", 32),
        ascii_("kind", 32),
        ascii_("resource_type", 32),
        ascii_("resource_id", 255),
        column("ledger_id", sa.BigInteger()),
        ascii_("action", 16),
        ascii_("reason", 32),
        column("details", sa.JSON()),
        column("grace_s", sa.Numeric(16, 6)),
        ascii_("state", 16),
        column("outcome", sa.String(2000)),
        when("first_seen_at"),
        when("last_seen_at"),
        column("times", sa.Integer()),
        when("due_at", nullable=True),
        when("asked_at", nullable=True),
        when("tried_at", nullable=True),
        when("settled_at", nullable=True),
        ascii_("finding_key", 400),
        ascii_("open_key", 400, computed="CASE WHEN state = 'open' THEN finding_key END"),
    )
    index("uq_drift_open_key", "drift", "open_key", unique=True)
    index("ix_drift_client_id_first_seen_at_id", "drift", "client_id", "first_seen_at", "id")
    index("ix_drift_client_id_state_first_seen_at", "drift", "client_id", "state", "first_seen_at")
    index("ix_drift_state_kind", "drift", "state", "kind")
    index("ix_drift_first_seen_at_id", "drift", "first_seen_at", "id")


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS drift")
