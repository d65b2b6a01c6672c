"""Which processes keep a mount point busy. This is what fuser(1) finds, but not every machine has it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST = 5


def mount_holders(targets: Sequence[str]) -> str:
    """Part of an error message, such as `; held by 812 (mysqld)`. Empty when no process is found."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and any(_is_under(path, targets) for path in _open_paths(process)):
            found.append(f"{process.name} ({_name(process)})")
        if len(found) == MOST:
            break
    return f"; held by {', '.join(found)}" if found else ""


def _open_paths(process: Path) -> Iterator[str]:
    try:
        links = [process / "cwd", process / "root", *(process / "fd").iterdir()]
    except OSError:
        return  # it has ended, or is another user's: then it cannot be named
    for link in links:
        try:
            yield os.readlink(link)
        except OSError:
            continue  # closed meanwhile


def _is_under(path: str, targets: Sequence[str]) -> bool:
    return any(path == target or path.startswith(target.rstrip("/") + "/") for target in targets)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
