"""Which processes a host has, from /proc.

A host's processes are those of its session, those that descend from its init, and those that carry
its directory in their environment: so a hook with its own session counts as the host's too.
"""

from __future__ import annotations

import os

HOST_VARIABLE = "LAB_HOST_DIR"


class Process:
    """One process by /proc: its pid, its parent and its session."""

    __slots__ = ("parent", "pid", "session", "state")

    def __init__(self, pid: int, state: str, parent: int, session: int) -> None:
        self.pid = pid
        self.state = state
        self.parent = parent
        self.session = session


def read_process(pid: int) -> Process | None:
    """The process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The second field is the command in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(pid, fields[0], int(fields[1]), int(fields[3]))


def all_processes() -> list[Process]:
    found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process is not None]


def of_host(host: str, init_pid: int) -> list[int]:
    """The pids of every live process of the host, its init included."""
    seen = all_processes()
    members = {process.pid for process in seen if process.pid == init_pid or process.session == init_pid}
    marker = f"{HOST_VARIABLE}={host}".encode()
    members |= {process.pid for process in seen if process.pid not in members and _carries(process.pid, marker)}
    grown = True
    while grown:
        children = {process.pid for process in seen if process.parent in members} - members
        members |= children
        grown = bool(children)
    return sorted(members)


def users_of_directory(pids: list[int], directory: str) -> list[int]:
    """Those of the processes that have an open file or their working directory beneath it."""
    base = os.path.realpath(directory)
    return [pid for pid in pids if _holds(pid, base)]


def _carries(pid: int, marker: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marker in file.read().split(b"\0")
    except OSError:
        return False


def _holds(pid: int, base: str) -> bool:
    links = [f"/proc/{pid}/cwd"]
    try:
        links += [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False  # it has ended meanwhile
    return any(_beneath(link, base) for link in links)


def _beneath(link: str, base: str) -> bool:
    try:
        path = os.readlink(link)
    except OSError:
        return False
    return path == base or path.startswith(base + "/")
