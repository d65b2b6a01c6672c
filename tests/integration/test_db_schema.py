"""The schema is made by one command, as often and by as many as it may be."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from db.engine import schema
from db.engine.session import database_url, make_engine
from db.tables import Base
from lab.stack.database import Database
from tests.database_schemas import temporary_schema

pytest_plugins = ["tests.database_fixtures"]


def test_upgrade_downgrade_and_upgrade_again(empty_schema: str) -> None:
    assert schema.current(empty_schema) is None
    assert schema.upgrade(empty_schema) == schema.latest()
    assert schema.upgrade(empty_schema) == schema.latest()
    assert schema.downgrade(empty_schema, "base") is None
    assert _tables(empty_schema) == {"alembic_version"}
    assert schema.upgrade(empty_schema) == schema.latest()


def test_the_migrations_make_what_the_models_say(empty_schema: str) -> None:
    schema.upgrade(empty_schema)
    engine = make_engine(empty_schema)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_several_upgrades_at_once_make_one_schema(empty_schema: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(schema.upgrade, [empty_schema] * 4))
    assert done == [schema.latest()] * 4


def test_a_missing_schema_is_created(db_server: Database) -> None:
    with temporary_schema(db_server) as url:
        name = database_url(url).database
        assert name is not None
        db_server.drop_schema(name)
        assert schema.upgrade(url) == schema.latest()


def test_an_upgrade_that_was_cut_off_is_completed(empty_schema: str) -> None:
    """DDL has no transaction: what a killed run leaves is some tables, some indexes, and no revision."""
    schema.upgrade(empty_schema)
    engine = make_engine(empty_schema)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE events"))
        connection.execute(text("DROP INDEX uq_instances_primary_of ON instances"))
        connection.execute(text("DELETE FROM alembic_version"))
    assert schema.upgrade(empty_schema) == schema.latest()
    assert "events" in _tables(empty_schema)
    assert "uq_instances_primary_of" in {index["name"] for index in inspect(engine).get_indexes("instances")}
    engine.dispose()


def test_the_command_tells_where_the_schema_is(empty_schema: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "db", "upgrade", "--wait", "30"],
        env={**os.environ, "DATABASE_URL": empty_schema},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith(f"/{database_url(empty_schema).database}: {schema.latest()}")


def _tables(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
