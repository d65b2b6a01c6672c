"""Ports and loopback networks that several stacks on one machine can hold at once.

A port that is free now can be taken a moment later, also by another stack that looks at the same
time. So each choice is leased: a lock on a file named after it, held by an open descriptor until
the stack closes, and given up by the kernel if the process dies.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

# Name of the port -> (environment variable that chooses it, what `make up` takes by default).
# None: any free port.
VARIABLES: Mapping[str, tuple[str, int | None]] = {
    "api": ("SPOT_API_PORT", 8080),
    "temporal": ("TEMPORAL_PORT", 7233),
    "temporal_ui": ("TEMPORAL_UI_PORT", 8233),
    "lab": ("LAB_PORT", 4566),
    "lab_imds": ("LAB_IMDS_PORT", None),
    "lab_service": ("LAB_SERVICE_PORT", None),
    "database": ("DB_PORT", None),
    "temporal_http": ("TEMPORAL_HTTP_PORT", None),
    "metrics": ("SPOT_METRICS_PORT", None),  # of the first worker
    "temporal_metrics": ("SPOT_TEMPORAL_METRICS_PORT", None),
}

# Below the kernel's ephemeral range (32768 and up), so that no outgoing connection holds one.
_FREE_PORTS = range(20_000, 32_000)
# 127.0 belongs to everybody; the rest of the loopback range is free to use.
_NETWORKS = range(20, 250)


class PortsInUse(Exception):
    """Says which ports are taken and how to choose others."""

    def __init__(self, taken: Mapping[str, int]) -> None:
        lines = [f"  {VARIABLES[name][0]}={port} ({name}) is in use" for name, port in taken.items()]
        example = " ".join(f"{VARIABLES[name][0]}={_another(port)}" for name, port in taken.items())
        super().__init__("\n".join(["Ports in use:", *lines, f"Choose others, for example: {example} make up"]))
        self.taken = dict(taken)


class InvalidPort(ValueError):
    pass


class Leases:
    """Ports and networks held until `close`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"spot-optimizer-leases-{os.getuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._held: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()

    def take(self, name: str) -> bool:
        """Lease the name; False when another process, or this one, holds it."""
        descriptor = os.open(self._folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held.append(descriptor)
        return True

    def port(self) -> int:
        """Any free port of the loopback interface."""
        for port in random.sample(_FREE_PORTS, len(_FREE_PORTS)):
            if self.take(f"port-{port}") and is_free(port):
                return port
        raise RuntimeError("no free port between 20000 and 32000 on the loopback interface")

    def network(self) -> str:
        """The first two octets of a loopback network that no other stack uses, e.g. `127.20`."""
        for number in _NETWORKS:
            if self.take(f"network-{number}"):
                return f"127.{number}"
        raise RuntimeError("every loopback network from 127.20 to 127.249 is leased by another stack")


def _another(port: int) -> int:
    return port + 10_000 if port < 50_000 else port - 10_000


def is_free(port: int) -> bool:
    """Nobody listens there on any IPv4 address. (A socket that only lingers in TIME_WAIT is no obstacle.)"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  # bound for a moment, never listened on
        except OSError:
            return False
    return True


def choose(leases: Leases, environment: Mapping[str, str], *, standard: bool) -> dict[str, int]:
    """A port for each name: the one that its variable says, the standard one, or any that is free.

    Raises PortsInUse with all that are taken, not with the first.
    """
    fixed = {name: port for name in VARIABLES if (port := _configured(name, environment, standard)) is not None}
    taken = {name: port for name, port in fixed.items() if not _claim(leases, port)}
    if taken:
        raise PortsInUse(taken)
    return {name: fixed[name] if name in fixed else leases.port() for name in VARIABLES}


def _claim(leases: Leases, port: int) -> bool:
    return leases.take(f"port-{port}") and is_free(port)


def _configured(name: str, environment: Mapping[str, str], standard: bool) -> int | None:
    variable, default = VARIABLES[name]
    text = environment.get(variable, "")
    if not text:
        return default if standard else None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise InvalidPort(f"{variable}={text!r} is not a port: a number from 1 to 65535 is")
    return int(text)


def accepts(port: int, address: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
