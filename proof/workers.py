"""The worker that works, and the one that is ready to follow it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.waiting import until
from stack.processes import Process
from stack.settings import REPOSITORY

_START_S = 60.0


class Workers:
    """Each is a process of its own. `modules`: what is loaded into the next ones (`tests/broken`)."""

    def __init__(self, var: Path, environment: Mapping[str, str], modules: Sequence[str] = ()) -> None:
        self._run, self._log = var / "run", var / "log"
        self._run.mkdir(parents=True, exist_ok=True)
        self._environment = environment
        self._modules = tuple(modules)
        self._made = 0
        self._worked = False  # it may have caches by now
        self._working: Process | None = None
        self._spare = self._another()

    def kill(self) -> None:
        """SIGKILL to the one that works; nobody works until `follow`."""
        if self._working is not None:
            self._working.kill()
            self._working = None

    def follow(self) -> float:
        """The spare begins; seconds until it polls. Another is made ready meanwhile."""
        spare, began = self._spare, time.monotonic()
        self._await(spare, "warm")
        assert spare.pid is not None, f"{spare.name} ended before it began:\n{spare.log_tail()}"
        os.kill(spare.pid, signal.SIGUSR1)
        self._working = spare
        self._worked = False
        self._await(spare, "ready")
        took = time.monotonic() - began
        self._spare = self._another()
        return took

    def fresh(self) -> None:
        """One works that has worked for nobody: what it asks of EC2 is not in its caches."""
        if self._worked:
            self.kill()
            self.follow()
        self._worked = True

    def wear(self, *modules: str) -> None:
        """From now on another build works."""
        self._modules = modules
        self._spare.kill()
        self._spare = self._another()
        self.kill()
        self.follow()

    def close(self) -> None:
        self.kill()
        self._spare.kill()

    def _another(self) -> Process:
        self._made += 1
        name = f"worker-{self._made}"
        made = Process(
            name=name,
            argv=[sys.executable, "-m", "proof.warm_worker", str(self._file(name, "warm")), *self._modules],
            log=self._log / "workers.log",
            environment={**self._environment, "SPOT_WORKER_READY_FILE": str(self._file(name, "ready"))},
            folder=REPOSITORY,
        )
        made.start()
        return made

    def _await(self, process: Process, word: str) -> None:
        file = self._file(process.name, word)

        def look() -> bool | None:
            assert process.running, f"{process.name} ended before it was {word}:\n{process.log_tail()}"
            return True if file.exists() else None

        until(f"{process.name} is {word}", _START_S, look, every_s=0.02)

    def _file(self, name: str, word: str) -> Path:
        return self._run / f"{name}.{word}"
