"""One service of a host, as systemd would run it: states, restart, and a start that waits for readiness."""

from __future__ import annotations

import os
import signal

from lab.hosts import paths
from lab.hosts.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESTART_S = 1.0
STOP_TIMEOUT_S = 10.0


class Unit:
    """inactive -> activating -> active -> deactivating -> inactive, or failed.

    `restart`: "always" or "on-failure"; it happens a second after an unexpected end. A unit that `notifies` is
    active once it has written to its ready pipe; another is active as soon as it runs. `condition`
    says why it may not start now, or None.
    """

    def __init__(
        self,
        name: str,
        host: str,
        command: list[str],
        environment: Callable[[], dict[str, str]],
        condition: Callable[[], str | None],
        restart: str,
        notifies: bool,
    ) -> None:
        self.name = name
        self.host = host
        self.command = command
        self.environment = environment
        self.condition = condition
        self.restart = restart
        self.notifies = notifies
        self.state = "inactive"
        self.pid: int | None = None
        self.ready_fd: int | None = None
        self.again = False  # start once it has stopped
        self.due: float | None = None  # when to start again, or to kill what does not stop

    def start(self) -> str | None:
        """Start now, or once a stop is over. Returns why it may not start, or None."""
        refusal = self.condition()
        if refusal is not None:
            return refusal
        if self.state == "deactivating":
            self.again = True
        elif self.state not in ("active", "activating"):
            self._launch()
        return None

    def stop(self, now: float) -> None:
        self.again = False
        if self.pid is None:
            self.state, self.due = "inactive", None
        elif self.state != "deactivating":
            self.state, self.due = "deactivating", now + STOP_TIMEOUT_S
            os.kill(self.pid, signal.SIGTERM)

    def _launch(self) -> None:
        env = self.environment()
        write_end = None
        if self.notifies:
            self.ready_fd, write_end = os.pipe()
            env = env | {"LAB_READY_FD": str(write_end)}
        self.due = None
        log = paths.log_file(self.host, self.name)
        self.pid = spawn(self.command, env, log, paths.REPOSITORY, write_end)
        if write_end is not None:
            os.close(write_end)
        self.state = "activating" if self.notifies else "active"
        paths.write_json(paths.pid_file(self.host, self.name), {"pid": self.pid})

    def on_ready_pipe(self) -> None:
        """It is ready, or it has ended and so closed the pipe; then its exit status tells more."""
        if self.ready_fd is None:
            return
        said = os.read(self.ready_fd, 1)
        self._close_pipe()
        if said and self.state == "activating":
            self.state = "active"

    def on_exit(self, status: int, now: float) -> None:
        self.pid = None
        self._close_pipe()
        if self.state == "deactivating" or (status == 0 and self.restart != "always"):
            self.state, self.due = "inactive", None
        else:
            self.state, self.due = "failed", now + RESTART_S
        paths.write_json(paths.pid_file(self.host, self.name), {})
        if self.again:
            self.again = False
            self.start()

    def tick(self, now: float) -> None:
        """Do what is due: kill what did not stop, start again what failed."""
        if self.due is None or now < self.due:
            return
        self.due = None
        if self.state == "deactivating" and self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        elif self.state == "failed" and self.start() is not None:
            self.state = "inactive"  # what it needs is gone, so it is not restarted

    def _close_pipe(self) -> None:
        if self.ready_fd is not None:
            os.close(self.ready_fd)
            self.ready_fd = None
