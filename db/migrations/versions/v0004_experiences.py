"""What the autopilot has learnt: how cautious to be, by kind of needs. On-demand prices have a table of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import add_column, ascii_, column, drop_column, index, table, when

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table(
        "experiences",
        ascii_("key", 64, primary_key=True),
        ascii_("region", 32),
        column("needs", sa.JSON()),
        column("losses", sa.Double()),
        column("expected", sa.Double()),
        column("held", sa.JSON()),
        when("at"),
    )
    index("ix_experiences_region_at", "experiences", "region", "at")
    drop_column("pools", "on_demand_usd_per_hour")


def downgrade() -> None:
    add_column("pools", column("on_demand_usd_per_hour", sa.Numeric(12, 6), nullable=True))
    op.execute("DROP TABLE IF EXISTS experiences")
