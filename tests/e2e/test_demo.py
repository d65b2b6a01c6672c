"""The product's main job, end to end: the demo as it is, and its report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.stack import database
from lab.stack.database import Database
from lab.stack.settings import REPOSITORY
from proof.demo.report import Invariants, OperationReport
from proof.harness.waiting import until
from tests.database_schemas import configured_server, temporary_schema

_PATIENCE_S = 120.0
_LIMIT_S = 600  # the demo's own check is three minutes, on a machine that does nothing else


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "demo"
    database.clean(tmp_path / "demo")


@pytest.fixture(autouse=True)
def schema(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A schema for the demo, when the suite runs on a given server."""
    if not (server := configured_server()):
        yield
        return
    with temporary_schema(Database(server)) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield


def start(var: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PRICES"}
    argv = [sys.executable, "-m", "proof.demo", "--var", str(var), *arguments]
    output = (var.parent / "demo.out").open("w")
    return subprocess.Popen(
        argv,
        cwd=REPOSITORY,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_hear_ctrl_c,
    )


def _hear_ctrl_c() -> None:
    """Restore SIGINT: processes that a shell starts in the background ignore it, and so do their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def said(var: Path) -> str:
    return (var.parent / "demo.out").read_text()


def has_adopted(demo: subprocess.Popen[str], var: Path) -> bool | None:
    assert demo.poll() is None, said(var)
    return True if "adopted" in said(var) else None


def still_running(var: Path) -> list[str]:
    """Commands of processes that have this demo's folder in their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
        except OSError:
            continue  # it has ended, or is another user's
        if str(var).encode() in text:
            found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.timeout(_LIMIT_S + 60)
def test_the_demo_holds_what_it_promises(var: Path) -> None:
    demo = start(var, "--untimed")  # no test times itself: `make demo` and the benchmarks do
    code = demo.wait(_LIMIT_S)
    assert code == 0, said(var)
    report: dict[str, Any] = json.loads((var / "report.json").read_text())
    assert set(report) == {"operations", "invariants", "aws"}
    assert report["aws"] == "lab, profile fast"
    assert set(report["invariants"]) == set(Invariants.__dataclass_fields__)
    assert report["invariants"] == {
        "one_primary": True,
        "writes_lost": 0,
        "orphans": [],
        "duplicates": 0,
        "events_missed": 0,
    }
    for operation in report["operations"]:
        assert set(operation) == set(OperationReport.__dataclass_fields__)
        assert all(set(step) == {"name", "started_at", "ms"} for step in operation["steps"])
        assert operation["writes_lost"] == operation["unexplained_changes"] == 0
        assert operation["workflow_id"] == f"operation/{operation['id']}"
    kinds = [(one["server"], one["kind"], one["outcome"]) for one in report["operations"]]
    assert kinds == [
        ("web", "switch", "committed"),
        ("orders", "switch", "committed"),
        ("ledger", "switch", "committed"),
        ("web", "switch", "committed"),
        ("orders", "replica_create", "committed"),
        ("orders", "failover", "committed"),
        ("ledger", "failover", "committed"),
        ("orders", "switch", "committed"),
        ("orders", "switch", "rolled_back"),
    ]
    assert not still_running(var)


def test_a_demo_that_is_interrupted_leaves_nothing_running(var: Path) -> None:
    demo = start(var)
    until("the demo has adopted a server", _PATIENCE_S, lambda: has_adopted(demo, var), last_seen=lambda: said(var))
    demo.send_signal(signal.SIGINT)
    assert demo.wait(_PATIENCE_S) == 130, said(var)
    assert not still_running(var)
    assert (var / "report.json").exists()


def test_a_price_file_that_is_not_there_is_named(var: Path) -> None:
    demo = start(var, "--prices", "nowhere.csv")
    assert demo.wait(_PATIENCE_S) == 2
    assert "nowhere.csv" in said(var)
