"""Installs packages of the distribution without starting their services."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_POLICY = Path("/usr/sbin/policy-rc.d")
_LOCKED_S = 300.0  # somebody else's apt is waited for so long


class CannotInstall(Exception):
    """The message completes a sentence that ends in "and"."""


def find_or_install(find: Callable[[], T | None], for_what: str, *packages: str) -> T | None:
    """What `find` returns, at once or after the packages are installed. One process installs at a time.

    Raises CannotInstall where this user may not, where there is no apt-get, or when it fails.
    """
    with _alone():
        found = find()
        if found is not None:
            return found
        root = _root_prefix()
        if root is None or shutil.which("apt-get") is None:
            raise CannotInstall("this user cannot install one")
        print(f"{for_what}: installing {' '.join(packages)} with apt-get", flush=True)
        with _no_service_starts(root):
            _apt(root, "update")
            _apt(root, "install", "-y", "--no-install-recommends", *packages)
        return find()


@contextmanager
def _alone() -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / f"spot-optimizer-apt-{os.getuid()}.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def _apt(root: list[str], *arguments: str) -> None:
    command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "LC_ALL=C"]
    command += ["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={_LOCKED_S:g}", *arguments]
    deadline = time.monotonic() + _LOCKED_S
    while True:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        # The lock of the lists is one that apt-get itself does not wait for.
        if "Could not get lock" not in done.stdout or time.monotonic() > deadline:
            break
        time.sleep(1.0)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise CannotInstall(f"apt-get {' '.join(arguments)} failed:\n{tail}\n")


@contextmanager
def _no_service_starts(root: list[str]) -> Iterator[None]:
    """Packages ask policy-rc.d before they start a service; 101 forbids it. One that exists is left alone."""
    if _POLICY.exists():
        yield
        return
    script = b"#!/bin/sh\nexit 101\n"
    subprocess.run([*root, "tee", str(_POLICY)], input=script, stdout=subprocess.DEVNULL, check=True)
    try:
        subprocess.run([*root, "chmod", "755", str(_POLICY)], check=True)
        yield
    finally:
        subprocess.run([*root, "rm", "-f", str(_POLICY)], check=False)
