"""mount [-t type] [-o options] UUID=...|device directory; without operands, list."""

from __future__ import annotations

from lab.hosts.disks import MountError
from lab.hosts.shims.command import complain, disks, option, say, split

WITH_VALUE = ("-t", "--types", "-o", "--options", "-U", "--uuid", "-L", "--label", "--source", "--target")


def main(args: list[str]) -> int:
    options, operands = split(args, WITH_VALUE)
    uuid, label = option(options, "-U", "--uuid"), option(options, "-L", "--label")
    source = f"UUID={uuid}" if uuid else f"LABEL={label}" if label else option(options, "--source")
    target = option(options, "--target")
    places = ([source] if source else []) + operands + ([target] if target else [])
    if not places:
        return _list()
    if len(places) != 2:
        complain(f"mount: {places[0]}: can't find in /etc/fstab.")
        return 1
    wanted = [word for word in (option(options, "-o", "--options") or "").split(",") if word]
    wanted += ["X-mount.mkdir"] if option(options, "-m", "--mkdir") is not None else []
    wanted += ["ro"] if option(options, "-r", "--read-only") is not None else []
    try:
        disks().mount(places[0], places[1], option(options, "-t", "--types") or "", wanted)
    except MountError as error:
        complain(str(error))
        return error.status
    return 0


def _list() -> int:
    for target, row in disks().mounts().items():
        say(f"{row['device']} on {target} type {row['fstype']} ({row['options']})")
    return 0
