"""sync [-f] [file...]: write the files of the mounted volumes to disk, not those of the whole machine."""

from __future__ import annotations

import os

from lab.hosts import paths
from lab.hosts.shims.command import disks, host


def main(args: list[str]) -> int:
    for target in disks().mounts():
        sync_tree(paths.mount_point(host(), target))
    return 0


def sync_tree(top: str) -> None:
    for directory, _, names in os.walk(os.path.realpath(top)):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            _sync(path)


def _sync(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return  # removed meanwhile, or a link: there is nothing of it to sync
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
