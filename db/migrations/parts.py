"""What migrations are made of. Each can be run again after it was cut off half-way: DDL has no transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql


def column(
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


def ascii_(name: str, length: int, **options: Any) -> sa.Column[Any]:
    return column(name, mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), **options)


def when(name: str, **options: Any) -> sa.Column[Any]:
    return column(name, mysql.DATETIME(fsp=6), **options)


def seconds(name: str, start: str, end: str) -> sa.Column[Any]:
    # Multiplied, not divided: the scale of a division depends on the session.
    return column(name, sa.Numeric(16, 6), computed=f"TIMESTAMPDIFF(MICROSECOND, {start}, {end}) * 0.000001")


def table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        *columns,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def index(name: str, table: str, *columns: str, unique: bool = False) -> None:
    # MySQL has no CREATE INDEX IF NOT EXISTS.
    there = sa.text(
        "SELECT COUNT(*) FROM information_schema.statistics"
        " WHERE table_schema = DATABASE() AND table_name = :table AND index_name = :name"
    )
    if not op.get_bind().scalar(there, {"table": table, "name": name}):
        op.create_index(name, table, list(columns), unique=unique)


def drop_index(name: str, table: str) -> None:
    if name in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index(name, table)


def add_column(name: str, to: sa.Column[Any]) -> None:
    """Add the column to the table `name`, unless it is there."""
    if to.name not in _columns(name):
        op.add_column(name, to)


def drop_column(table_name: str, name: str) -> None:
    if name in _columns(table_name):
        op.drop_column(table_name, name)


def _columns(table_name: str) -> set[str]:
    return {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table_name)}
