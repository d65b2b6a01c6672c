"""The ledger of savings, the roles of instances over time, and webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import add_column, ascii_, column, drop_column, index, table, when

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = (
    *("savings", "savings_hours", "savings_days", "savings_progress", "weekly_summaries"),
    *("webhooks", "webhook_deliveries"),
)
_AMOUNTS = (
    "primary_micro",
    "replica_micro",
    "overlap_micro",
    "snapshot_micro",
    "on_demand_micro",
    "unpriced_s",
    "filled_s",
)


def upgrade() -> None:
    add_column("instances", column("roles", sa.JSON(), nullable=True))
    index("ix_instances_state_updated_at", "instances", "state", "updated_at")
    index("ix_resources_type_gone_at", "resources", "type", "gone_at")
    _savings()
    _webhooks()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE IF EXISTS {name}")
    _drop_index("instances", "ix_instances_state_updated_at")
    _drop_index("resources", "ix_resources_type_gone_at")
    drop_column("instances", "roles")


def _savings() -> None:
    table(
        "savings",
        ascii_("server_id", 64, primary_key=True),
        when("hour", primary_key=True),
        column("number", sa.Integer(), primary_key=True, autoincrement=False),
        ascii_("client_id", 64),
        *(column(name, sa.BigInteger()) for name in _AMOUNTS),
        when("until_at"),
        ascii_("reason", 16),
        when("recorded_at"),
    )
    table(
        "savings_hours",
        ascii_("client_id", 64, primary_key=True),
        when("hour", primary_key=True),
        *(column(name, sa.BigInteger()) for name in _AMOUNTS),
    )
    index("ix_savings_hours_hour_client_id", "savings_hours", "hour", "client_id")
    table(
        "savings_days",
        ascii_("client_id", 64, primary_key=True),
        when("day", primary_key=True),
        ascii_("server_id", 64, primary_key=True),
        *(column(name, sa.BigInteger()) for name in _AMOUNTS),
    )
    index("ix_savings_days_server_id_day", "savings_days", "server_id", "day")
    index("ix_savings_days_day_client_id", "savings_days", "day", "client_id")
    table("savings_progress", ascii_("name", 32, primary_key=True), when("until_at"))
    table(
        "weekly_summaries", ascii_("client_id", 64, primary_key=True), when("week", primary_key=True), when("told_at")
    )


def _webhooks() -> None:
    table(
        "webhooks",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64),
        column("url", sa.String(2000)),
        column("label", sa.String(200)),
        column("kinds", sa.JSON()),
        ascii_("state", 16),
        ascii_("secret_sealed", 255),
        column("seen_seq", sa.BigInteger()),
        when("failing_since", nullable=True),
        column("why", sa.String(500)),
        when("created_at"),
        when("updated_at"),
    )
    index("ix_webhooks_client_id_created_at_id", "webhooks", "client_id", "created_at", "id")
    index("ix_webhooks_state_client_id", "webhooks", "state", "client_id")
    table(
        "webhook_deliveries",
        ascii_("id", 64, primary_key=True),
        ascii_("webhook_id", 64),
        ascii_("client_id", 64),
        column("event_seq", sa.BigInteger(), nullable=True),
        ascii_("kind", 32),
        ascii_("type", 64),
        column("payload", sa.JSON()),
        ascii_("state", 16),
        column("attempts", sa.Integer()),
        column("response_code", sa.Integer(), nullable=True),
        column("duration_ms", sa.Integer(), nullable=True),
        column("error", sa.String(500)),
        when("created_at"),
        when("handed_at", nullable=True),
        when("next_try_at", nullable=True),
        when("finished_at", nullable=True),
    )
    name = "webhook_deliveries"
    index("uq_webhook_deliveries_event", name, "webhook_id", "event_seq", unique=True)
    index("ix_webhook_deliveries_webhook_id_created_at_id", name, "webhook_id", "created_at", "id")
    index("ix_webhook_deliveries_waiting", name, "handed_at", "created_at")
    index("ix_webhook_deliveries_created_at", name, "created_at")


def _drop_index(of: str, name: str) -> None:
    if name in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(of)}:
        op.drop_index(name, of)
