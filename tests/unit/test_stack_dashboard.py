"""The page is built when its sources have changed and only then, and `make up` does without it where it has to."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.stack.settings import REPOSITORY

NODE = "#!/bin/sh\nexit {status}\n"
NPM = """#!/bin/sh
echo "$*" >>calls
case "$1" in
  ci) {ci} ; mkdir -p dashboard/node_modules ;;
  run) {run} ; mkdir -p dashboard/dist ; echo page >dashboard/dist/index.html ;;
esac
"""


class Site:
    """A checkout with a page of two files, and a Node of its own that only writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "lab" / "stack").mkdir(parents=True)
        shutil.copy(REPOSITORY / "lab" / "stack" / "dashboard.sh", folder / "lab" / "stack")
        (folder / "dashboard").mkdir()
        for name in ("package.json", "package-lock.json", "main.ts"):
            (folder / "dashboard" / name).write_text("{}")
        (folder / "bin").mkdir()
        for tool in (
            "bash",
            "cat",
            "cut",
            "dirname",
            "env",
            "find",
            "id",
            "mkdir",
            "sha256sum",
            "sort",
            "tail",
            "xargs",
        ):
            (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))

    def node(self, *, status: int = 0, ci: str = "true", run: str = "true") -> None:
        self._tool("node", NODE.format(status=status))
        self._tool("npm", NPM.format(ci=ci, run=run))

    def _tool(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, what: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": str(self.folder / "bin")}
        argv = ["bash", "lab/stack/dashboard.sh", what]
        return subprocess.run(argv, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        found = calls.read_text().split("\n")[:-1] if calls.exists() else []
        calls.unlink(missing_ok=True)
        return [" ".join(line.split()[:2]) for line in found]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_second_time_costs_nothing_and_a_change_builds_again(site: Site) -> None:
    site.node()
    assert site.run("build").returncode == 0
    assert site.calls() == ["ci --prefix", "run build"]
    assert site.run("build").returncode == 0
    assert site.calls() == []
    (site.folder / "dashboard" / "main.ts").write_text("changed")
    assert site.run("build").returncode == 0
    assert site.calls() == ["run build"]
    (site.folder / "dashboard" / "package-lock.json").write_text("changed")
    assert site.run("build").returncode == 0
    assert site.calls() == ["ci --prefix", "run build"]


@pytest.mark.parametrize("what", ["try", "build", "check", "test"])
def test_without_node_only_who_can_do_without_goes_on(site: Site, what: str) -> None:
    for too_old in (False, True):
        if too_old:
            site.node(status=1)
        done = site.run(what)
        assert done.returncode == (0 if what == "try" else 3), done.stderr
        assert "Node 20 or newer" in done.stderr
        assert ("going on without the page" in done.stderr) == (what == "try")
        assert site.calls() == []


def test_packages_that_cannot_be_had_are_told_and_tried_again(site: Site) -> None:
    site.node(ci="echo no network; exit 1")
    done = site.run("try")
    assert done.returncode == 0
    assert "no network" in done.stderr
    assert site.run("build").returncode == 3
    site.node()
    assert site.run("build").returncode == 0


def test_a_page_that_cannot_be_built_is_a_failure_for_everybody(site: Site) -> None:
    site.node(run="echo broken source; exit 1")
    for what in ("try", "build"):
        done = site.run(what)
        assert done.returncode == 1
        assert "broken source" in done.stderr
    assert not (site.folder / "dashboard" / "dist" / ".built").exists()
