"""An agent is silent by when it should have been heard of: how often that is depends on how many there are."""

from __future__ import annotations

from alembic import op
from sqlalchemy.dialects import mysql

from db.migrations.parts import add_column, drop_column, drop_index, index, when

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TIME = mysql.DATETIME(fsp=6)


def upgrade() -> None:
    add_column("agents", when("due_at", nullable=True))
    op.execute("UPDATE agents SET due_at = seen_at + INTERVAL 45 SECOND WHERE due_at IS NULL")
    op.alter_column("agents", "due_at", existing_type=_TIME, nullable=False)
    index("ix_agents_silent_since_due_at", "agents", "silent_since", "due_at")
    drop_index("ix_agents_silent_since_seen_at", "agents")


def downgrade() -> None:
    index("ix_agents_silent_since_seen_at", "agents", "silent_since", "seen_at")
    drop_index("ix_agents_silent_since_due_at", "agents")
    drop_column("agents", "due_at")
