"""A folder in memory for data that no test has to find again: a schema is made there in a fraction of the time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # a tmpfs on Linux; Docker gives it 64 MB by default
ROOM = 4 << 30  # bytes, for the servers of several workers
_NAME = "spot-optimizer-test-"


@contextmanager
def memory_folder(otherwise: Path, memory: Path = MEMORY) -> Iterator[Path]:
    """A folder that is deleted at the end; `otherwise` where there is no memory for it."""
    if not memory.is_dir() or shutil.disk_usage(memory).free < ROOM:
        yield otherwise
        return
    _delete_of_ended_processes(memory)
    folder = memory / f"{_NAME}{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _delete_of_ended_processes(memory: Path) -> None:
    """A session that was killed has left its folder."""
    for left in memory.glob(f"{_NAME}*"):
        if not Path("/proc", left.name.removeprefix(_NAME)).exists():
            shutil.rmtree(left, ignore_errors=True)
