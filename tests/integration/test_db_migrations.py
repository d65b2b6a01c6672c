"""Migrations keep what the tables hold: each revision's tables are filled, and the next one comes and goes.

The rows are made from what the database says of its tables, so that a migration to come is tried as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, ForeignKey, MetaData, Table, insert, select
from sqlalchemy import types as sql
from sqlalchemy.dialects.mysql import DATETIME

from db.engine import schema
from db.engine.session import make_engine

pytest_plugins = ["tests.database_fixtures"]

ROWS = 7
REVISIONS = [one.revision for one in reversed(list(ScriptDirectory.from_config(schema._config(None)).walk_revisions()))]
# What a revision gives up on purpose, and why nothing is lost with it.
GIVEN_UP = {
    "0004": {"pools": {"on_demand_usd_per_hour"}},  # collected again every six hours, into a table of its own
}
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.mark.parametrize(("old", "new"), list(pairwise(REVISIONS)))
def test_a_migration_and_its_way_back_keep_every_row(empty_schema: str, old: str, new: str) -> None:
    schema.upgrade(empty_schema, old)
    with tables(empty_schema) as (connection, found):
        fill(connection, found)
    before = without(rows(empty_schema), new)
    assert all(len(kept) == ROWS for kept in before.values())

    schema.upgrade(empty_schema, new)
    after = rows(empty_schema)
    assert only(before, after) == before
    with tables(empty_schema) as (connection, found):
        fill(connection, [one for one in found if one.name not in before])

    schema.downgrade(empty_schema, old)
    assert without(rows(empty_schema), new) == before

    schema.upgrade(empty_schema, new)
    assert only(before, rows(empty_schema)) == only(before, after)


def test_all_of_it_filled_goes_down_to_nothing_and_comes_up_again(empty_schema: str) -> None:
    schema.upgrade(empty_schema)
    with tables(empty_schema) as (connection, found):
        fill(connection, found)
    first = schema.downgrade(empty_schema, REVISIONS[0])
    assert first == REVISIONS[0]
    kept = without(rows(empty_schema), *REVISIONS)
    assert all(len(one) == ROWS for one in kept.values())

    schema.upgrade(empty_schema)
    assert only(kept, rows(empty_schema)) == kept
    assert schema.downgrade(empty_schema, "base") is None
    assert schema.upgrade(empty_schema) == schema.latest()


@contextmanager
def tables(url: str) -> Iterator[tuple[Connection, list[Table]]]:
    """As they are, those that others refer to first; what is done with the connection is committed."""
    engine = make_engine(url)
    metadata = MetaData()
    metadata.reflect(engine)
    try:
        with engine.begin() as connection:
            yield connection, [one for one in metadata.sorted_tables if one.name != "alembic_version"]
    finally:
        engine.dispose()


def fill(connection: Connection, found: Sequence[Table]) -> None:
    """The same rows every time; every other one is null where it may be."""
    for table in found:
        columns = [one for one in table.columns if one.computed is None]
        connection.execute(insert(table), [{one.name: value(one, n) for one in columns} for n in range(1, ROWS + 1)])


def rows(url: str) -> Rows:
    """All, in the order of their keys; with what the database computes of them."""
    with tables(url) as (connection, found):
        return {
            one.name: [dict(row._mapping) for row in connection.execute(select(one).order_by(*one.primary_key))]
            for one in found
        }


def without(found: Rows, *revisions: str) -> Rows:
    """What was found but for what these revisions give up."""
    given_up = {name: columns for one in revisions for name, columns in GIVEN_UP.get(one, {}).items()}
    return {
        name: [{column: row[column] for column in row if column not in given_up.get(name, ())} for row in kept]
        for name, kept in found.items()
    }


def only(wanted: Rows, found: Rows) -> Rows:
    """Of what was found, the tables and columns that are wanted."""
    return {name: [{column: row[column] for column in kept[0]} for row in found[name]] for name, kept in wanted.items()}


def value(column: Column[Any], n: int) -> Any:
    """A value that fits the column, another for each `n`; the same for what refers and what is referred to."""
    if column.nullable and n % 2:
        return None
    kind = column.type
    if isinstance(kind, DATETIME):
        return datetime(2026, 1, 1) + timedelta(days=20 * n, microseconds=n)  # noqa: DTZ001  # as MySQL keeps it
    if isinstance(kind, sql.Date):
        return date(2026, 1, n)
    if isinstance(kind, sql.Boolean):
        return bool(n % 2)
    if isinstance(kind, sql.Integer):
        return n
    if isinstance(kind, sql.Float):
        return n / 4
    if isinstance(kind, sql.Numeric):
        return Decimal(n) / 10
    if kind.python_type is bytes:
        return bytes(range(n))
    if isinstance(kind, sql.JSON):
        return {"n": n}
    if isinstance(kind, sql.String):
        # MariaDB's JSON is a text that has to be JSON: every text is.
        return json.dumps(n) if not column.foreign_keys else value(referred(column.foreign_keys), n)
    raise NotImplementedError(f"{column} is a {kind!r}: say here what is put into such a column")


def referred(keys: set[ForeignKey]) -> Column[Any]:
    (key,) = keys
    return key.column
