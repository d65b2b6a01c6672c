"""`python -m lab.stack up | down | status | clean`: what the Makefile's targets of those names do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab.stack import credentials, ports, settings, state
from lab.stack.settings import REPOSITORY, StackSettings
from lab.stack.state import Phase, StackState

_START_S = 300  # the first start may install the database's package
_STOP_S = 90


def main(arguments: list[str]) -> int:
    commands = {"up": up, "down": down, "status": status, "clean": clean, "supervise": _supervise}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return commands[arguments[0]](settings.from_environment(os.environ, standard_ports=True))
    except (ports.InvalidPort, settings.InvalidSetting) as error:
        print(error, file=sys.stderr)
        return 2


def up(chosen: StackSettings) -> int:
    """Start everything, detached, and say where it is. A second one finds the first."""
    if state.is_locked(chosen.var):
        print("Already running; `make down` stops it.\n")
        return status(chosen)
    daemon = _start_daemon(chosen.var)
    try:
        found = _await_start(chosen.var, daemon)
    except KeyboardInterrupt:
        daemon.terminate()
        daemon.wait(_STOP_S)
        return 130
    if found.phase is not Phase.READY:
        print(f"\n{found.message or 'The stack did not start.'}\nLogs: {chosen.logs}", file=sys.stderr)
        return 1
    _show(chosen.var, found)
    return 0


def down(chosen: StackSettings) -> int:
    """Stop what `up` started."""
    found = state.read(chosen.var)
    if found is None or not state.is_locked(chosen.var):
        print("Nothing is running.")
        return 0
    # The lock is held, so the pid in the file is its holder's and nobody else's.
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while state.is_locked(chosen.var):
        if time.monotonic() > deadline:
            print(
                f"The supervisor, pid {found.pid}, has not ended within {_STOP_S} s. Logs: {chosen.logs}",
                file=sys.stderr,
            )
            return 1
        time.sleep(0.1)
    print("Stopped. The lab's world ended with it; the next `make up` begins a new one. Logs stay until `make clean`.")
    return 0


def status(chosen: StackSettings) -> int:
    """Where everything is; exit code 3 when nothing runs, as service scripts have it."""
    found = state.read(chosen.var)
    if found is None or not state.is_locked(chosen.var):
        print("Nothing is running.")
        return 3
    _show(chosen.var, found)
    return 0


def clean(chosen: StackSettings) -> int:
    """Stop everything and delete its data and logs."""
    from lab.stack import database  # brings SQLAlchemy, which the other commands do without

    code = down(chosen)
    if code == 0:
        database.clean(chosen.var)
        shutil.rmtree(chosen.var, ignore_errors=True)
    return code


def _supervise(chosen: StackSettings) -> int:
    from lab.stack.supervisor import supervise  # brings everything

    return supervise(chosen)


def _start_daemon(var: Path) -> subprocess.Popen[bytes]:
    log = var / "log" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    (var / "stack.json").unlink(missing_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "lab.stack", "supervise"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await_start(var: Path, daemon: subprocess.Popen[bytes]) -> StackState:
    """Follow the supervisor's log until it is ready, has failed, or takes too long."""
    deadline = time.monotonic() + _START_S
    with (var / "log" / "supervisor.log").open() as log:
        while True:
            print(log.read(), end="", flush=True)
            ended = daemon.poll() is not None  # asked first: its last words are then all in the log
            found = state.read(var)
            if found and found.phase is not Phase.STARTING:
                return found
            if ended:
                return StackState(Phase.FAILED, daemon.pid, message=log.read() or "the supervisor ended at once")
            if time.monotonic() > deadline:
                daemon.terminate()
                return StackState(Phase.FAILED, daemon.pid, message=f"not ready within {_START_S} s")
            time.sleep(0.1)


def _show(var: Path, found: StackState) -> None:
    print(f"""
API and its documentation  {found.urls.get("api", "-")}/docs
Temporal UI                {found.urls.get("temporal_ui", "-")}
EC2 of the lab             {found.urls.get("lab", "-")}
Logs                       {var / "log"}""")
    if credentials.path_in(var).exists():
        known = credentials.load_or_make(var)
        print(f"Client token               {known.client_token}")
        print(f"Admin token                in {credentials.path_in(var)}")
        print(f"\nexport SPOT_URL={found.urls.get('api', '')} SPOT_TOKEN={known.client_token}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
