"""On a database server of somebody else's, a stack has a schema of its own, which can seem to be down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db.engine.session import database_url as parsed
from db.engine.session import make_engine
from lab.stack.database import PrivateDatabase, check_connection, query_value, url_text
from lab.stack.ports import Leases
from lab.stack.processes import StartFailed
from lab.stack.temporary_schema import SCHEMA_PREFIX, TemporarySchema, check_server


@pytest.fixture
def guest(database_server: PrivateDatabase, leases: Leases, tmp_path: Path) -> Iterator[TemporarySchema]:
    made = TemporarySchema(database_server.url, leases.port(), tmp_path / "way.log")
    made.create()
    made.process.start()
    made.process.wait_ready()
    yield made
    made.process.stop()


@pytest.fixture
def stranger(database_server: PrivateDatabase) -> Iterator[str]:
    """The URL of an account that may log in and no more."""
    engine = make_engine(database_server.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE USER 'stranger'@'127.0.0.1' IDENTIFIED BY 'secret'"))
    yield url_text(parsed(database_server.url).set(username="stranger", password="secret", database=""))
    with engine.begin() as connection:
        connection.execute(text("DROP USER 'stranger'@'127.0.0.1'"))
    engine.dispose()


def test_a_guest_has_a_schema_of_its_own_that_ends_with_it(
    guest: TemporarySchema, database_server: PrivateDatabase
) -> None:
    assert query_value(guest.url, "SELECT DATABASE()") == guest.schema
    assert guest.schema.startswith(SCHEMA_PREFIX)
    guest.drop()
    schemas = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name"
    assert query_value(database_server.url, f"{schemas} = '{guest.schema}'") == 0


def test_a_guests_database_can_be_killed_and_comes_back_with_its_rows(guest: TemporarySchema) -> None:
    engine = make_engine(guest.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (n INT)"))
        connection.execute(text("INSERT INTO kept VALUES (7)"))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        guest.process.kill()
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT 1"))
    with pytest.raises(OperationalError):
        check_connection(guest.url)
    guest.process.restart()
    assert query_value(guest.url, "SELECT n FROM kept") == 7
    engine.dispose()


def test_an_account_that_may_not_create_schemas_is_told_what_it_needs(stranger: str) -> None:
    with pytest.raises(StartFailed, match=r"'stranger' may not create schemas .*GRANT ALL ON `test\\_%`") as failed:
        check_server(stranger)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://spot:secret@127.0.0.1:1/", r"127\.0\.0\.1:1, cannot be used: .*refused"),
        ("postgresql://spot:secret@127.0.0.1/", "is for postgresql"),
        ("127.0.0.1:3306", "cannot be read"),
    ],
)
def test_a_server_that_cannot_be_used_is_named(url: str, said: str) -> None:
    with pytest.raises(StartFailed, match=said) as failed:
        check_server(url)
    assert "secret" not in str(failed.value)


def test_a_server_that_can_be_used_says_what_it_is(database_server: PrivateDatabase) -> None:
    assert check_server(database_server.url)[0].isdigit()
