"""Commands that a host's init runs itself, in a child, for a shim of a few lines of shell.

Starting Python for each `mount` or hook takes longer than the command. On a machine with few processors
that would be most of the measured outage. The shim sends its words through a named pipe, and reads the
exit code and the output from a pipe of its own.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Callable

from lab.hosts import paths
from lab.hosts.spawn import die_with_parent

SHIMS = ("findmnt", "mount", "umount", "sync", "blkid")
HOOKS = ("start", "stop", "health", "warm-up")
LISTENER_S = 10  # a shim that was killed never opens its pipe

# The format of a request: words, each ended by US (unit separator), and a line feed as the last of them.
_US, _END = b"\037", b"\n\037"

SCRIPT = """\
reply="$LAB_HOST_DIR/run/reply.$$"
mkfifo "$reply" || exit 125
printf '%s\\037' "$reply" {name} "$@" '
' >"$LAB_HOST_DIR/run/commands"
{{
  read -r status
  if [ "$status" = 0 ]; then cat; else cat >&2; fi
}} <"$reply"
exit "${{status:-125}}"
"""


class CommandServer:
    def __init__(self, host: str) -> None:
        path = paths.commands_pipe(host)
        if not os.path.exists(path):
            os.mkfifo(path, 0o600)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # for writing too, so that it never reports its end
        self._rest = b""
        self._commands: dict[str, Callable[[list[str]], int]] = {}

    def load(self) -> None:
        """Import what the commands need, once, before the first command."""
        for name in SHIMS:
            self._commands[name] = importlib.import_module(f"lab.hosts.shims.{name}").main
        hook = importlib.import_module("lab.hosts.image_hooks").main
        for name in HOOKS:
            self._commands[name] = lambda _, name=name: hook(name)  # type: ignore[misc]

    def take(self) -> None:
        """Start every requested command."""
        *asked, self._rest = (self._rest + os.read(self.fd, 65536)).split(_END)
        for request in asked:
            reply, name, *words = request.removesuffix(_US).decode().split(_US.decode())
            if os.fork() == 0:
                self._carry_out(reply, name, words)

    def _carry_out(self, reply: str, name: str, words: list[str]) -> None:
        """Run the command in the child. Does not return."""
        try:
            die_with_parent()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(LISTENER_S)
            answer = os.open(reply, os.O_WRONLY)
            signal.alarm(0)
            os.unlink(reply)
            sys.stdout = sys.stderr = said = io.StringIO()
            status = self._commands[name](words)
            os.write(answer, f"{status}\n{said.getvalue()}".encode())
        finally:
            os._exit(0)
