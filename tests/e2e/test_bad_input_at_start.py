"""Bad input at start: a price file that is malformed, a database or a Temporal that is not there yet."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from lab.stack import database
from lab.stack.settings import REPOSITORY, StackSettings
from lab.stack.stack import Stack
from proof.harness.waiting import until
from tests.database_schemas import configured_server

HEADER = "instance_type,az,timestamp,price_usd_h\n"
GOOD = "m5.large,us-east-1a,2026-01-01T00:00:00Z,0.035\n"
ENTRY = {
    "InstanceType": "m5.large",
    "AvailabilityZone": "us-east-1a",
    "Timestamp": "2026-01-01T00:00:00Z",
    "SpotPrice": "0.035",
    "ProductDescription": "Linux/UNIX",
}
SAID_S = 90.0


# --- prices


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (HEADER + GOOD + "m5.large,us-east-1a,2026-01-01T01:00:00Z,cheap\n", 3, "bad price 'cheap': not a number"),
        (json.dumps({"SpotPriceHistory": [ENTRY, {**ENTRY, "SpotPrice": "x"}]}, indent=1), 10, "bad price 'x'"),
    ],
    ids=["csv", "json"],
)
def test_a_malformed_price_file_ends_the_lab_with_line_and_reason(
    tmp_path: Path, text: str, line: int, why: str
) -> None:
    """Unit tests cover each kind of malformed file. This is what the user sees."""
    path = tmp_path / "prices.txt"
    path.write_text(text)
    said = _lab(tmp_path, path)
    assert f"{path}, line {line}: " in said
    assert why in said


def test_a_broken_archive_of_prices_is_told(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv.gz"
    path.write_bytes(gzip.compress((HEADER + GOOD).encode())[:-12])
    assert f"{path}, line 1: cannot be read" in _lab(tmp_path, path)


def _lab(folder: Path, prices: Path) -> str:
    """Start the lab, which has to end with code 2; returns what it says."""
    argv = [sys.executable, "-m", "lab", "--no-hosts", "--state-dir", str(folder / "lab"), "--prices", str(prices)]
    ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=SAID_S, check=False)
    assert ended.returncode == 2, ended.stderr[-2000:]
    return ended.stderr


# --- what is not there yet


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without a lab: these tests need no EC2."""
    var = tmp_path_factory.mktemp("start")
    parts = frozenset({"database", "temporal", "api", "worker"})
    with Stack(StackSettings(var=var, database_server=configured_server(), parts=parts)) as running:
        yield running
    database.clean(var)


@pytest.mark.parametrize("missing", ["database", "temporal"])
@pytest.mark.parametrize("program", ["api", "worker-1"])
def test_a_program_says_what_is_missing_and_where_and_begins_when_it_is_there(
    stack: Stack, program: str, missing: str
) -> None:
    process = stack.processes[program]
    address = f"127.0.0.1:{stack.ports[missing]}"
    stack.stop(program)
    stack.stop(missing)
    process.start()
    until(f"{program} says that {address} does not answer", SAID_S, lambda: _said(process.log_tail(50), address))
    assert process.running
    if program == "api":
        until("it is asked how it is", SAID_S, lambda: _not_ready(stack, missing, address))

    stack.restart(missing)

    process.wait_ready()
    if program == "api":
        until("it is ready", SAID_S, lambda: True if _ready(stack)["ready"] else None)
    assert "Traceback" not in process.log_tail(200)


def test_a_worker_that_waits_for_temporal_can_be_stopped(stack: Stack) -> None:
    process = stack.processes["worker-1"]
    stack.stop("worker-1")
    stack.stop("temporal")
    process.start()
    address = f"127.0.0.1:{stack.ports['temporal']}"
    until(f"the worker says that {address} does not answer", SAID_S, lambda: _said(process.log_tail(50), address))
    stack.stop("worker-1")
    stack.restart("temporal")
    assert "stopped before Temporal answered" in process.log_tail(5), "it had to be killed"


def test_a_worker_without_a_database_url_says_how_to_write_it() -> None:
    argv = [sys.executable, "worker.py"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        argv, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=SAID_S, check=False
    )
    assert ended.returncode != 0
    assert "DATABASE_URL is not set" in ended.stderr
    assert "mysql+pymysql://" in ended.stderr


def _said(log: str, address: str) -> bool | None:
    """A line says that this address cannot be reached."""
    lines = [line for line in log.splitlines() if address in line]
    return True if any("answer" in line or "reached" in line for line in lines) else None


def _not_ready(stack: Stack, missing: str, address: str) -> bool | None:
    """The API is alive and not ready, and names what is missing and its address."""
    try:
        assert httpx.get(f"{stack.urls['api']}/health/live", timeout=30, trust_env=False).is_success
        found = _ready(stack)
    except httpx.HTTPError:
        return None  # it is starting
    dependencies = found["dependencies"]
    assert isinstance(dependencies, dict)
    one = dependencies[missing]
    return True if not found["ready"] and not one["ok"] and address in one["address"] and one["detail"] else None


def _ready(stack: Stack) -> Mapping[str, object]:
    answer = httpx.get(f"{stack.urls['api']}/health/ready", timeout=30, trust_env=False)
    found: Mapping[str, object] = answer.json()
    assert (answer.status_code == 200) == found["ready"]
    return found
