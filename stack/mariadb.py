"""Where the database server comes from: found on this machine, or installed from its distribution."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/libexec", "/usr/local/mysql/bin")
_POLICY = Path("/usr/sbin/policy-rc.d")
PACKAGE = "mariadb-server"
ADVICE = (
    f"Install one (sudo apt-get install {PACKAGE}), or name a server of yours: "
    "DATABASE_URL=mysql+pymysql://user:password@host:3306/database"
)


class DatabaseUnavailable(Exception):
    """No database server is here and none could be installed; says what to do."""


@dataclass(frozen=True)
class Server:
    binary: Path
    is_mariadb: bool


def find() -> Server | None:
    for name in ("mariadbd", "mysqld"):
        if path := shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])):
            return Server(Path(path), _is_mariadb(path))
    return None


def find_or_install() -> Server:
    found = find()
    if found is None:
        install()
        found = find()
    if found is None:
        raise DatabaseUnavailable(f"{PACKAGE} was installed, but neither mariadbd nor mysqld is to be found. {ADVICE}")
    return found


def install() -> None:
    """Install the distribution's package without letting it start its service."""
    root = _root_prefix()
    if root is None or shutil.which("apt-get") is None:
        raise DatabaseUnavailable(
            f"No MariaDB or MySQL server is installed, and this user cannot install one. {ADVICE}"
        )
    print(f"database: installing {PACKAGE} with apt-get", flush=True)
    with _no_service_starts(root):
        _apt(root, "update")
        _apt(root, "install", "-y", "--no-install-recommends", PACKAGE)


def service_user() -> str | None:
    """Who runs the server when we are root: the package's user; None when we are somebody ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "mysql" if "mysql" in known else "nobody"


def version() -> str:
    """What the server that would be used says of itself; it may be installed first."""
    return _version(str(find_or_install().binary))


def _is_mariadb(binary: str) -> bool:
    # mysqld is MariaDB's too, under its older name.
    return "mariadb" in _version(binary).lower()


def _version(binary: str) -> str:
    said = subprocess.run([binary, "--no-defaults", "--version"], capture_output=True, text=True, check=False)
    return said.stdout.partition(" ")[2].strip()


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def _apt(root: list[str], *arguments: str) -> None:
    command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    command += ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise DatabaseUnavailable(f"apt-get {' '.join(arguments)} failed:\n{tail}\n{ADVICE}")


@contextmanager
def _no_service_starts(root: list[str]) -> Iterator[None]:
    """Packages ask policy-rc.d before they start a service; 101 forbids it. One that exists is left alone."""
    if _POLICY.exists():
        yield
        return
    script = b"#!/bin/sh\nexit 101\n"
    subprocess.run([*root, "tee", str(_POLICY)], input=script, stdout=subprocess.DEVNULL, check=True)
    try:
        subprocess.run([*root, "chmod", "755", str(_POLICY)], check=True)
        yield
    finally:
        subprocess.run([*root, "rm", "-f", str(_POLICY)], check=False)
