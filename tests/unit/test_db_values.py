"""What goes into the database and comes out of it, without one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import OperationalError

from db.engine.paging import BadCursor, decode_cursor, encode_cursor
from db.engine.session import database_url, is_deadlock, is_unreachable
from db.engine.wait import DatabaseNotReachable, address_of, wait_for_database
from db.tables.types import Ascii, UtcDateTime

DIALECT = mysql.dialect()


def test_an_instant_of_another_zone_is_kept_in_utc() -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    kept = UtcDateTime().process_bind_param(there, DIALECT)
    assert kept == datetime(2026, 1, 1, 10)  # noqa: DTZ001 - as PyMySQL gets it
    assert UtcDateTime().process_result_value(kept, DIALECT) == there


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), DIALECT)  # noqa: DTZ001


def test_an_identifier_that_is_not_ascii_is_escaped_and_so_never_found() -> None:
    assert Ascii(64).process_bind_param("srv-ü", DIALECT) == "srv-\\xfc"


def test_a_cursor_comes_back_as_it_was() -> None:
    at = datetime(2026, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)
    assert decode_cursor(encode_cursor(at, "op-1|2")) == (at, "op-1|2")


@pytest.mark.parametrize("text", ["", "x", "ü", "MjAyNg", encode_cursor(datetime(2026, 1, 1), "a")])  # noqa: DTZ001
def test_what_is_no_cursor_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(text)


def test_a_database_url_may_be_written_as_people_do() -> None:
    assert database_url("mariadb://u:p@h/spot").drivername == "mysql+pymysql"
    with pytest.raises(ValueError, match="mysql\\+pymysql://"):
        database_url("postgresql://h/spot")


def test_where_a_database_is_names_no_password() -> None:
    assert address_of(database_url("mysql://user:secret@db.example/spot")) == "db.example:3306/spot"


def test_a_deadlock_is_known_also_behind_the_savepoint_it_took_along() -> None:
    def deadlock_in_a_savepoint() -> None:
        try:
            raise OperationalError("UPDATE", None, Exception(1213, "Deadlock found"))
        except OperationalError:
            raise OperationalError("ROLLBACK TO", None, Exception(1305, "no savepoint")) from None

    with pytest.raises(OperationalError) as raised:
        deadlock_in_a_savepoint()
    assert is_deadlock(raised.value)
    assert not is_unreachable(raised.value)


def test_waiting_for_a_database_says_which_and_where() -> None:
    waits: list[float] = []
    with pytest.raises(DatabaseNotReachable, match=r"127\.0\.0\.1:1/spot .*DATABASE_URL"):
        wait_for_database("mysql://u:secret@127.0.0.1:1/spot", timeout_s=0.05, every_s=0.1, sleep=waits.append)
