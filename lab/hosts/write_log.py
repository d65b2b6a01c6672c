"""The workload's data: an append-only file that acknowledges a line once it is on disk.

Writers that arrive during a sync share the next one (group commit).
"""

from __future__ import annotations

import fcntl
import os
import threading
import time


class VolumeInUse(Exception):
    """Another workload holds this volume."""


class WriteLog:
    """`writes.log` in a directory: lines of `n client instance time`, each (client, n) once."""

    def __init__(self, directory: str, instance: str) -> None:
        self.path = os.path.join(directory, "writes.log")
        self.instance = instance
        self._lock_fd = _lock(os.path.join(directory, ".workload.lock"))
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _cut_torn_line(self._fd)
        self._changed = threading.Condition()
        self._seen: dict[tuple[str, int], int] = dict.fromkeys(_entries(self._fd), 0)
        self._waiting: list[bytes] = []
        self._accepted = 0  # how many lines the committer has got so far
        self._durable = 0  # how many of them are on disk
        self._broken: OSError | None = None
        self._closing = False
        _sync_directory(directory)
        self._committer = threading.Thread(target=self._commit_forever, daemon=True)
        self._committer.start()

    @property
    def count(self) -> int:
        return len(self._seen)

    def write(self, client: str, n: int) -> None:
        """Return once the line is on disk. A line that is already there is not written again."""
        with self._changed:
            mine = self._seen.get((client, n))
            if mine is None:
                mine = self._accept(client, n)
            while self._durable < mine and self._broken is None:
                self._changed.wait()
            if self._durable < mine and self._broken is not None:
                raise self._broken

    def on_disk(self, client: str | None) -> dict[str, list[int]]:
        """What the file holds now: client -> numbers in the order of writing."""
        found: dict[str, list[int]] = {}
        for name, n in _entries(self._fd):
            if client in (None, name):
                found.setdefault(name, []).append(n)
        return found

    def close(self) -> None:
        """Write what was accepted to disk, and stop. The lock stays until `release`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._committer.join()
        os.close(self._fd)

    def release(self) -> None:
        os.close(self._lock_fd)

    def _accept(self, client: str, n: int) -> int:
        if self._broken is not None:
            raise self._broken
        if self._closing:
            raise OSError("the workload is stopping")
        self._accepted += 1
        self._seen[client, n] = self._accepted
        self._waiting.append(f"{n} {client} {self.instance} {time.time():.6f}\n".encode())
        self._changed.notify_all()
        return self._accepted

    def _commit_forever(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                batch, upto = b"".join(self._waiting), self._accepted
                self._waiting.clear()
            if not batch:
                return
            self._commit(batch, upto)

    def _commit(self, batch: bytes, upto: int) -> None:
        broken = None
        try:
            _write_all(self._fd, batch)
            os.fdatasync(self._fd)
        except OSError as error:
            broken = error
        with self._changed:
            if broken is None:
                self._durable = upto
            else:
                self._broken = broken
            self._changed.notify_all()


def _lock(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise VolumeInUse(f"{path} is held by another workload") from None
    return fd


def _cut_torn_line(fd: int) -> None:
    """Remove half a line at the end, as in a copy of a live volume. It was never acknowledged."""
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    os.ftruncate(fd, content.rfind(b"\n") + 1)


def _entries(fd: int) -> list[tuple[str, int]]:
    content = os.pread(fd, os.fstat(fd).st_size, 0).decode()
    rows = (line.split() for line in content[: content.rfind("\n") + 1].splitlines())
    return [(row[1], int(row[0])) for row in rows]


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]
