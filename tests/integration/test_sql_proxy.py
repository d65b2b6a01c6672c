"""The SQL proxy before a real database: a COMMIT that never arrives, and one whose answer is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db.engine.session import make_engine
from lab.loop_thread import loop_thread
from lab.stack.ports import Leases
from proof.crash_matrix.sql_proxy import SqlProxy
from proof.harness.waiting import until

PATIENCE_S = 60.0
pytest_plugins = ["tests.database_fixtures"]


@pytest.fixture(scope="module")
def direct(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (n INT)"))
    yield engine
    engine.dispose()


@pytest.fixture
def proxy(database_url: str, leases: Leases) -> Iterator[SqlProxy]:
    with loop_thread("proxy") as portal:
        made = SqlProxy(portal, database_url, leases.port())
        yield made
        made.close()


def _write(url: str, n: int) -> None:
    engine = make_engine(url, pool_size=1, max_overflow=0)
    try:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO notes VALUES (:n)"), {"n": n})
    finally:
        engine.dispose()


def _there(direct: Engine, n: int) -> bool:
    with direct.connect() as connection:
        return bool(connection.execute(text("SELECT COUNT(*) FROM notes WHERE n = :n"), {"n": n}).scalar())


def test_what_is_not_held_passes_and_is_counted(proxy: SqlProxy, direct: Engine) -> None:
    proxy.count()
    _write(proxy.url, 1)
    _write(proxy.url, 2)
    assert proxy.commits == 2
    assert _there(direct, 2)


@pytest.mark.parametrize(("when", "kept", "n"), [("before", False, 10), ("after", True, 20)])
def test_the_nth_commit_is_held_and_then_dropped(
    proxy: SqlProxy, direct: Engine, when: str, kept: bool, n: int
) -> None:
    proxy.arm(2, when)
    _write(proxy.url, n)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_write, proxy.url, n + 1)
        until("it is held", PATIENCE_S, lambda: True if proxy.held else None)
        assert _there(direct, n)
        assert _there(direct, n + 1) is kept
        assert not writing.done()
        proxy.release()
        with pytest.raises(DBAPIError):
            writing.result(timeout=PATIENCE_S)
    assert _there(direct, n + 1) is kept
