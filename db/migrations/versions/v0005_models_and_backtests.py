"""Backtests on a client's own history; models, who uses them, and how they compare in shadow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from db.migrations.parts import add_column, ascii_, column, drop_column, index, table, when

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INFORMED_BY = mysql.VARCHAR(80, charset="ascii", collation="ascii_bin")
_TABLES = ("backtests", "models", "model_uses", "model_shadows")


def upgrade() -> None:
    _backtests()
    _models()
    _uses()
    _shadows()
    _informed()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE IF EXISTS {name}")
    drop_column("decisions", "informed_by")


def _backtests() -> None:
    table(
        "backtests",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64),
        ascii_("state", 16),
        column("server_ids", sa.JSON()),
        when("from_at"),
        when("until_at"),
        column("asked", sa.JSON()),
        ascii_("model_id", 64),
        ascii_("body_digest", 64),
        when("requested_at"),
        ascii_("requested_by", 64),
        when("started_at", nullable=True),
        when("finished_at", nullable=True),
        column("problem", sa.String(2000)),
        column("result", sa.JSON(), nullable=True),
    )
    index("ix_backtests_client_id_requested_at_id", "backtests", "client_id", "requested_at", "id")
    index("ix_backtests_requested_at_id", "backtests", "requested_at", "id")


def _models() -> None:
    table(
        "models",
        ascii_("id", 64, primary_key=True),
        column("name", sa.String(100)),
        ascii_("sha256", 64),
        column("size", sa.Integer()),
        column("content", mysql.MEDIUMBLOB()),
        column("features", sa.JSON()),
        column("report", sa.JSON()),
        ascii_("state", 16),
        when("registered_at"),
        ascii_("registered_by", 64),
        when("retired_at", nullable=True),
    )
    index("ix_models_registered_at_id", "models", "registered_at", "id")
    index("uq_models_sha256", "models", "sha256", unique=True)


def _uses() -> None:
    table(
        "model_uses",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64),
        ascii_("model_id", 64),
        when("began_at"),
        ascii_("began_by", 64),
        ascii_("backtest_id", 64),
        column("forced", sa.Boolean()),
        column("restored", sa.Boolean()),
        column("why", sa.String(500)),
        when("ended_at", nullable=True),
        ascii_("ended_by", 64),
        ascii_("open_client_id", 64, computed="CASE WHEN ended_at IS NULL THEN client_id END"),
    )
    index("ix_model_uses_client_id_began_at_id", "model_uses", "client_id", "began_at", "id")
    index("uq_model_uses_open", "model_uses", "open_client_id", unique=True)


def _shadows() -> None:
    table(
        "model_shadows",
        ascii_("model_id", 64, primary_key=True),
        ascii_("client_id", 64, primary_key=True),
        column("day", sa.Date(), primary_key=True),
        column("decisions", sa.Integer()),
        column("agreed", sa.Integer()),
        column("fell_back", sa.Integer()),
        column("cost_usd", mysql.DOUBLE(asdecimal=False)),
        column("built_in_cost_usd", mysql.DOUBLE(asdecimal=False)),
        column("failure", sa.String(500)),
    )


def _informed() -> None:
    """Decisions made before there were models are the built-in policy's."""
    add_column("decisions", ascii_("informed_by", 80, nullable=True))
    op.execute("UPDATE decisions SET informed_by = '' WHERE informed_by IS NULL")
    op.alter_column("decisions", "informed_by", existing_type=_INFORMED_BY, nullable=False)
