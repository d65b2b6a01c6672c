"""People at the page: signed in with a token once, known by a cookie after that."""

from __future__ import annotations

from alembic import op

from db.migrations.parts import ascii_, index, table, when

revision = "0004"
down_revision = "0003"
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


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS sign_ins")
