"""Where the database server comes from: found on this machine, or installed from its distribution."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.stack import apt

_FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/libexec", "/usr/local/mysql/bin")
PACKAGE = "mariadb-server"
ADVICE = (
    f"Install one (sudo apt-get install {PACKAGE}), or name a server of yours: "
    "DATABASE_URL=mysql+pymysql://user:password@host:3306/database"
)


class DatabaseUnavailable(Exception):
    """No database server is here and none could be installed; says what to do."""


@dataclass(frozen=True)
class DatabaseServer:
    binary: Path
    is_mariadb: bool


def find() -> DatabaseServer | None:
    for name in ("mariadbd", "mysqld"):
        if path := shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])):
            return DatabaseServer(Path(path), _is_mariadb(path))
    return None


def find_or_install() -> DatabaseServer:
    try:
        found = apt.find_or_install(find, "database", PACKAGE)
    except apt.CannotInstall as error:
        raise DatabaseUnavailable(f"No MariaDB or MySQL server is installed, and {error}. {ADVICE}") from error
    if found is None:
        raise DatabaseUnavailable(f"{PACKAGE} was installed, but neither mariadbd nor mysqld is to be found. {ADVICE}")
    return found


def service_user() -> str | None:
    """Who runs the server when we are root: the package's user; None when we are somebody ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "mysql" if "mysql" in known else "nobody"


def version() -> str:
    """The version that the server's program reports. It may be installed first."""
    return _version(str(find_or_install().binary))


def _is_mariadb(binary: str) -> bool:
    # mysqld is MariaDB's too, under its older name.
    return "mariadb" in _version(binary).lower()


def _version(binary: str) -> str:
    said = subprocess.run([binary, "--no-defaults", "--version"], capture_output=True, text=True, check=False)
    return said.stdout.partition(" ")[2].strip()
