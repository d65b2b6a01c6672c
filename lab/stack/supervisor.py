"""The process behind `make up`: it keeps a stack running until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

from lab.stack import state
from lab.stack.database_server import DatabaseUnavailable
from lab.stack.ports import PortsInUse
from lab.stack.processes import Process, StartFailed
from lab.stack.settings import StackSettings
from lab.stack.stack import Stack
from lab.stack.state import Phase, StackState

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_REFUSALS = (StartFailed, PortsInUse, DatabaseUnavailable)  # their text says everything, without a trace
_CALM_S = 60.0  # after running this long, former crashes no longer count


def supervise(settings: StackSettings) -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 unless the stack did not start."""
    hold = state.StackLock(settings.var)
    if not hold.take():
        print("another supervisor runs in this folder", flush=True)
        return 1
    state.write(settings.var, StackState(Phase.STARTING, os.getpid()))
    try:
        _run(settings, _Orders())
    except _StoppedEarly:
        pass  # asked for: the stack has already taken down what it had started
    except Exception as error:
        # Any reason at all belongs where `make up` reads it; what is no plain refusal has a trace in the log.
        state.write(settings.var, StackState(Phase.FAILED, os.getpid(), message=str(error) or repr(error)))
        if not isinstance(error, _REFUSALS):
            raise
        return 1
    finally:
        hold.close()
    state.write(settings.var, StackState(Phase.STOPPED, os.getpid()))
    return 0


class _StoppedEarly(BaseException):
    """A signal came while the stack was starting."""


class _Orders:
    """SIGTERM and SIGINT. They abort a start; later they end the supervision."""

    def __init__(self) -> None:
        self.started = False
        self._stop = threading.Event()
        signal.signal(signal.SIGTERM, self._told)
        signal.signal(signal.SIGINT, self._told)

    def stop_within(self, seconds: float) -> bool:
        return self._stop.wait(seconds)

    def _told(self, number: int, frame: FrameType | None) -> None:
        again = self._stop.is_set()
        self._stop.set()
        if not self.started and not again:
            raise _StoppedEarly


def _run(settings: StackSettings, orders: _Orders) -> None:
    with Stack(settings, report=lambda line: print(line, flush=True)) as stack:
        orders.started = True
        crashes = {name: _Crashes() for name in stack.processes}
        state.write(settings.var, _state(stack))
        while not orders.stop_within(0.5):
            revived = [name for name, process in stack.processes.items() if _revive(stack, process, crashes[name])]
            if revived:
                state.write(settings.var, _state(stack))
        print("stopping", flush=True)


class _Crashes:
    """When to restart a process that keeps ending: after a pause that doubles each time."""

    def __init__(self) -> None:
        self.pause_s = _FIRST_PAUSE_S
        self.started_at = time.monotonic()
        self.due_at: float | None = None

    def due(self) -> bool:
        now = time.monotonic()
        if self.due_at is None:
            self.pause_s = _FIRST_PAUSE_S if now - self.started_at > _CALM_S else self.pause_s
            self.due_at = now + self.pause_s
        return now >= self.due_at

    def restarted(self) -> None:
        self.pause_s = min(2 * self.pause_s, _LONGEST_PAUSE_S)
        self.started_at = time.monotonic()
        self.due_at = None


def _revive(stack: Stack, process: Process, crashes: _Crashes) -> bool:
    """Start it again if it has ended and its pause is over; True when it was started."""
    if process.running or not crashes.due():
        return False
    print(f"{process.name} ended with exit code {process.exit_code}; starting it again", flush=True)
    crashes.restarted()
    try:
        stack.restart(process.name)
    except StartFailed as error:
        print(error, flush=True)  # the next round tries again, after a longer pause
    return True


def _state(stack: Stack) -> StackState:
    pids = {name: process.pid for name, process in stack.processes.items()}
    return StackState(Phase.READY, os.getpid(), stack.urls, stack.ports, pids)
