"""One process of the stack: started with its own log, watched until healthy, stopped by its own pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

# Returns None when healthy, else what is missing. It may raise: that counts as not healthy yet.
Probe = Callable[[], str | None]

# A child's parent-death signal fires when the *thread* that forked it ends, so every child is
# forked by one thread that lives as long as the interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class StartFailed(Exception):
    """A process ended early or was not healthy in time. The message ends with the last lines of its log."""


@dataclass
class Process:
    """A program and how to tell that it works. `start` and `stop` may be called again and again."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    probe: Probe = lambda: None
    ready_s: float = 60.0
    stop_s: float = 10.0
    folder: Path | None = None
    user: str | None = None  # run as this user; only root can
    before_start: Callable[[], None] = lambda: None
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _log_from: int = field(default=0, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def exit_code(self) -> int | None:
        return self._child.poll() if self._child else None

    def start(self) -> None:
        """Start it and return at once."""
        if self.running:
            raise RuntimeError(f"{self.name} already runs with pid {self.pid}")
        self.before_start()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            self._child = _spawner.submit(self._spawn, log.fileno()).result()

    def wait_ready(self) -> None:
        """Return once the probe succeeds. Raises StartFailed after `ready_s`."""
        deadline = time.monotonic() + self.ready_s
        while True:
            missing = self._missing()
            if missing is None:
                return
            if not self.running:
                raise StartFailed(self._failure(f"ended with exit code {self.exit_code}"))
            if time.monotonic() > deadline:
                raise StartFailed(self._failure(f"was not ready within {self.ready_s:g} s: {missing}"))
            time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its process group if it has not ended within `stop_s`."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.send_signal(signal.SIGCONT)  # a process that is stopped (SIGSTOP) would not get the next one
        child.terminate()
        try:
            child.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel's memory killer would."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        os.killpg(child.pid, signal.SIGKILL)  # it leads its own group, so no other process is hit
        child.wait()

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_ready()

    def log_tail(self, lines: int = 25) -> str:
        """The last lines that the present run has written."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_from, size - 64_000))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*_tether(self.user), *self.argv],
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _missing(self) -> str | None:
        try:
            return self.probe()
        except Exception as error:  # whatever a probe meets while the program starts is "not yet"
            return f"{type(error).__name__}: {error}"

    def _failure(self, what: str) -> str:
        tail = self.log_tail() or "(it wrote nothing)"
        return f"{self.name} {what}.\nLast lines of {self.log}:\n{tail}"


def _tether(user: str | None) -> list[str]:
    """A prefix that ends the program with us, and makes it another user's. exec keeps the pid."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartFailed("setpriv is not installed; it comes with Debian's and Ubuntu's package util-linux")
    identity = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    return [setpriv, "--pdeathsig=TERM", *identity, "--"]
