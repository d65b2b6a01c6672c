"""blkid: the filesystems on the plugged volumes, by device, UUID or label. Status 2: none found."""

from __future__ import annotations

from lab.hosts.disks import Disk
from lab.hosts.shims.command import disks, option, say, split

WITH_VALUE = ("-U", "--uuid", "-L", "--label", "-o", "--output", "-s", "--match-tag", "-t", "--match-token", "-c")


def main(args: list[str]) -> int:
    options, operands = split(args, WITH_VALUE)
    uuid, label = option(options, "-U", "--uuid"), option(options, "-L", "--label")
    form = "device" if uuid or label else option(options, "-o", "--output") or "full"
    found = [disk for disk in disks().plugged() if not operands or disk.device in operands]
    token = f"UUID={uuid}" if uuid else f"LABEL={label}" if label else option(options, "-t", "--match-token")
    if token:
        found = [disk for disk in found if token.replace('"', "") in (*disk.names(), f"TYPE={disk.fstype}")]
        found = found[:1] if uuid or label else found
    wanted = option(options, "-s", "--match-tag")
    for disk in found:
        _show(disk, form, {wanted} if wanted else None)
    return 0 if found else 2


def _show(disk: Disk, form: str, wanted: set[str] | None) -> None:
    tags = {"LABEL": disk.label, "UUID": disk.uuid, "BLOCK_SIZE": "512", "TYPE": disk.fstype}
    shown = {tag: value for tag, value in tags.items() if value and (wanted is None or tag in wanted)}
    if form == "device":
        say(disk.device)
    elif form == "value":
        for value in shown.values():
            say(value)
    elif form == "export":
        say("\n".join([f"DEVNAME={disk.device}", *(f"{tag}={value}" for tag, value in shown.items())]) + "\n")
    else:
        say(f"{disk.device}: " + " ".join(f'{tag}="{value}"' for tag, value in shown.items()))
