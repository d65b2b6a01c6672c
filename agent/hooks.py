"""The owner's hooks: executables in a folder, named for the moment at which they run.

A hook that leaves a process running has to give it an output of its own (a file, the journal). What that process
writes to the hook's streams is not read any more once the hook has ended.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from agent.commands import TIMED_OUT, CommandResult, run
from agent.deadline import Deadline, HostError
from domain.host import HookRun

log = logging.getLogger(__name__)

START, STOP, HEALTH, WARM_UP = "start", "stop", "health", "warm-up"
PRICES = "prices"  # no part of an operation: see agent.prices
NAMES = (START, STOP, HEALTH, WARM_UP)
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 0.5
ONE_HEALTH_CHECK_S = 10.0


class Hooks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def present(self) -> list[str]:
        return [name for name in NAMES if (self._folder / name).exists()]

    def path(self, name: str) -> Path | None:
        """The hook's path; None when there is no such hook. Raises HostError for one that is not executable."""
        path = self._folder / name
        if not path.exists():
            return None
        if path.is_dir() or not os.access(path, os.X_OK):
            raise HostError(f"the hook {path} is not executable: chmod +x {path}, or remove it")
        return path

    def run(self, name: str, operation_id: str, deadline: Deadline) -> HookRun | None:
        """Run the hook once, until the deadline; None when there is no such hook."""
        path = self.path(name)
        if path is None:
            return None
        outcome = run([str(path)], deadline, {"SPOT_OPERATION_ID": operation_id})
        _log(name, operation_id, outcome)
        return HookRun(name, outcome.exit_code, outcome.ms, outcome.output)

    def run_or_fail(self, name: str, operation_id: str, deadline: Deadline, before: list[HookRun]) -> list[HookRun]:
        """`before` and this run. Raises HostError when the hook did not end with 0 in time."""
        hook = self.run(name, operation_id, deadline)
        hooks = before + ([hook] if hook else [])
        if hook is not None and hook.exit_code != 0:
            raise HostError(_complaint(hook), hooks)
        return hooks

    def until_healthy(self, operation_id: str, deadline: Deadline, before: list[HookRun]) -> list[HookRun]:
        """Repeat the health hook until it passes. Of its runs the last is kept. Raises HostError at the deadline."""
        pause = FIRST_PAUSE_S
        while True:
            check = self.run(HEALTH, operation_id, deadline.within(ONE_HEALTH_CHECK_S))
            if check is None or check.exit_code == 0:
                return before + ([check] if check else [])
            if deadline.left <= pause:
                raise HostError(f"not healthy in time: {_complaint(check)}", [*before, check])
            deadline.pause(pause)
            pause = min(pause * 1.5, LAST_PAUSE_S)


def _complaint(hook: HookRun) -> str:
    how = f"was killed after {hook.ms} ms" if hook.exit_code == TIMED_OUT else f"ended with {hook.exit_code}"
    said = hook.output.strip()[-300:]
    return f"the {hook.name} hook {how}" + (f": {said}" if said else "")


def _log(name: str, operation_id: str, outcome: CommandResult) -> None:
    level = logging.DEBUG if name == HEALTH else logging.INFO
    fields = {"hook": name, "operation": operation_id, "exit_code": outcome.exit_code, "ms": outcome.ms}
    log.log(level, "hook", extra=fields)
