"""Process 1 of a lab host: mounts its fstab, runs the workload and the agent, and answers systemctl.

Started by the lab in a session of its own; it dies with the lab, and its children with it. SIGTERM
is the shutdown of the machine: every service is asked to stop, then all is unmounted.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time

from lab.hosts import init_socket, journal, paths, processes
from lab.hosts.command_server import CommandServer
from lab.hosts.disks import Disks, MountError
from lab.hosts.image import HostImage
from lab.hosts.spawn import adopt_orphans, die_with_parent
from lab.hosts.unit import Unit

SHUTDOWN_S = 5.0


class Init:
    """One thread. It waits for signals, commands and readiness, and changes the units' states."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.image = HostImage(host)
        self.disks = Disks(host)
        python = [sys.executable, "-S", "-s", "-m", "lab.hosts.workload"]
        agent = [sys.executable, "-m", "agent"]
        self.workload = Unit("workload", host, python, self._workload_environment, self._refusal, "on-failure", True)
        self.agent = Unit("agent", host, agent, self.image.agent_environment, self._shutting_down, "always", False)
        self.units = (self.workload, self.agent)
        self.waiting: list[tuple[socket.socket, Unit]] = []
        self.shutdown_by: float | None = None
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control.bind(init_socket.address(host))
        self.control.listen(16)
        self.wake = _signals_to_pipe()
        self.resident = CommandServer(host)

    def run(self) -> None:
        self._boot()
        while not self._down():
            self._wait()
            self._reap()
            now = time.monotonic()
            for unit in self.units:
                unit.tick(now)
            self._answer_settled()
        self._power_down()

    def _boot(self) -> None:
        self.disks.make_mount_point(self.image.data_point)
        try:
            self.disks.mount_fstab(self.image.fstab(self.disks.plugged()))
        except MountError as error:
            sys.stderr.write(f"{error}\n")
        if self.image.autostart:
            self.workload.start()
        if self.image.has_agent:
            self.agent.start()
        self.resident.load()

    def _wait(self) -> None:
        poll = select.poll()
        fds = [
            self.wake,
            self.control.fileno(),
            self.resident.fd,
            *(u.ready_fd for u in self.units if u.ready_fd is not None),
        ]
        for fd in fds:
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(self._patience_ms())]
        for unit in self.units:
            if unit.ready_fd in ready:
                unit.on_ready_pipe()
        if self.control.fileno() in ready:
            self._take_command()
        if self.resident.fd in ready:
            self.resident.take()
        if self.wake in ready and signal.SIGTERM in os.read(self.wake, 512):
            self._begin_shutdown()

    def _patience_ms(self) -> int | None:
        due = [unit.due for unit in self.units if unit.due is not None]
        if self.shutdown_by is not None:
            due.append(self.shutdown_by)
        return max(0, int((min(due) - time.monotonic()) * 1000) + 1) if due else None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for unit in self.units:
                if unit.pid == pid:
                    self._bury(unit, pid, status)

    def _bury(self, unit: Unit, pid: int, status: int) -> None:
        if unit is self.workload and status != 0:
            instance = str(self.image.spec["instance_id"])
            journal.close_runs(paths.state_of(self.host), instance, "died", pid)
        unit.on_exit(status, time.monotonic())

    def _take_command(self) -> None:
        connection, _ = self.control.accept()
        connection.settimeout(1.0)
        try:
            asked = json.loads(connection.makefile("rb").readline() or b"{}")
        except (OSError, ValueError):
            connection.close()
            return
        unit = next((u for u in self.units if u.name == asked.get("unit")), None)
        if unit is None:
            _reply(connection, {"error": "not found"})
        else:
            self._obey(connection, str(asked.get("verb")), unit)

    def _obey(self, connection: socket.socket, verb: str, unit: Unit) -> None:
        refusal = None
        if verb in ("stop", "restart"):
            unit.stop(time.monotonic())
        if verb in ("start", "restart"):
            refusal = unit.start()
        if refusal is not None or verb == "status":
            _reply(connection, {"state": unit.state, "pid": unit.pid, "error": refusal})
        else:
            self.waiting.append((connection, unit))

    def _answer_settled(self) -> None:
        for connection, unit in list(self.waiting):
            if unit.state in ("activating", "deactivating"):
                continue
            self.waiting.remove((connection, unit))
            _reply(connection, {"state": unit.state, "pid": unit.pid})

    def _refusal(self) -> str | None:
        needed = self.image.needs_mount
        if needed is not None and needed not in self.disks.mounts():
            return "dependency"
        return self._shutting_down()

    def _shutting_down(self) -> str | None:
        return "shutting down" if self.shutdown_by is not None else None

    def _workload_environment(self) -> dict[str, str]:
        mounted = self.disks.mounts().get(self.image.needs_mount or "")
        return self.image.workload_environment(mounted["volume"] if mounted else "")

    def _begin_shutdown(self) -> None:
        now = time.monotonic()
        if self.shutdown_by is None:
            self.shutdown_by = now + SHUTDOWN_S
        for unit in self.units:
            unit.stop(now)

    def _down(self) -> bool:
        if self.shutdown_by is None:
            return False
        return all(unit.pid is None for unit in self.units) or time.monotonic() >= self.shutdown_by

    def _power_down(self) -> None:
        for pid in processes.of_host(self.host, os.getpid()):
            if pid != os.getpid():
                _kill(pid)
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                break
            if pid == self.workload.pid:
                self._bury(self.workload, pid, status)
        self.disks.unmount_all()


def _signals_to_pipe() -> int:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def _reply(connection: socket.socket, answer: dict[str, object]) -> None:
    with connection:
        try:
            connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            return  # the command that waited for the answer was killed


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> int:
    host, lab_pid = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    # When the lab is gone, the whole machine is gone, whatever its processes do.
    signal.signal(signal.SIGUSR2, lambda *_: os.killpg(0, signal.SIGKILL))
    die_with_parent(signal.SIGUSR2)
    if os.getppid() != lab_pid:
        return 1
    adopt_orphans()
    Init(host).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
