"""The worker that runs now, and how the next one is started."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab.stack.processes import Process
from lab.stack.settings import REPOSITORY
from proof.harness.waiting import until

_START_S = 60.0
_END_S = 10.0


class Workers:
    """Each worker is a process. `modules` are loaded into the next ones (`tests/broken_builds`)."""

    def __init__(self, var: Path, environment: Mapping[str, str], modules: Sequence[str] = ()) -> None:
        self._run, self._log = var / "run", var / "log"
        self._run.mkdir(parents=True, exist_ok=True)
        self._environment = dict(environment)
        self._made = 0
        self._worked = False  # its caches may be filled
        self._pid = 0  # of the running worker; 0: none runs
        self._sockets = tempfile.TemporaryDirectory(prefix="prefork-")  # a socket's path must be short
        self._preforks = 0
        self._prefork = self._start_prefork(modules)

    def kill(self) -> None:
        """SIGKILL the worker. None runs until `start_next`."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            until("the worker has ended", _END_S, lambda: None if _lives(self._pid) else True, every_s=0.005)
            self._pid = 0

    def start_next(self) -> float:
        """Start another worker; returns the seconds until it polled."""
        began = time.monotonic()
        self._made += 1
        ready = self._run / f"worker-{self._made}.ready"
        self._pid = self._another({**self._environment, "SPOT_WORKER_READY_FILE": str(ready)})
        self._worked = False

        def look() -> bool | None:
            assert _lives(self._pid), f"the worker ended before it was ready:\n{self._prefork.log_tail()}"
            return True if ready.exists() else None

        until("the worker is ready", _START_S, look, every_s=0.02)
        return time.monotonic() - began

    def replace_if_used(self) -> None:
        """Replace a worker that has run an operation, so that the caches are empty."""
        if self._worked:
            self.kill()
            self.start_next()
        self._worked = True

    def load_build(self, *modules: str) -> None:
        """Replace the worker by one with these modules loaded."""
        self.kill()
        self._prefork.stop()
        self._prefork = self._start_prefork(modules)
        self.start_next()

    def close(self) -> None:
        self.kill()
        self._prefork.stop()
        self._sockets.cleanup()

    def _another(self, environment: Mapping[str, str]) -> int:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_START_S)
            asking.connect(str(self._socket))
            with asking.makefile("rw") as lines:
                lines.write(json.dumps(environment) + "\n")
                lines.flush()
                return int(lines.readline())

    @property
    def _socket(self) -> Path:
        return Path(self._sockets.name) / f"{self._preforks}.sock"

    def _start_prefork(self, modules: Sequence[str]) -> Process:
        self._preforks += 1
        made = Process(
            name="prefork",
            argv=[sys.executable, "-m", "proof.crash_matrix.prefork", str(self._socket), *modules],
            log=self._log / "workers.log",
            environment=self._environment,
            probe=self._missing,
            ready_s=_START_S,
            folder=REPOSITORY,
        )
        made.start()
        made.wait_ready()
        return made

    def _missing(self) -> str | None:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._socket))
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
