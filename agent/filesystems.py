"""The data filesystems of this host: found, unmounted and mounted by the system's own commands.

A filesystem is known by its UUID, since its device has another name on each host. Nothing here ever makes a
filesystem: a missing one is waited for, and at the deadline it is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from agent.commands import CommandResult, run
from agent.deadline import Deadline, HostError
from domain.host import Filesystem

FINDMNT = ("findmnt", "-J", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS,UUID", "--real")
FINDMNT_S = 10.0
PAUSE_S = 0.05
# What may be passed to mount again. The kernel reports more (seclabel, stripe=, attr2) than mount takes.
_SAFE = "ro,rw,noatime,nodiratime,relatime,strictatime,lazytime,nofail,discard,nodev,nosuid,noexec,sync,dirsync"
OPTIONS = frozenset(_SAFE.split(","))
_PARTITION = re.compile(r"(?<=\d)p\d+$|(?<=[a-z])\d+$")  # nvme0n1p1, xvda1
_SYSTEM = ("/", "/boot", "/efi", "[SWAP]")
_NOT_DATA = frozenset({"swap", "tmpfs", "overlay", "squashfs", "iso9660"})


def mounted(deadline: Deadline) -> list[Filesystem]:
    """Every real filesystem that is mounted now, also those of the system itself."""
    outcome = run(FINDMNT, deadline.within(FINDMNT_S), {"LC_ALL": "C"}, limit=1_000_000)
    if outcome.exit_code == 1 and not outcome.output.strip():
        return []  # findmnt(8): nothing found
    try:
        rows = json.loads(outcome.output)["filesystems"] if outcome.ok else None
    except (ValueError, KeyError, TypeError):
        rows = None
    if not isinstance(rows, list):
        raise HostError(f"cannot list the mounted filesystems: {_said(outcome)}")
    return _flat(rows)


def data_filesystems(deadline: Deadline) -> list[Filesystem]:
    """Those that live on data volumes: on a block device, and not on the root volume."""
    every = mounted(deadline)
    root = next((_disk(fs.device) for fs in every if fs.target == "/"), "")
    return [_identified(fs, deadline) for fs in every if _is_data(fs) and _disk(fs.device) != root]


def unmount(filesystems: list[Filesystem], deadline: Deadline) -> None:
    """Unmount each of them, wherever it is mounted. Tries again while one is busy, until the deadline.

    Raises HostError. One that is not mounted is done already. Another filesystem on the same target is left alone.
    """
    while True:
        remaining = [fs for fs in mounted(deadline) if any(_is_same(fs, asked) for asked in filesystems)]
        if not remaining:
            return
        for fs in sorted(remaining, key=lambda fs: -len(fs.target)):  # nested ones first
            _unmount(fs.target, deadline)


def mount(filesystem: Filesystem, now: list[Filesystem], deadline: Deadline) -> None:
    """Mount by UUID, once its device is there. `now`: what is mounted. One that is in place is done already."""
    target = filesystem.target
    if any(fs.uuid == filesystem.uuid and fs.target == target for fs in now):
        return
    other = next((fs for fs in now if fs.target == target), None)
    if other is not None:
        raise HostError(f"{target} already carries {other.device} (UUID {other.uuid}): unmount it first")
    options = [option for option in filesystem.options.split(",") if option in OPTIONS]
    # X-mount.mkdir: mount(8) makes the mount point where it is missing.
    argv = ["mount", "-o", ",".join([*options, "X-mount.mkdir"]), f"UUID={filesystem.uuid}", target]
    while not (outcome := run(argv, deadline, {"LC_ALL": "C"})).ok:
        if not _device_missing(outcome) or deadline.left <= PAUSE_S:
            raise HostError(f"cannot mount UUID={filesystem.uuid} at {target}: {_said(outcome)}")
        deadline.pause(PAUSE_S)


def _unmount(target: str, deadline: Deadline) -> None:
    while True:
        outcome = run(["umount", target], deadline, {"LC_ALL": "C"})
        if outcome.ok or "not mounted" in outcome.output:
            return
        if "busy" not in outcome.output or deadline.left <= PAUSE_S:
            raise HostError(f"cannot unmount {target}: {_said(outcome)}")
        deadline.pause(PAUSE_S)


def _device_missing(outcome: CommandResult) -> bool:
    """The volume is still being attached: mount(8) does not know the UUID yet."""
    said = outcome.output
    return "can't find" in said or ("special device" in said and "does not exist" in said)


def _is_same(found: Filesystem, asked: Filesystem) -> bool:
    if found.uuid and asked.uuid:
        return found.uuid == asked.uuid
    return found.target == asked.target


def _is_data(fs: Filesystem) -> bool:
    system = fs.target in _SYSTEM or fs.target.startswith(("/boot/", "/efi/"))
    on_a_volume = fs.device.startswith("/dev/") and not fs.device.startswith("/dev/loop")
    bind_mount = fs.device.endswith("]")  # part of a filesystem that is mounted as a whole elsewhere
    return on_a_volume and not (system or bind_mount or fs.fstype in _NOT_DATA)


def _disk(device: str) -> str:
    return _PARTITION.sub("", device.partition("[")[0])


def _identified(fs: Filesystem, deadline: Deadline) -> Filesystem:
    """findmnt knows the UUID from udev, which not every image has; blkid reads the device itself."""
    if fs.uuid:
        return fs
    outcome = run(["blkid", "-s", "UUID", "-o", "value", fs.device], deadline.within(FINDMNT_S))
    if not outcome.ok or not outcome.output.strip():
        raise HostError(f"{fs.device} at {fs.target} has no filesystem UUID to find it by: {_said(outcome)}")
    return replace(fs, uuid=outcome.output.strip())


def _flat(rows: list[dict[str, object]]) -> list[Filesystem]:
    found = []
    for row in rows:
        texts = {key: str(row.get(key) or "") for key in ("uuid", "target", "fstype", "options", "source")}
        found.append(Filesystem(*texts.values()))
        children = row.get("children")
        found += _flat(children) if isinstance(children, list) else []
    return found


def _said(outcome: CommandResult) -> str:
    return outcome.output.strip()[-500:] or f"exit code {outcome.exit_code}"
