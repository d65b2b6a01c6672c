"""A private MariaDB or MySQL server under the stack's folder, or the one that DATABASE_URL names."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError

from db.engine.session import database_url, make_engine
from lab.stack import database_server
from lab.stack.processes import Process, StartFailed

ACCOUNT = "spot"
SCHEMA = "spot"
# InnoDB's memory. The fleet's tables of ten thousand servers with their past fit; it is taken as it fills.
BUFFER_POOL = "512M"
_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 characters


class Database:
    """A database that is there: somebody else's, which is never stopped."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait_ready(self, ready_s: float = 60) -> None:
        """Return when it answers; raise StartFailed, saying where it was looked for, when it does not."""
        deadline = time.monotonic() + ready_s
        while (missing := self._missing()) is not None:
            if time.monotonic() > deadline:
                raise StartFailed(f"the database of DATABASE_URL did not answer within {ready_s:g} s: {missing}")
            time.sleep(0.5)

    def create_schema(self, name: str) -> str:
        """Make an empty schema and return its URL. A former one of that name is dropped."""
        self._execute(f"DROP DATABASE IF EXISTS `{name}`", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return url_text(database_url(self.url).set(database=name))

    def drop_schema(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _missing(self) -> str | None:
        where = database_url(self.url)
        try:
            return check_connection(self.url)
        except SQLAlchemyError as error:
            return f"{where.host}:{where.port or 3306}/{where.database or ''}: {error}"

    def _execute(self, *statements: str) -> None:
        engine = make_engine(url_text(database_url(self.url).set(database="")))
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for statement in statements:
                    connection.execute(text(statement))
        finally:
            engine.dispose()


class PrivateDatabase(Database):
    """A server of our own. As a context manager it is started, waited for, and stopped."""

    def __init__(self, url: str, process: Process) -> None:
        super().__init__(url)
        self.process = process

    def __enter__(self) -> Self:
        self.process.start()
        try:
            self.process.wait_ready()
        except BaseException:
            self.process.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()


def private(var: Path, port: int) -> PrivateDatabase:
    """Prepare a server with its data under `var/database`; made once, found again the next time.

    The server listens on 127.0.0.1 alone. Its one account has a random password, kept in
    `var/database.password`, readable by the owner only.
    """
    server = database_server.find_or_install()
    user = database_server.service_user()
    data = _data_folder(var, user)
    url = _url(port, _password(var))
    _initialise(server, data, user, var / "log" / "database.log")
    process = Process(
        name="database",
        argv=_arguments(server, data, port, _grants(data, user, _password(var))),
        log=var / "log" / "database.log",
        environment=_environment(data),
        probe=lambda: check_connection(url),
        ready_s=60,
        stop_s=30,
        user=user,
    )
    return PrivateDatabase(url, process)


def clean(var: Path) -> None:
    """Delete the data, also where `_data_folder` had to put it elsewhere."""
    link = var / "database"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()


def _arguments(server: database_server.DatabaseServer, data: Path, port: int, grants: Path) -> list[str]:
    common = [
        str(server.binary),
        "--no-defaults",
        f"--datadir={data}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--socket={_socket(data)}",
        f"--pid-file={data}/server.pid",
        f"--init-file={grants}",
        "--skip-name-resolve",
        "--default-time-zone=+00:00",
        "--character-set-server=utf8mb4",
        "--max-connections=400",
        # Every commit is on disk before it is acknowledged: SIGKILL loses nothing.
        "--innodb-flush-log-at-trx-commit=1",
        f"--innodb-buffer-pool-size={BUFFER_POOL}",
        "--performance-schema=OFF",
        "--skip-log-bin",
    ]
    return common if server.is_mariadb else [*common, "--mysqlx=OFF"]


def _initialise(server: database_server.DatabaseServer, data: Path, user: str | None, log: Path) -> None:
    finished = data / "initialised"  # a run that was interrupted half-way starts over
    if finished.exists():
        return
    for entry in data.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if server.is_mariadb:
        program = shutil.which("mariadb-install-db") or shutil.which("mysql_install_db")
        if program is None:
            raise database_server.DatabaseUnavailable(
                f"{server.binary} is here without mariadb-install-db. {database_server.ADVICE}"
            )
        argv = [program, "--no-defaults", f"--datadir={data}", "--skip-test-db", "--skip-name-resolve"]
    else:
        argv = [str(server.binary), "--no-defaults", "--initialize-insecure", f"--datadir={data}"]
    if user:
        argv.append(f"--user={user}")
    done = subprocess.run(
        argv, env=_environment(data), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout)
        raise StartFailed(f"{argv[0]} could not make a database in {data}:\n{done.stdout[-3000:]}")
    finished.touch()


def _grants(data: Path, user: str | None, password: str) -> Path:
    """Statements that the server runs as it starts; each may be run again."""
    account = f"'{ACCOUNT}'@'127.0.0.1'"
    lines = [
        f"CREATE DATABASE IF NOT EXISTS `{SCHEMA}` CHARACTER SET utf8mb4;",
        f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';",
        f"ALTER USER {account} IDENTIFIED BY '{password}';",
        f"GRANT ALL PRIVILEGES ON *.* TO {account};",
        # MySQL's first start leaves root without a password; nobody needs that account here.
        "ALTER USER 'root'@'localhost' ACCOUNT LOCK;",
    ]
    path = data / "grants.sql"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    _give(path, user)
    return path


def _password(var: Path) -> str:
    path = var / "database.password"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(16))
    return path.read_text().strip()


def _data_folder(var: Path, user: str | None) -> Path:
    """`var/database`, or a link from there to a folder that the server's user can reach."""
    var.mkdir(parents=True, exist_ok=True)
    place = var / "database"
    if not place.exists():
        place.unlink(missing_ok=True)  # a link whose target somebody deleted
        if user is None or _reachable(var.resolve(), user):
            place.mkdir(mode=0o700)
        else:
            place.symlink_to(_elsewhere(var))
    _give(place.resolve(), user)
    return place.resolve()


def _elsewhere(var: Path) -> Path:
    digest = hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:12]
    folder = Path("/var/tmp") / f"spot-optimizer-{digest}"  # noqa: S108  # 0700 and the server's own
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), _uid("mysql"), _uid("nobody")):
        raise StartFailed(f"{folder} belongs to somebody else; delete it or choose another folder for the data")
    return folder


