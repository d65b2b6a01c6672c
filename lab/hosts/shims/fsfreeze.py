"""fsfreeze -f|-u directory. In the lab it only syncs; writers go on."""

from __future__ import annotations

from lab.hosts import paths
from lab.hosts.disks import normal_path
from lab.hosts.shims.command import complain, disks, host, option, split
from lab.hosts.shims.sync import sync_tree


def main(args: list[str]) -> int:
    options, operands = split(args, ())
    freeze = option(options, "-f", "--freeze") is not None
    if len(operands) != 1 or not (freeze or option(options, "-u", "--unfreeze") is not None):
        complain("fsfreeze: neither --freeze or --unfreeze specified")
        return 1
    target = normal_path(operands[0])
    if target not in (*disks().mounts(), "/"):
        complain(f"fsfreeze: {target}: not a mountpoint")
        return 1
    if freeze:
        sync_tree(disks().root_content() if target == "/" else paths.mount_point(host(), target))
    return 0
