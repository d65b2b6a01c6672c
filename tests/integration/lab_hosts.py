"""The lab's hosts with real processes, directories and sockets, as their tests use them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lab.contracts import BootSpec, LabSettings
from lab.hosts.process_hosts import ProcessHosts
from proof.harness import waiting

NETWORK = f"127.61.{os.getpid() % 200 + 1}"
VOLUME_IMAGE = json.dumps({"workload": "volume", "mount": "/data"})
PATIENCE_S = 90.0


class SomeCloud:
    """Has one tag for every instance."""

    def instance_facts(self, instance_id: str) -> Mapping[str, object]:
        options = {"InstanceMetadataTags": "enabled"}
        return {"tags": {"Name": f"name-of-{instance_id}"}, "metadataOptions": options}


class Lab:
    """The lab's hosts, and what the tests do with them."""

    def __init__(self, state_dir: Path, service_port: int, imds_port: int) -> None:
        self.settings = LabSettings(state_dir, 0, imds_port, service_port, network="127.61")
        self.room = ProcessHosts(self.settings, SomeCloud())

    def boot(self, instance: str, ip: str, user_data: str = "") -> None:
        self.room.boot(
            BootSpec(instance, ip, "us-east-1", "us-east-1a", "m6i.large", "ami-1", "123456789012", user_data)
        )

    def run(self, instance: str, *command: str) -> subprocess.CompletedProcess[str]:
        folder = "hooks" if command[0] in ("start", "stop", "health", "warm-up") else "bin"
        path = self.settings.state_dir / "hosts" / instance / folder / command[0]
        return subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=PATIENCE_S, env={})

    def get(self, ip: str, path: str = "/") -> dict[str, Any]:
        return fetch(f"http://{ip}:{self.settings.service_port}{path}")

    def write(self, ip: str, n: int, client: str = "c") -> dict[str, Any]:
        body = json.dumps({"client": client, "n": n}).encode()
        return fetch(f"http://{ip}:{self.settings.service_port}/write", body)

    def serves(self, ip: str, instance: str) -> bool:
        with suppress(OSError):
            return bool(self.get(ip)["instance"] == instance)
        return False

    def uuid(self, volume: str) -> str:
        meta = json.loads((self.settings.state_dir / "volumes" / volume / "meta.json").read_text())
        return str(meta["uuid"])


def fetch(url: str, body: bytes | None = None) -> dict[str, Any]:
    with urllib.request.urlopen(url, data=body, timeout=30) as answer:
        found = json.loads(answer.read())
        assert isinstance(found, dict)
        return found


def until(condition: Callable[[], object], what: str) -> None:
    waiting.until(what, PATIENCE_S, lambda: True if condition() else None, every_s=0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, free_port(), free_port())
    yield made
    made.room.close()


def volume_server(lab: Lab, instance: str, ip: str, volume: str) -> None:
    lab.room.create_volume(volume, None)
    lab.room.plug(volume, instance, "/dev/sdf")
    lab.boot(instance, ip, VOLUME_IMAGE)
    until(lambda: lab.serves(ip, instance), f"{instance} serves")
