"""The first schema: tenants, fleet, ledger, operations, market, events.

Column types are spelled out here and not taken from the models: a migration does not change when
they do. A run that was cut off half-way goes on where it stopped, since DDL has no transaction.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

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
    for table in reversed(_TABLES):
        op.execute(f"DROP TABLE IF EXISTS {table}")


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
    _table(
        "clients",
        _ascii("id", 64, primary_key=True),
        _column("name", sa.String(200)),
        _column("event_seq", sa.BigInteger()),
        _when("created_at"),
        _when("deleted_at", nullable=True),
    )
    _index("ix_clients_created_at_id", "clients", "created_at", "id")
    _table(
        "tokens",
        _ascii("id", 64, primary_key=True),
        _ascii("client_id", 64, nullable=True),
        _ascii("kind", 16),
        _ascii("secret_hash", 64),
        _column("label", sa.String(200)),
        _when("created_at"),
        _when("revoked_at", nullable=True),
        _when("last_used_at", nullable=True),
    )
    _index("ix_tokens_client_id_created_at", "tokens", "client_id", "created_at")
    _table(
        "audit",
        _column("id", sa.BigInteger(), primary_key=True),
        _when("at"),
        _ascii("client_id", 64, nullable=True),
        _ascii("token_id", 64, nullable=True),
        _ascii("action", 64),
        _ascii("subject", 191),
        _ascii("request_id", 255, nullable=True),
        _ascii("outcome", 64),
        _ascii("remote_address", 64),
        _column("details", sa.JSON()),
    )
    _index("ix_audit_at", "audit", "at")
    _index("ix_audit_client_id_at", "audit", "client_id", "at")


def _servers() -> None:
    _table(
        "servers",
        _ascii("id", 64, primary_key=True),
        _ascii("client_id", 64),
        _column("name", sa.String(191)),
        _ascii("region", 32),
        _ascii("account_id", 32),
        _ascii("handoff", 16),
        _column("policy", sa.JSON()),
        _column("moves", sa.JSON()),
        _ascii("state", 16),
        _ascii("ended_how", 32, nullable=True),
        _when("ended_at", nullable=True),
        _column("version", sa.Integer()),
        _when("created_at"),
        _when("updated_at"),
        _column("active_name", sa.String(191), computed="CASE WHEN state = 'active' THEN name END"),
    )
    _index("ix_servers_client_id_created_at_id", "servers", "client_id", "created_at", "id")
    _index("ix_servers_created_at_id", "servers", "created_at", "id")
    _index("uq_servers_active_name", "servers", "client_id", "active_name", unique=True)
    _table(
        "agents",
        _ascii("client_id", 64, primary_key=True),
        _ascii("instance_id", 64, primary_key=True),
        _ascii("version", 64),
        _column("identity", sa.JSON()),
        _when("registered_at"),
        _when("seen_at"),
    )


def _instances() -> None:
    _table(
        "instances",
        _ascii("id", 64, primary_key=True),
        _ascii("server_id", 64, primary_key=True),
        _ascii("client_id", 64),
        _ascii("state", 32),
        _ascii("role", 16, nullable=True),
        _ascii("pool", 128),
        _ascii("region", 32),
        _ascii("zone", 32),
        _ascii("instance_type", 32),
        _ascii("lifecycle", 16),
        _ascii("private_ip", 64),
        _ascii("spot_request_id", 64),
        _column("usd_per_hour", sa.Numeric(12, 6), nullable=True),
        _ascii("operation_id", 64, nullable=True),
        _column("reason", sa.String(1000)),
        _when("created_at"),
        _when("updated_at"),
        _when("launch_requested_at", nullable=True),
        _when("launch_confirmed_at", nullable=True),
        _when("terminate_requested_at", nullable=True),
        _when("terminate_confirmed_at", nullable=True),
        _seconds("launch_duration_seconds", "launch_requested_at", "launch_confirmed_at"),
        _seconds("termination_duration_seconds", "terminate_requested_at", "terminate_confirmed_at"),
        _ascii("primary_of", 64, computed="CASE WHEN role = 'primary' THEN server_id END"),
        _ascii("live_id", 64, computed="CASE WHEN state NOT IN ('terminated', 'released') THEN id END"),
    )
    _index("ix_instances_client_id_created_at_id", "instances", "client_id", "created_at", "id")
    _index("ix_instances_client_id_state_created_at", "instances", "client_id", "state", "created_at")
    _index("ix_instances_created_at_id", "instances", "created_at", "id")
    _index("ix_instances_server_id_created_at_id", "instances", "server_id", "created_at", "id")
    _index("ix_instances_state_created_at", "instances", "state", "created_at")
    _index("uq_instances_live_id", "instances", "live_id", unique=True)
    _index("uq_instances_primary_of", "instances", "primary_of", unique=True)


def _ledger() -> None:
    _table(
        "resources",
        _column("id", sa.BigInteger(), primary_key=True),
        _ascii("client_id", 64),
        _ascii("server_id", 64),
        _ascii("operation_id", 64),
        _ascii("step", 64),
        _ascii("type", 32),
        _ascii("token", 160, nullable=True),
        _ascii("resource_id", 255, nullable=True),
        _ascii("state", 16),
        _ascii("how", 32),
        _column("details", sa.JSON()),
        _when("intended_at", nullable=True),
        _when("live_at", nullable=True),
        _when("gone_at", nullable=True),
    )
    _index("ix_resources_client_id_resource_id", "resources", "client_id", "resource_id")
    _index("ix_resources_client_id_state_type", "resources", "client_id", "state", "type")
    _index("ix_resources_server_id_id", "resources", "server_id", "id")
    _index("ix_resources_state_type", "resources", "state", "type")
    _index("uq_resources_token", "resources", "token", unique=True)
    _table(
        "notices",
        _ascii("notice_id", 128, primary_key=True),
        _ascii("server_id", 64, primary_key=True),
        _ascii("client_id", 64),
        _ascii("instance_id", 64),
        _ascii("kind", 16),
        _ascii("source", 16),
        _column("sources", sa.JSON()),
        _ascii("action", 16),
        _when("deadline", nullable=True),
        _when("seen_at"),
        _ascii("operation_id", 64, nullable=True),
        _when("handled_at", nullable=True),
        _column("handled", sa.String(255)),
    )
    _index("ix_notices_client_id_seen_at", "notices", "client_id", "seen_at")
    _index("ix_notices_seen_at", "notices", "seen_at")
    _index("ix_notices_server_id_seen_at", "notices", "server_id", "seen_at")


def _operations() -> None:
    _table(
        "operations",
        _ascii("id", 64, primary_key=True),
        _ascii("server_id", 64),
        _ascii("client_id", 64),
        _ascii("kind", 32),
        _column("priority", sa.Integer()),
        _ascii("status", 32),
        _column("attention", sa.Boolean()),
        _column("attention_reason", sa.String(2000)),
        _ascii("request_id", 255, nullable=True),
        _ascii("body_digest", 128),
        _ascii("requested_by", 64),
        _ascii("asked_pool", 128),
        _ascii("handoff", 16),
        _ascii("from_pool", 128),
        _ascii("to_pool", 128),
        _ascii("outcome", 32, nullable=True),
        _column("reason", sa.String(2000)),
        _ascii("workflow_id", 191),
        _ascii("workflow_run_id", 64),
        _when("requested_at"),
        _when("started_at", nullable=True),
        _when("finished_at", nullable=True),
        _column("receipt", sa.JSON(), nullable=True),
        _seconds("duration_seconds", "started_at", "finished_at"),
    )
    _index("ix_operations_attention", "operations", "attention")
    _index("ix_operations_client_id_attention", "operations", "client_id", "attention")
    _index("ix_operations_client_id_requested_at_id", "operations", "client_id", "requested_at", "id")
    _index("ix_operations_client_id_status_requested_at", "operations", "client_id", "status", "requested_at")
    _index("ix_operations_requested_at_id", "operations", "requested_at", "id")
    _index("ix_operations_server_id_requested_at_id", "operations", "server_id", "requested_at", "id")
    _index("ix_operations_server_id_status", "operations", "server_id", "status")
    _index("ix_operations_status_requested_at", "operations", "status", "requested_at")
    _index("uq_operations_request", "operations", "client_id", "request_id", unique=True)
    _table(
        "operation_steps",
        _ascii("operation_id", 64, primary_key=True, references="operations.id"),
        _column("position", sa.Integer(), primary_key=True, autoincrement=False),
        _ascii("name", 64),
        _when("started_at"),
        _when("ended_at", nullable=True),
        _column("ms", sa.Integer(), nullable=True),
        _column("ok", sa.Boolean(), nullable=True),
        _column("calls", sa.JSON()),
        _column("hooks", sa.JSON()),
        _column("note", sa.String(2000)),
    )


def _market() -> None:
    _table(
        "pools",
        _ascii("id", 128, primary_key=True),
        _ascii("region", 32),
        _ascii("zone", 32),
        _ascii("instance_type", 32),
        _ascii("lifecycle", 16),
        _column("usd_per_hour", sa.Numeric(12, 6), nullable=True),
        _column("on_demand_usd_per_hour", sa.Numeric(12, 6), nullable=True),
        _when("priced_at", nullable=True),
        _when("cool_down_until", nullable=True),
        _column("cool_down_reason", sa.String(500)),
        _column("capacity_failures", sa.Integer()),
        _column("notices", sa.Integer()),
    )
    _index("ix_pools_region_cool_down_until", "pools", "region", "cool_down_until")
    _index("ix_pools_region_id", "pools", "region", "id")
    _table(
        "price_observations",
        _ascii("zone", 32, primary_key=True),
        _ascii("instance_type", 32, primary_key=True),
        _when("at", primary_key=True),
        _ascii("source", 32, primary_key=True),
        _ascii("region", 32),
        _column("usd_per_hour", sa.Numeric(12, 6)),
    )
    _index("ix_price_observations_region_at", "price_observations", "region", "at")


def _streams() -> None:
    _table(
        "events",
        _ascii("client_id", 64, primary_key=True),
        _column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        _when("recorded_at", primary_key=True),
        _ascii("type", 64),
        _ascii("server_id", 64, nullable=True),
        _ascii("instance_id", 64, nullable=True),
        _ascii("operation_id", 64, nullable=True),
        _when("at"),
        _column("payload", sa.JSON()),
    )
    _index("ix_events_operation_id_seq", "events", "operation_id", "seq")
    _index("ix_events_recorded_at_client_id", "events", "recorded_at", "client_id")
    _table(
        "record_streams",
        _ascii("stream", 191, primary_key=True),
        _column("applied_seq", sa.BigInteger()),
    )


def _column(
    name: str,
    kind: sa.types.TypeEngine[Any],
    *,
    nullable: bool = False,
    primary_key: bool = False,
    autoincrement: bool = True,
    references: str | None = None,
    computed: str | None = None,
) -> sa.Column[Any]:
    parts: list[Any] = []
    if references is not None:
        parts.append(sa.ForeignKey(references, name="fk_operation_steps_operation_id", ondelete="CASCADE"))
    if computed is not None:
        parts.append(sa.Computed(computed, persisted=True))
    return sa.Column(
        name,
        kind,
        *parts,
        nullable=nullable or computed is not None,
        primary_key=primary_key,
        autoincrement="auto" if autoincrement else False,
    )


def _ascii(name: str, length: int, **options: Any) -> sa.Column[Any]:
    return _column(name, mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), **options)


def _when(name: str, **options: Any) -> sa.Column[Any]:
    return _column(name, mysql.DATETIME(fsp=6), **options)


def _seconds(name: str, start: str, end: str) -> sa.Column[Any]:
    # Multiplied, not divided: the scale of a division depends on the session.
    return _column(name, sa.Numeric(16, 6), computed=f"TIMESTAMPDIFF(MICROSECOND, {start}, {end}) * 0.000001")


def _table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        *columns,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _index(name: str, table: str, *columns: str, unique: bool = False) -> None:
    # MySQL has no CREATE INDEX IF NOT EXISTS.
    there = sa.text(
        "SELECT COUNT(*) FROM information_schema.statistics"
        " WHERE table_schema = DATABASE() AND table_name = :table AND index_name = :name"
    )
    if not op.get_bind().scalar(there, {"table": table, "name": name}):
        op.create_index(name, table, list(columns), unique=unique)
