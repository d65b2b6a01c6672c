"""What the autopilot has learnt: how cautious to be, by kind of needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import ascii_, column, index, table, when

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


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS experiences")
