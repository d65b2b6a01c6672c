"""A process is watched until healthy, explains why it is not, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.stack.processes import Process, StartFailed

Make = Callable[..., Process]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Process] = []

    def process(script: str, **options: object) -> Process:
        argv = [sys.executable, "-u", "-c", script]
        log = tmp_path / "log" / "it.log"
        made.append(Process("it", argv, log, environment=dict(os.environ), **options))  # type: ignore[arg-type]
        return made[-1]

    yield process
    for process_ in made:
        process_.kill()


def _waits_for(path: Path) -> Callable[[], str | None]:
    return lambda: None if path.exists() else "no file yet"


def test_it_is_ready_when_its_probe_says_so(make: Make, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    it = make(f"import time, pathlib; pathlib.Path({str(flag)!r}).touch(); time.sleep(60)", probe=_waits_for(flag))
    it.start()
    it.wait_ready()
    assert flag.exists()
    assert it.running


def test_one_that_ends_early_shows_the_end_of_its_log(make: Make) -> None:
    it = make("print('first'); raise SystemExit('the disk is full')", probe=lambda: "not yet")
    it.start()
    with pytest.raises(StartFailed, match=r"it ended with exit code 1") as failed:
        it.wait_ready()
    assert "the disk is full" in str(failed.value)


def test_one_that_is_not_healthy_in_time_says_what_was_missing(make: Make) -> None:
    def refuses() -> str | None:
        raise ConnectionRefusedError("nobody at 127.0.0.1:1")

    it = make("import time; print('thinking'); time.sleep(60)", probe=refuses, ready_s=0.5)
    it.start()
    with pytest.raises(StartFailed, match=r"not ready within 0.5 s: ConnectionRefusedError: nobody") as failed:
        it.wait_ready()
    assert "thinking" in str(failed.value)


def test_the_tail_is_the_present_run_s_and_not_a_former_one_s(make: Make) -> None:
    it = make("print('started')")
    it.start()
    _until(lambda: not it.running)
    it.start()
    _until(lambda: not it.running)
    assert it.log_tail() == "started"
    assert it.log.read_text() == "started\nstarted\n"


def test_the_tail_of_a_long_log_is_its_last_lines(make: Make) -> None:
    it = make("[print(n, 'x' * 100) for n in range(5000)]")
    it.start()
    _until(lambda: not it.running)
    assert [line.split()[0] for line in it.log_tail(3).splitlines()] == ["4997", "4998", "4999"]


def test_one_that_ignores_sigterm_is_killed(make: Make, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    ignores = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    script = f"import signal, time, pathlib; {ignores}; pathlib.Path({str(flag)!r}).touch(); time.sleep(60)"
    it = make(script, probe=_waits_for(flag), stop_s=0.3)
    it.start()
    it.wait_ready()
    it.stop()
    assert it.exit_code == -signal.SIGKILL


def test_one_that_is_frozen_can_be_stopped(make: Make) -> None:
    it = make("import time; time.sleep(60)", stop_s=60.0)
    it.start()
    assert it.pid
    os.kill(it.pid, signal.SIGSTOP)
    it.stop()
    assert it.exit_code == -signal.SIGTERM


def test_a_restart_is_another_process(make: Make) -> None:
    it = make("import time; time.sleep(60)")
    it.start()
    before = it.pid
    it.kill()
    assert not it.running
    it.restart()
    assert it.running
    assert it.pid != before


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, time; from lab.stack.processes import Process;"
        f"it = Process('it', ['sleep', '60'], pathlib.Path({str(tmp_path / 'it.log')!r}), dict(os.environ));"
        "it.start(); print(it.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        _until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")  # setpriv has set the signal, and is gone
        parent.kill()
    _until(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        # The machine's init may be slow to collect it: one that only waits for that is dead.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