def _reachable(folder: Path, user: str) -> bool:
    """The user may pass through every folder down to this one."""
    uid = pwd.getpwnam(user).pw_uid
    return all(_passable(parent, uid) for parent in (folder, *folder.parents))


def _passable(folder: Path, uid: int) -> bool:
    status = folder.stat()
    return bool(status.st_mode & (0o100 if status.st_uid == uid else 0o001))


def _socket(data: Path) -> Path:
    inside = data / "server.sock"
    if len(str(inside)) <= _LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"spot-optimizer-{digest}.sock"


def _give(path: Path, user: str | None) -> None:
    if user:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _environment(data: Path) -> Mapping[str, str]:
    """A temporary folder of its own: a server that starts deletes what another has left in the same one, and so takes
    away the temporary tables of one that runs."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ} | {"TMPDIR": str(data)}


def _url(port: int, password: str) -> str:
    return url_text(URL.create("mysql+pymysql", ACCOUNT, password, "127.0.0.1", port, SCHEMA, {"charset": "utf8mb4"}))


def url_text(url: URL) -> str:
    """With its password."""
    return url.render_as_string(hide_password=False)


def check_connection(url: str) -> str | None:
    """None when it answers; raises what SQLAlchemy raises when it does not."""
    query_value(url)
    return None


def query_value(url: str, question: str = "SELECT 1") -> object:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return connection.scalar(text(question))
    finally:
        engine.dispose()
