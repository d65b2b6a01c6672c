"""What is installed when several processes, or somebody else's apt-get, are at it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.stack import apt

# Notes what it is asked for; turns away as many times as there are files in `locked`.
_APT_GET = """#!/bin/sh
cd "$(dirname "$0")"
for one in locked/*; do
  [ -e "$one" ] || break
  rm "$one"
  echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"
  exit 100
done
case "$*" in *install*) echo "$*" >> installed ;; esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an apt-get that installs nothing but says what it was asked for."""
    (tmp_path / "locked").mkdir()
    program = tmp_path / "apt-get"
    program.write_text(_APT_GET)
    program.chmod(0o755)
    (tmp_path / "policy").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(apt, "_POLICY", tmp_path / "policy")
    monkeypatch.setattr(apt, "_root_prefix", list)
    return tmp_path


def _installed(machine: Path) -> list[str] | None:
    return (machine / "installed").read_text().splitlines() if (machine / "installed").exists() else None


def test_of_two_that_miss_a_package_one_installs_it(machine: Path) -> None:
    both = threading.Barrier(2)

    def ask() -> list[str] | None:
        both.wait(10)
        return apt.find_or_install(lambda: _installed(machine), "test", "some-package")

    with ThreadPoolExecutor(2) as pool:
        found = [one.result(30) for one in [pool.submit(ask), pool.submit(ask)]]
    assert found[0] == found[1]
    assert found[0] is not None
    assert len(found[0]) == 1
    assert "some-package" in found[0][0]


def test_somebody_elses_lock_is_waited_for(machine: Path) -> None:
    (machine / "locked" / "once").touch()
    assert apt.find_or_install(lambda: _installed(machine), "test", "some-package")
    assert not list((machine / "locked").iterdir())


def test_a_lock_that_stays_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "_LOCKED_S", 0.0)
    (machine / "locked" / "once").touch()
    with pytest.raises(apt.CannotInstall, match="lists/lock"):
        apt.find_or_install(lambda: _installed(machine), "test", "some-package")


def test_a_package_that_does_not_bring_it_is_none(machine: Path) -> None:
    assert apt.find_or_install(lambda: None, "test", "some-package") is None
