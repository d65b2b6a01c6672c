"""Where MySQL cannot be had, `lab/stack/mysql.sh` says why, and `.ci/run` that nothing was tried on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.stack.settings import REPOSITORY

SCRIPT = REPOSITORY / "lab" / "stack" / "mysql.sh"
UNAVAILABLE = 3


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    """The script where another user can read it: the repository may lie in a folder of root's own."""
    copy = Path("/var/tmp") / f"mysql-{tmp_path.name}-{os.getpid()}.sh"
    copy.write_text(SCRIPT.read_text())
    copy.chmod(0o755)
    return copy


def run(script: Path, *arguments: str, user: list[str] | None = None, **environment: str) -> tuple[int, str]:
    path = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(
        [*(user or []), "bash", str(script), *arguments], env=path, cwd="/", capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_without_root_it_says_so_and_changes_nothing(readable: Path, tmp_path: Path) -> None:
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"] if os.geteuid() == 0 else []
    try:
        code, said = run(readable, "start", user=user, MYSQL_ROOT=str(tmp_path / "mysql"))
    finally:
        readable.unlink()
    assert (code, said) == (UNAVAILABLE, "mysql: only root can install and run it\n")
    assert not (tmp_path / "mysql").exists()


def test_what_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    assert run(SCRIPT, "stop", MYSQL_ROOT=str(tmp_path / "mysql")) == (0, "")


def test_it_explains_itself() -> None:
    code, said = run(SCRIPT)
    assert code == 2
    assert "prints DATABASE_URL" in said
    assert "MYSQL_ROOT=DIR" in said


def test_ci_tries_both_databases_and_says_when_it_could_not() -> None:
    text = (REPOSITORY / ".ci" / "run").read_text()
    named = text.split("on_mysql=(")[1].split(")")[0].split()
    assert all((REPOSITORY / one).exists() for one in named)
    assert "NOTHING was run on MySQL" in text
