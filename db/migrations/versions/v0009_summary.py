"""The dashboard's summary from indexes alone: what became of a month's operations, without their receipts."""

from __future__ import annotations

import sqlalchemy as sa

from db.migrations.parts import add_column, column, drop_column, drop_index, index

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_OUTAGE = "CAST(JSON_VALUE(receipt, '$.control_outage_ms') AS SIGNED)"
_RECORD = ("requested_at", "kind", "status", "control_outage_ms")


def upgrade() -> None:
    add_column("operations", column("control_outage_ms", sa.BigInteger(), computed=_OUTAGE))
    index("ix_operations_record", "operations", *_RECORD)
    index("ix_operations_client_record", "operations", "client_id", *_RECORD)


def downgrade() -> None:
    drop_index("ix_operations_client_record", "operations")
    drop_index("ix_operations_record", "operations")
    drop_column("operations", "control_outage_ms")
