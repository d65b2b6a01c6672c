"""Start a child that dies with its parent.

It calls `fork` and `exec` itself, since a host's init has one thread and must start quickly.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(how: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send this signal when the thread that started us ends (Linux)."""
    _libc.prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)


def adopt_orphans() -> None:
    """Adopt descendants whose parent ends, so that none leaves the host."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(command: list[str], env: dict[str, str], log: str, cwd: str, keep_fd: int | None = None) -> int:
    """Start a child whose output is appended to the log; returns its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        die_with_parent()
        if os.getppid() != parent:
            os._exit(125)
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        _redirect(log)
        if keep_fd is not None:
            os.set_inheritable(keep_fd, True)
        os.chdir(cwd)
        os.execve(command[0], command, env)  # noqa: S606  no shell is wanted
    finally:
        os._exit(126)


def _redirect(log: str) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
