"""Volumes and snapshots as directories, and which host each volume is plugged into."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from lab.contracts import DeviceBusy
from lab.hosts import paths, processes
from lab.hosts.disks import ROOT_DEVICES, Disks

COPY_ATTEMPTS = 5


class VolumeStore:
    """`init_pid` gives the pid of an instance's init while that host is live, else None."""

    def __init__(self, state_dir: Path, init_pid: Callable[[str], int | None]) -> None:
        self._state = str(state_dir.absolute())
        self._init_pid = init_pid
        self._lock = threading.Lock()
        self._plugged: dict[str, tuple[str, str]] = {}  # volume -> instance, device

    def create(self, volume: str, snapshot: str | None) -> None:
        """Repeating is safe: an existing volume stays as it is."""
        directory = paths.volume_dir(self._state, volume)
        if os.path.exists(directory):
            return
        if snapshot is not None:
            _copy(paths.snapshot_dir(self._state, snapshot), directory)
            return
        os.makedirs(os.path.join(directory, "fs"))
        meta = {"uuid": str(uuid.uuid4()), "fstype": "xfs", "label": ""}
        paths.write_json(os.path.join(directory, "meta.json"), meta)

    def delete(self, volume: str) -> None:
        shutil.rmtree(paths.volume_dir(self._state, volume), ignore_errors=True)

    def snapshot(self, snapshot: str, volume: str) -> None:
        """Copy the volume. While a workload writes, each file of the copy is a prefix of the later one."""
        _copy(paths.volume_dir(self._state, volume), paths.snapshot_dir(self._state, snapshot))

    def delete_snapshot(self, snapshot: str) -> None:
        shutil.rmtree(paths.snapshot_dir(self._state, snapshot), ignore_errors=True)

    def plug(self, volume: str, instance: str, device: str) -> None:
        host = paths.host_dir(self._state, instance)
        os.makedirs(os.path.join(host, "run"), exist_ok=True)
        with self._lock, Disks(host).locked():
            owner = self._plugged.get(volume)
            if owner is not None and owner[0] != instance:
                raise ValueError(f"{volume} is plugged into {owner[0]}")
            devices = paths.read_json(paths.devices_file(host))
            paths.write_json(paths.devices_file(host), devices | {device: volume})
            self._plugged[volume] = (instance, device)

    def unplug(self, volume: str, force: bool) -> None:
        with self._lock:
            owner = self._plugged.get(volume)
            if owner is None:
                return
            disks = Disks(paths.host_dir(self._state, owner[0]))
            with disks.locked():
                if self._in_use(volume, *owner) and not force:
                    raise DeviceBusy(f"{volume} is mounted on {owner[0]}")
                self._cut_off(volume, owner[0])
                disks.remove_volume(volume)
            self._plugged.pop(volume)

    def mounted(self, volume: str) -> bool:
        owner = self._plugged.get(volume)
        return owner is not None and self._in_use(volume, *owner)

    def truth(self) -> Mapping[str, object]:
        root = Path(self._state, "volumes")
        names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        return {name: self._describe(name) for name in names}

    def _describe(self, volume: str) -> Mapping[str, object]:
        owner = self._plugged.get(volume)
        meta = paths.read_json(os.path.join(paths.volume_dir(self._state, volume), "meta.json"))
        return {
            "directory": paths.volume_content(self._state, volume),
            "uuid": meta.get("uuid"),
            "plugged_into": owner[0] if owner else None,
            "device": owner[1] if owner else None,
            "mounted": self.mounted(volume),
        }

    def _in_use(self, volume: str, instance: str, device: str) -> bool:
        """A live host uses its root volume all the time, other volumes while they are mounted."""
        if self._init_pid(instance) is None:
            return False
        mounts = Disks(paths.host_dir(self._state, instance)).mounts().values()
        return device in ROOT_DEVICES or any(row["volume"] == volume for row in mounts)

    def _cut_off(self, volume: str, instance: str) -> None:
        """End the processes that have files on a removed volume. On a real machine they would get I/O errors."""
        pid = self._init_pid(instance)
        if pid is None:
            return
        members = processes.of_host(paths.host_dir(self._state, instance), pid)
        for holder in processes.users_of_directory(members, paths.volume_content(self._state, volume)):
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(holder, signal.SIGKILL)


def _copy(source: str, target: str) -> None:
    """Copy a tree that may change meanwhile. When a file vanishes, try again."""
    if os.path.exists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    draft = f"{target}.{uuid.uuid4().hex[:8]}.new"
    for attempt in range(COPY_ATTEMPTS):
        copied = subprocess.run(["cp", "-a", "--reflink=auto", source, draft], capture_output=True, text=True)
        if copied.returncode == 0:
            os.rename(draft, target)
            return
        shutil.rmtree(draft, ignore_errors=True)
        if attempt == COPY_ATTEMPTS - 1:
            raise OSError(f"copying {source} to {target}: {copied.stderr.strip()}")
