"""The private database keeps what was committed, whatever happens to its process."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db.engine.session import database_url as parsed
from db.engine.session import make_engine
from lab.stack import database
from lab.stack.database import PrivateDatabase
from lab.stack.processes import StartFailed


def _execute(url: str, statement: str) -> list[object]:
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [row[0] for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def test_a_committed_row_survives_sigkill(database_server: PrivateDatabase, database_url: str) -> None:
    _execute(database_url, "CREATE TABLE kept (n INT)")
    _execute(database_url, "INSERT INTO kept VALUES (7)")
    database_server.process.kill()
    database_server.process.restart()
    assert _execute(database_url, "SELECT n FROM kept") == [7]


def test_it_listens_on_loopback_alone_and_asks_for_a_password(database_server: PrivateDatabase) -> None:
    url = parsed(database_server.url)
    assert _execute(database_server.url, "SELECT @@bind_address") == ["127.0.0.1"]
    for account in ("spot", "root", ""):
        with pytest.raises(OperationalError, match="Access denied"):
            _execute(url.set(username=account, password="").render_as_string(), "SELECT 1")


def test_its_temporary_tables_are_out_of_other_servers_reach(database_server: PrivateDatabase) -> None:
    [folder, data] = (_execute(database_server.url, f"SELECT @@{name}")[0] for name in ("tmpdir", "datadir"))
    assert Path(str(folder)) == Path(str(data))


def test_its_password_is_its_owners(database_server: PrivateDatabase) -> None:
    var = database_server.process.log.parent.parent
    assert stat.S_IMODE((var / "database.password").stat().st_mode) == 0o600


def test_a_schema_is_made_anew(database_server: PrivateDatabase) -> None:
    url = database_server.create_schema("spot_anew")
    _execute(url, "CREATE TABLE old (n INT)")
    assert database_server.create_schema("spot_anew") == url
    assert _execute(url, "SHOW TABLES") == []
    database_server.drop_schema("spot_anew")


def test_data_that_the_servers_user_cannot_reach_are_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_reachable", lambda folder, user: False)
    place = database._data_folder(tmp_path, "nobody")
    assert (tmp_path / "database").is_symlink()
    assert place.parent == Path("/var/tmp")
    assert database._data_folder(tmp_path, "nobody") == place
    database.clean(tmp_path)
    assert not place.exists()


def test_a_database_that_does_not_answer_is_named() -> None:
    with pytest.raises(StartFailed, match=r"127\.0\.0\.1:1/gone") as failed:
        database.Database("mysql://spot:secret@127.0.0.1:1/gone").wait_ready(ready_s=0)
    assert "secret" not in str(failed.value)
