"""The dashboard: who is signed in, which agents are silent, and events looked for by server and by time."""

from __future__ import annotations

from alembic import op

from db.migrations.parts import add_column, ascii_, drop_column, drop_index, index, table, when

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table(
        "sign_ins",
        ascii_("id", 64, primary_key=True),
        ascii_("kind", 16),
        ascii_("token_id", 64),
        ascii_("secret_hash", 64),
        when("created_at"),
        when("seen_at"),
        when("expires_at"),
    )
    index("ix_sign_ins_expires_at", "sign_ins", "expires_at")
    index("ix_events_client_id_recorded_at_seq", "events", "client_id", "recorded_at", "seq")
    index("ix_events_client_id_server_id_seq", "events", "client_id", "server_id", "seq")
    add_column("agents", when("silent_since", nullable=True))
    index("ix_agents_silent_since_seen_at", "agents", "silent_since", "seen_at")


def downgrade() -> None:
    drop_index("ix_agents_silent_since_seen_at", "agents")
    drop_column("agents", "silent_since")
    drop_index("ix_events_client_id_server_id_seq", "events")
    drop_index("ix_events_client_id_recorded_at_seq", "events")
    op.execute("DROP TABLE IF EXISTS sign_ins")
