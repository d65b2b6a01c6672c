"""Run one command: its own session, a deadline, the end of its output. Never through a shell."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from agent.deadline import Deadline, StopRequested

TIMED_OUT = -1
CANNOT_RUN = 126
KEPT_CHARACTERS = 2_000
SLICE_MS = 50
KILLED_WAIT_S = 0.3


@dataclass(frozen=True)
class CommandResult:
    """`exit_code` as a shell has it (128 + signal), or TIMED_OUT. Output: both streams, the last part."""

    exit_code: int
    ms: int
    output: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def run(
    argv: Sequence[str], deadline: Deadline, extra: Mapping[str, str] | None = None, limit: int | None = None
) -> CommandResult:
    """Run the command to its end, or to the deadline: then its whole process group is killed.

    Raises StopRequested when the work has to stop. The output goes to a file, not a pipe: a hook may leave a daemon
    behind that keeps the stream open.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            code = _run(argv, deadline, _environment(extra or {}), output)
        except OSError as error:
            return CommandResult(CANNOT_RUN, _since(started), f"cannot run {argv[0]}: {error.strerror}")
        return CommandResult(code, _since(started), _last(output, limit or KEPT_CHARACTERS))


def _run(argv: Sequence[str], deadline: Deadline, env: Mapping[str, str], output: BinaryIO) -> int:
    process = subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    if _ended(process.pid, deadline):
        code = process.wait()
        return code if code >= 0 else 128 - code
    os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel dies when its disk answers
        process.wait(KILLED_WAIT_S)
    if deadline.stop.is_set():
        raise StopRequested
    return TIMED_OUT


def _ended(pid: int, deadline: Deadline) -> bool:
    """True when the process has ended, False at the deadline or when the work has to stop.

    A process file descriptor wakes us at once. `Popen.wait(timeout)` sleeps up to 50 ms, and that would be outage.
    """
    fd = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        while True:
            if poller.poll(min(SLICE_MS, deadline.left * 1000)):
                return True
            if deadline.stop.is_set() or not deadline.left:
                return False
    finally:
        os.close(fd)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our own environment without the client's token, which no command needs."""
    return {key: value for key, value in os.environ.items() if key != "SPOT_TOKEN"} | dict(extra)


def _last(output: BinaryIO, characters: int) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4 * characters))
    return output.read(4 * characters).decode("utf-8", "replace")[-characters:]


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
