"""Packages of the distribution, installed without letting them start their services."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLICY = Path("/usr/sbin/policy-rc.d")


class CannotInstall(Exception):
    """Why not, to follow "and"."""


def install(package: str, for_what: str) -> None:
    """Raises CannotInstall where this user may not, where there is no apt-get, or when it fails."""
    root = _root_prefix()
    if root is None or shutil.which("apt-get") is None:
        raise CannotInstall("this user cannot install one")
    print(f"{for_what}: installing {package} with apt-get", flush=True)
    with _no_service_starts(root):
        _apt(root, "update")
        _apt(root, "install", "-y", "--no-install-recommends", package)


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
    command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    command += ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
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
