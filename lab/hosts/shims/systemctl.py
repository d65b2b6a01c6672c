"""systemctl start|stop|restart|is-active|is-enabled|status|show workload, answered by the host's init."""

from __future__ import annotations

from lab.hosts import init_socket
from lab.hosts.image import HostImage
from lab.hosts.shims.command import complain, host, option, say, split

UNITS = ("workload", "agent")
NO_SUCH_UNIT, NOT_ACTIVE = 5, 3


def main(args: list[str]) -> int:
    options, operands = split(args, ("-p", "--property", "-t", "--type", "-s", "--signal"))
    verb, units = (operands[0], operands[1:]) if operands else ("", [])
    if verb in ("daemon-reload", "reset-failed"):
        return 0
    quiet = option(options, "-q", "--quiet") is not None
    for name in units:
        status = _one(verb, name.removesuffix(".service"), quiet)
        if status:
            return status
    return 0 if units else 1


def _one(verb: str, unit: str, quiet: bool) -> int:
    if verb in ("is-active", "status", "show"):
        return _show(verb, unit, quiet)
    if unit not in UNITS:
        complain(f"Failed to {verb} {unit}.service: Unit {unit}.service not found.")
        return NO_SUCH_UNIT
    if verb == "is-enabled":
        enabled = unit != "workload" or HostImage(host()).autostart
        say("enabled" if enabled else "disabled")
        return 0 if enabled else 1
    if verb not in ("start", "stop", "restart"):
        complain(f"Unknown command verb {verb}.")
        return 1
    return _change(verb, unit)


def _change(verb: str, unit: str) -> int:
    answer = init_socket.ask(host(), verb, unit)
    wanted = "inactive" if verb == "stop" else "active"
    if answer.get("error") == "dependency":
        complain(f"A dependency job for {unit}.service failed. See 'journalctl -xe' for details.")
        return 1
    if answer.get("state") != wanted:
        complain(f"Job for {unit}.service failed: {answer.get('error') or answer.get('state')}.")
        return 1
    return 0


def _show(verb: str, unit: str, quiet: bool) -> int:
    answer = init_socket.ask(host(), "status", unit) if unit in UNITS else {}
    state = str(answer.get("state", "inactive"))
    pid = answer.get("pid") or 0
    if verb == "show":
        say(f"Id={unit}.service\nActiveState={state}\nMainPID={pid}")
        return 0
    if not quiet:
        say(state if verb == "is-active" else f"{unit}.service\n     Active: {state}\n   Main PID: {pid}")
    return 0 if state == "active" else NOT_ACTIVE
