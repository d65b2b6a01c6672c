"""umount directory|device. There is no lazy unmount: detaching such a volume would hang on EC2."""

from __future__ import annotations

from lab.hosts.disks import MountError, normal_path
from lab.hosts.shims.command import complain, disks, init_pid, option, split


def main(args: list[str]) -> int:
    options, operands = split(args, ("-t", "--types", "-O", "--test-opts"))
    if option(options, "-l", "--lazy") is not None:
        complain("umount: the lab refuses lazy unmounts: the volume would still be in use.")
        return 1
    if not operands:
        complain("umount: bad usage")
        return 1
    status = 0
    for name in operands:
        plain = name if "=" in name or name.startswith("/dev/") else normal_path(name)
        try:
            disks().umount(plain, init_pid())
        except MountError as error:
            complain(str(error))
            status = error.status
    return status
