"""A host's disks as its kernel sees them: what is plugged, and what is mounted where.

A mount point is a symbolic link: to the volume's content while something is mounted there, else to
the directory beneath, which belongs to the root volume. So a write to an unmounted mount
point goes to the root volume, as on a real machine.
"""

from __future__ import annotations

import fcntl
import os

from lab.hosts import paths, processes

ROOT_DEVICES = ("/dev/sda1", "/dev/xvda", "/dev/sda", "/dev/xvda1")
USAGE, FAILED = 1, 32


class MountError(Exception):
    """What util-linux would say, and its exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class Disk:
    """One plugged volume and the filesystem on it."""

    __slots__ = ("device", "fstype", "label", "uuid", "volume")

    def __init__(self, device: str, volume: str, meta: dict[str, object]) -> None:
        self.device = device
        self.volume = volume
        self.uuid = str(meta.get("uuid", ""))
        self.fstype = str(meta.get("fstype", ""))
        self.label = str(meta.get("label", ""))

    @property
    def is_root(self) -> bool:
        return self.device in ROOT_DEVICES

    def names(self) -> tuple[str, ...]:
        return (self.device, f"UUID={self.uuid}", f"/dev/disk/by-uuid/{self.uuid}", f"LABEL={self.label or None}")


class Disks:
    """The disks of one host. Every process makes changes under the host's file lock."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.state = paths.state_of(host)

    def plugged(self) -> list[Disk]:
        devices = paths.read_json(paths.devices_file(self.host))
        return [self._disk(device, str(volume)) for device, volume in sorted(devices.items())]

    def mounts(self) -> dict[str, dict[str, str]]:
        """Target -> volume, device, fstype, options, uuid. Without the root."""
        found = paths.read_json(paths.mounts_file(self.host))
        return {target: row for target, row in found.items() if isinstance(row, dict)}

    def find(self, source: str) -> Disk | None:
        source = source.replace('"', "")
        if source.startswith("--uuid="):
            source = "UUID=" + source.removeprefix("--uuid=")
        return next((disk for disk in self.plugged() if source in disk.names()), None)

    def mount(self, source: str, target: str, fstype: str, options: list[str]) -> None:
        target = normal_path(target)
        with self.locked():
            disk = self._mountable(source, target, fstype, options)
            if "X-mount.mkdir" in options:
                self.make_mount_point(target)
            if not os.path.islink(paths.mount_point(self.host, target)):
                raise MountError(f"mount: {target}: mount point does not exist.")
            row = {"volume": disk.volume, "device": disk.device, "fstype": disk.fstype, "uuid": disk.uuid}
            mounts = self.mounts()
            mounts[target] = row | {"options": _as_reported(options)}
            self._link(target, paths.volume_content(self.state, disk.volume))
            paths.write_json(paths.mounts_file(self.host), mounts)

    def umount(self, name: str, init_pid: int) -> None:
        with self.locked():
            mounts = self.mounts()
            target = name if name in mounts else self._target_of(name, mounts)
            if target is None:
                raise MountError(f"umount: {name}: {self._why_not(name)}")
            content = paths.volume_content(self.state, mounts[target]["volume"])
            if processes.users_of_directory(processes.of_host(self.host, init_pid), content):
                raise MountError(f"umount: {target}: target is busy.")
            self._drop(target, mounts)

    def mount_fstab(self, fstab: dict[str, str]) -> list[str]:
        """Mount what the image's fstab names (device -> target), except for volumes that are not plugged."""
        done = []
        for device, target in fstab.items():
            self.make_mount_point(target)
            if self.find(device) is not None:
                self.mount(device, target, "", [])
                done.append(target)
        return done

    def unmount_all(self) -> None:
        """The machine is off: nothing is mounted."""
        with self.locked():
            for target in list(self.mounts()):
                self._drop(target, self.mounts())

    def remove_volume(self, volume: str) -> None:
        """Remove the volume from the machine, mounted or not. The caller holds the lock."""
        mounts = self.mounts()
        for target in [t for t, row in mounts.items() if row["volume"] == volume]:
            self._drop(target, mounts)
        devices = paths.read_json(paths.devices_file(self.host))
        kept = {device: v for device, v in devices.items() if v != volume}
        paths.write_json(paths.devices_file(self.host), kept)

    def make_mount_point(self, target: str) -> None:
        place = paths.mount_point(self.host, normal_path(target))
        if os.path.islink(place):
            return
        beneath = os.path.join(self.root_content(), normal_path(target).strip("/"))
        os.makedirs(beneath, exist_ok=True)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(beneath, place)

    def root_content(self) -> str:
        """The content of the root volume: of the plugged one, or a directory of the host."""
        root = next((disk for disk in self.plugged() if disk.is_root), None)
        return paths.volume_content(self.state, root.volume) if root else os.path.join(self.host, "under")

    def locked(self) -> FileLock:
        return FileLock(os.path.join(self.host, "run", "disks.lock"))

    def _disk(self, device: str, volume: str) -> Disk:
        return Disk(device, volume, paths.read_json(os.path.join(paths.volume_dir(self.state, volume), "meta.json")))

    def _mountable(self, source: str, target: str, fstype: str, options: list[str]) -> Disk:
        disk = self.find(source)
        if disk is None:
            raise _not_found(source, target)
        taken = self.mounts()
        bad = f"mount: {target}: wrong fs type, bad option, bad superblock on {disk.device}."
        if fstype not in ("", "auto", disk.fstype):
            raise MountError(bad)
        if target in taken or any(row["volume"] == disk.volume for row in taken.values()):
            raise MountError(f"mount: {target}: {disk.device} already mounted or mount point busy.")
        if any(row["uuid"] == disk.uuid for row in taken.values()) and "nouuid" not in options:
            raise MountError(bad)  # XFS refuses the second filesystem of one UUID
        return disk

    def _target_of(self, source: str, mounts: dict[str, dict[str, str]]) -> str | None:
        disk = self.find(source)
        return next((t for t, row in mounts.items() if disk and row["volume"] == disk.volume), None)

    def _why_not(self, name: str) -> str:
        known = os.path.lexists(paths.mount_point(self.host, name)) or self.find(name) is not None
        return "not mounted." if known else "no mount point specified."

    def _drop(self, target: str, mounts: dict[str, dict[str, str]]) -> None:
        mounts.pop(target)
        self._link(target, os.path.join(self.root_content(), target.strip("/")))
        paths.write_json(paths.mounts_file(self.host), mounts)

    def _link(self, target: str, to: str) -> None:
        os.makedirs(to, exist_ok=True)
        place = paths.mount_point(self.host, target)
        if os.path.lexists(place + ".new"):
            os.unlink(place + ".new")  # left by a command that was killed here
        os.symlink(to, place + ".new")
        os.replace(place + ".new", place)


class FileLock:
    """Held by one process of the machine at a time, and released when that process ends."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _as_reported(asked: list[str]) -> str:
    """The options as the kernel shows them: with the defaults, each once."""
    first = ["ro" if "ro" in asked else "rw", "noatime" if "noatime" in asked else "relatime"]
    silent = ("rw", "ro", "relatime", "noatime", "defaults", "nofail")
    rest = [o for o in dict.fromkeys(asked) if o not in silent and not o.startswith(("X-", "x-"))]
    return ",".join(first + rest)


def normal_path(target: str) -> str:
    return "/" + os.path.normpath(target).strip("/")


def _not_found(source: str, target: str) -> MountError:
    if "=" in source:
        return MountError(f"mount: {target}: can't find {source}.", USAGE)
    return MountError(f"mount: {target}: special device {source} does not exist.")
