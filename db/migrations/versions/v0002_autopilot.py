"""The autopilot: what clients wish for all their servers, and decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import add_column, ascii_, column, drop_column, index, table, when

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPEN = "CASE WHEN state IN ('proposed', 'approved', 'asked') THEN server_id END"


def upgrade() -> None:
    for name in ("autopilot", "limits"):
        add_column("clients", column(name, sa.JSON(), nullable=True))
    table(
        "decisions",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64),
        ascii_("server_id", 64),
        ascii_("kind", 32),
        ascii_("reason", 32),
        ascii_("held_by", 32),
        ascii_("from_pool", 128),
        ascii_("to_pool", 128),
        ascii_("state", 16),
        column("priority", sa.Integer()),
        column("figures", sa.JSON()),
        when("at"),
        when("last_at"),
        column("times", sa.Integer()),
        ascii_("operation_id", 64, nullable=True),
        when("settled_at", nullable=True),
        ascii_("settled_by", 64),
        column("why", sa.String(2000)),
        ascii_("latest_server_id", 64, nullable=True),
        ascii_("open_server_id", 64, computed=_OPEN),
    )
    index("ix_decisions_client_id_at_id", "decisions", "client_id", "at", "id")
    index("ix_decisions_server_id_at_id", "decisions", "server_id", "at", "id")
    index("ix_decisions_client_id_state_at", "decisions", "client_id", "state", "at")
    index("ix_decisions_state_at", "decisions", "state", "at")
    index("uq_decisions_latest", "decisions", "latest_server_id", unique=True)
    index("uq_decisions_open", "decisions", "open_server_id", unique=True)


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS decisions")
    for name in ("limits", "autopilot"):
        drop_column("clients", name)
