"""The first schema: tenants, fleet, ledger, operations, market, events.

Column types are spelled out here and not taken from the models: a migration does not change when
they do. A run that was cut off half-way goes on where it stopped, since DDL has no transaction.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import ascii_, column, index, seconds, table, when

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tenants()
    _servers()
    _instances()
    _ledger()
    _operations()
    _market()
    _streams()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE IF EXISTS {name}")


_TABLES = (
    "clients",
    "tokens",
    "audit",
    "servers",
    "agents",
    "instances",
    "resources",
    "notices",
    "operations",
    "operation_steps",
    "pools",
    "price_observations",
    "events",
    "record_streams",
)


def _tenants() -> None:
    table(
        "clients",
        ascii_("id", 64, primary_key=True),
        column("name", sa.String(200)),
        column("event_seq", sa.BigInteger()),
        when("created_at"),
        when("deleted_at", nullable=True),
    )
    index("ix_clients_created_at_id", "clients", "created_at", "id")
    table(
        "tokens",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64, nullable=True),
        ascii_("kind", 16),
        ascii_("secret_hash", 64),
        column("label", sa.String(200)),
        when("created_at"),
        when("revoked_at", nullable=True),
        when("last_used_at", nullable=True),
    )
    index("ix_tokens_client_id_created_at", "tokens", "client_id", "created_at")
    table(
        "audit",
        column("id", sa.BigInteger(), primary_key=True),
        when("at"),
        ascii_("client_id", 64, nullable=True),
        ascii_("token_id", 64, nullable=True),
        ascii_("action", 64),
        ascii_("subject", 191),
        ascii_("request_id", 255, nullable=True),
        ascii_("outcome", 64),
        ascii_("remote_address", 64),
        column("details", sa.JSON()),
    )
    index("ix_audit_at", "audit", "at")
    index("ix_audit_client_id_at", "audit", "client_id", "at")


def _servers() -> None:
    table(
        "servers",
        ascii_("id", 64, primary_key=True),
        ascii_("client_id", 64),
        column("name", sa.String(191)),
        ascii_("region", 32),
        ascii_("account_id", 32),
        ascii_("handoff", 16),
        column("policy", sa.JSON()),
        column("moves", sa.JSON()),
        ascii_("state", 16),
        ascii_("ended_how", 32, nullable=True),
        when("ended_at", nullable=True),
        column("version", sa.Integer()),
        when("created_at"),
        when("updated_at"),
        column("active_name", sa.String(191), computed="CASE WHEN state = 'active' THEN name END"),
    )
    index("ix_servers_client_id_created_at_id", "servers", "client_id", "created_at", "id")
    index("ix_servers_created_at_id", "servers", "created_at", "id")
    index("uq_servers_active_name", "servers", "client_id", "active_name", unique=True)
    table(
        "agents",
        ascii_("client_id", 64, primary_key=True),
        ascii_("instance_id", 64, primary_key=True),
        ascii_("version", 64),
        column("identity", sa.JSON()),
        when("registered_at"),
        when("seen_at"),
    )


def _instances() -> None:
    table(
        "instances",
        ascii_("id", 64, primary_key=True),
        ascii_("server_id", 64, primary_key=True),
        ascii_("client_id", 64),
        ascii_("state", 32),
        ascii_("role", 16, nullable=True),
        ascii_("pool", 128),
        ascii_("region", 32),
        ascii_("zone", 32),
        ascii_("instance_type", 32),
        ascii_("lifecycle", 16),
        ascii_("private_ip", 64),
        ascii_("spot_request_id", 64),
        column("usd_per_hour", sa.Numeric(12, 6), nullable=True),
        ascii_("operation_id", 64, nullable=True),
        column("reason", sa.String(1000)),
        when("created_at"),
        when("updated_at"),
        when("launch_requested_at", nullable=True),
        when("launch_confirmed_at", nullable=True),
        when("terminate_requested_at", nullable=True),
        when("terminate_confirmed_at", nullable=True),
        seconds("launch_duration_seconds", "launch_requested_at", "launch_confirmed_at"),
        seconds("termination_duration_seconds", "terminate_requested_at", "terminate_confirmed_at"),
        ascii_("primary_of", 64, computed="CASE WHEN role = 'primary' THEN server_id END"),
        ascii_("live_id", 64, computed="CASE WHEN state NOT IN ('terminated', 'released') THEN id END"),
    )
    index("ix_instances_client_id_created_at_id", "instances", "client_id", "created_at", "id")
    index("ix_instances_client_id_state_created_at", "instances", "client_id", "state", "created_at")
    index("ix_instances_created_at_id", "instances", "created_at", "id")
    index("ix_instances_server_id_created_at_id", "instances", "server_id", "created_at", "id")
    index("ix_instances_state_created_at", "instances", "state", "created_at")
    index("uq_instances_live_id", "instances", "live_id", unique=True)
    index("uq_instances_primary_of", "instances", "primary_of", unique=True)


def _ledger() -> None:
    table(
        "resources",
        column("id", sa.BigInteger(), primary_key=True),
        ascii_("client_id", 64),
        ascii_("server_id", 64),
        ascii_("operation_id", 64),
        ascii_("step", 64),
        ascii_("type", 32),
        ascii_("token", 160, nullable=True),
        ascii_("resource_id", 255, nullable=True),
        ascii_("state", 16),
        ascii_("how", 32),
        column("details", sa.JSON()),
        when("intended_at", nullable=True),
        when("live_at", nullable=True),
        when("gone_at", nullable=True),
    )
    index("ix_resources_client_id_resource_id", "resources", "client_id", "resource_id")
    index("ix_resources_client_id_state_type", "resources", "client_id", "state", "type")
    index("ix_resources_server_id_id", "resources", "server_id", "id")
    index("ix_resources_state_type", "resources", "state", "type")
    index("uq_resources_token", "resources", "token", unique=True)
    table(
        "notices",
        ascii_("notice_id", 128, primary_key=True),
        ascii_("server_id", 64, primary_key=True),
        ascii_("client_id", 64),
        ascii_("instance_id", 64),
        ascii_("kind", 16),
        ascii_("source", 16),
        column("sources", sa.JSON()),
        ascii_("action", 16),
        when("deadline", nullable=True),
        when("seen_at"),
        ascii_("operation_id", 64, nullable=True),
        when("handled_at", nullable=True),
        column("handled", sa.String(255)),
    )
    index("ix_notices_client_id_seen_at", "notices", "client_id", "seen_at")
    index("ix_notices_seen_at", "notices", "seen_at")
    index("ix_notices_server_id_seen_at", "notices", "server_id", "seen_at")


def _operations() -> None:
    table(
        "operations",
        ascii_("id", 64, primary_key=True),
        ascii_("server_id", 64),
        ascii_("client_id", 64),
        ascii_("kind", 32),
        column("priority", sa.Integer()),
        ascii_("status", 32),
        column("attention", sa.Boolean()),
        column("attention_reason", sa.String(2000)),
        ascii_("request_id", 255, nullable=True),
        ascii_("body_digest", 128),
        ascii_("requested_by", 64),
        ascii_("asked_pool", 128),
        ascii_("handoff", 16),
        ascii_("from_pool", 128),
        ascii_("to_pool", 128),
        ascii_("outcome", 32, nullable=True),
        column("reason", sa.String(2000)),
        ascii_("workflow_id", 191),
        ascii_("workflow_run_id", 64),
        when("requested_at"),
        when("started_at", nullable=True),
        when("finished_at", nullable=True),
        column("receipt", sa.JSON(), nullable=True),
        seconds("duration_seconds", "started_at", "finished_at"),
    )
    index("ix_operations_attention", "operations", "attention")
    index("ix_operations_client_id_attention", "operations", "client_id", "attention")
    index("ix_operations_client_id_requested_at_id", "operations", "client_id", "requested_at", "id")
    index("ix_operations_client_id_status_requested_at", "operations", "client_id", "status", "requested_at")
    index("ix_operations_requested_at_id", "operations", "requested_at", "id")
    index("ix_operations_server_id_requested_at_id", "operations", "server_id", "requested_at", "id")
    index("ix_operations_server_id_status", "operations", "server_id", "status")
    index("ix_operations_status_requested_at", "operations", "status", "requested_at")
    index("uq_operations_request", "operations", "client_id", "request_id", unique=True)
    table(
        "operation_steps",
        ascii_("operation_id", 64, primary_key=True, references="operations.id"),
        column("position", sa.Integer(), primary_key=True, autoincrement=False),
        ascii_("name", 64),
        when("started_at"),
        when("ended_at", nullable=True),
        column("ms", sa.Integer(), nullable=True),
        column("ok", sa.Boolean(), nullable=True),
        column("calls", sa.JSON()),
        column("hooks", sa.JSON()),
        column("note", sa.String(2000)),
    )


def _market() -> None:
    table(
        "pools",
        ascii_("id", 128, primary_key=True),
        ascii_("region", 32),
        ascii_("zone", 32),
        ascii_("instance_type", 32),
        ascii_("lifecycle", 16),
        column("usd_per_hour", sa.Numeric(12, 6), nullable=True),
        column("on_demand_usd_per_hour", sa.Numeric(12, 6), nullable=True),
        when("priced_at", nullable=True),
        when("cool_down_until", nullable=True),
        column("cool_down_reason", sa.String(500)),
        column("capacity_failures", sa.Integer()),
        column("notices", sa.Integer()),
    )
    index("ix_pools_region_cool_down_until", "pools", "region", "cool_down_until")
    index("ix_pools_region_id", "pools", "region", "id")
    table(
        "price_observations",
        ascii_("zone", 32, primary_key=True),
        ascii_("instance_type", 32, primary_key=True),
        when("at", primary_key=True),
        ascii_("source", 32, primary_key=True),
        ascii_("region", 32),
        column("usd_per_hour", sa.Numeric(12, 6)),
    )
    index("ix_price_observations_region_at", "price_observations", "region", "at")


def _streams() -> None:
    table(
        "events",
        ascii_("client_id", 64, primary_key=True),
        column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        when("recorded_at", primary_key=True),
        ascii_("type", 64),
        ascii_("server_id", 64, nullable=True),
        ascii_("instance_id", 64, nullable=True),
        ascii_("operation_id", 64, nullable=True),
        when("at"),
        column("payload", sa.JSON()),
    )
    index("ix_events_operation_id_seq", "events", "operation_id", "seq")
    index("ix_events_recorded_at_client_id", "events", "recorded_at", "client_id")
    table(
        "record_streams",
        ascii_("stream", 191, primary_key=True),
        column("applied_seq", sa.BigInteger()),
    )
