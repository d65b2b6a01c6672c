"""What every command of a lab host needs: its host, its disks, its options."""

from __future__ import annotations

import os
import sys

from lab.hosts import paths, processes
from lab.hosts.disks import Disks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


def host() -> str:
    return os.environ[processes.HOST_VARIABLE]


def disks() -> Disks:
    return Disks(host())


def init_pid() -> int:
    pid = paths.read_json(paths.pid_file(host(), "init")).get("pid", 0)
    return pid if isinstance(pid, int) else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def split(args: list[str], with_value: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Options and operands. `with_value` names the options that take one; unknown ones take none.

    Understands `-o x`, `-ox`, `--output x`, `--output=x` and joined letters such as `-rn`.
    """
    options: dict[str, str] = {}
    operands: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, operands + rest
        if not word.startswith("-") or word == "-":
            operands.append(word)
        elif word.startswith("--"):
            name, joined, value = word.partition("=")
            options[name] = value if joined or name not in with_value else (rest.pop(0) if rest else "")
        else:
            _short(word, rest, options, with_value)
    return options, operands


def _short(word: str, rest: list[str], options: dict[str, str], with_value: Collection[str]) -> None:
    for position, letter in enumerate(word[1:], start=2):
        name = "-" + letter
        if name not in with_value:
            options[name] = ""
            continue
        value = word[position:] or (rest.pop(0) if rest else "")
        options[name] = f"{options[name]},{value}" if name == "-o" and name in options else value
        return


def option(options: dict[str, str], *names: str) -> str | None:
    return next((options[name] for name in names if name in options), None)
