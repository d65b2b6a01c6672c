"""lsblk: the plugged volumes. SERIAL is the volume's ID without its dash, as on EC2."""

from __future__ import annotations

import json

from lab.hosts.shims.command import disks, option, say, split

DEFAULT = "NAME,SIZE,TYPE,MOUNTPOINTS"
Row = dict[str, "str | list[str | None] | None"]


def main(args: list[str]) -> int:
    options, operands = split(args, ("-o", "--output", "-I", "--include", "-e", "--exclude", "-x", "--sort"))
    columns = [name.strip().lower() for name in (option(options, "-o", "--output") or DEFAULT).split(",")]
    rows = [row for row in _table() if not operands or row["path"] in operands]
    if not rows:
        return 32
    if option(options, "-J", "--json") is not None:
        say(json.dumps({"blockdevices": [{name: row.get(name) for name in columns} for row in rows]}, indent=3))
        return 0
    if option(options, "-n", "--noheadings") is None:
        say(" ".join(name.upper() for name in columns))
    for row in rows:
        say(" ".join(_cell(row.get(name)) for name in columns).rstrip())
    return 0


def _table() -> list[Row]:
    host_disks = disks()
    at: dict[str, str] = {row["volume"]: target for target, row in host_disks.mounts().items()}
    rows: list[Row] = []
    for disk in host_disks.plugged():
        point = "/" if disk.is_root else at.get(disk.volume)
        row: Row = {"name": disk.device.removeprefix("/dev/"), "path": disk.device, "kname": None, "size": None}
        row |= {"type": "disk", "uuid": disk.uuid, "fstype": disk.fstype, "label": disk.label or None}
        row |= {"serial": disk.volume.replace("-", ""), "mountpoint": point, "mountpoints": [point]}
        rows.append(row)
    return rows


def _cell(value: str | list[str | None] | None) -> str:
    return (value[0] or "") if isinstance(value, list) else value or ""
