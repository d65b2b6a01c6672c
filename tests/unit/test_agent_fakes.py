"""Fakes of what an agent talks to: IMDS, the control plane, the commands of a machine. They are strict."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

INSTANCE = "i-0123456789abcdef0"
CLIENT_TOKEN = "client-token-never-to-be-logged"
INSTANCE_TOKEN = "instance-token-never-to-be-logged"
IDENTITY = {"instanceId": INSTANCE, "region": "us-east-1", "availabilityZone": "us-east-1a"}
TOKEN_PATH = "/latest/api/token"


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for something that another thread or process is about to do."""
    end = monotonic() + within_s
    while not condition():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.005)


@dataclass
class FakeService:
    """HTTP on a free port; `answer` decides. Every request is kept: (method, path, headers, body)."""

    answer: Callable[[str, str, dict[str, str], str], tuple[int, str]]
    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    url: str = ""

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.requests]

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[FakeService]:
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.requests.append((self.command, self.path, headers, body))
                status, text = service.answer(self.command, self.path, headers, body)
                self.send_response(status)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = _any

            def log_message(self, format: str, *args: Any) -> None:
                """No line on standard error for each request."""

        return Handler


class FakeImds(FakeService):
    """IMDSv2: nothing without a session token. `said` maps paths to texts."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        base = "/latest/dynamic/instance-identity/"
        self.said = {base + "document": json.dumps(IDENTITY), base + "signature": "c2lnbmVk"}
        self.tokens: set[str] = set()

    def interrupt(self, deadline: datetime, action: str = "terminate") -> None:
        said = {"action": action, "time": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self.said["/latest/meta-data/spot/instance-action"] = json.dumps(said)

    def recommend_rebalance(self) -> None:
        said = {"noticeTime": "2026-01-02T03:04:05Z"}
        self.said["/latest/meta-data/events/recommendations/rebalance"] = json.dumps(said)

    def _answer(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, str]:
        if path == TOKEN_PATH and method == "PUT" and "x-aws-ec2-metadata-token-ttl-seconds" in headers:
            self.tokens.add(token := f"imds-{len(self.requests)}")
            return 200, token
        if headers.get("x-aws-ec2-metadata-token") not in self.tokens:
            return 401, ""
        return (200, self.said[path]) if path in self.said else (404, "")


class FakeControl(FakeService):
    """The control plane's side. `status` by path overrides the answer; `life_s` is the token's."""

    def __init__(self, temporal_address: str = "127.0.0.1:1") -> None:
        super().__init__(self._answer)
        self.temporal_address = temporal_address
        self.status: dict[str, int] = {}
        self.life_s = 3600.0
        self.heartbeat_s = 0.1  # as a registration says it
        self.next_in_s: float | None = None  # as the answer to a heartbeat says it

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(body) for _, asked, _, body in list(self.requests) if asked == path]

    def _answer(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, str]:
        if path in self.status:
            return self.status[path], '{"type": "about:blank"}'
        token = CLIENT_TOKEN if path.endswith("/register") else INSTANCE_TOKEN
        if headers.get("authorization") != f"Bearer {token}":
            return 401, ""
        said = self._registration() if path.endswith("/register") else {}
        if path.endswith("/heartbeat") and self.next_in_s is not None:
            said["next_in_s"] = self.next_in_s
        return 200, json.dumps(said)

    def _registration(self) -> dict[str, object]:
        return {
            "instance_token": INSTANCE_TOKEN,
            "expires_at": (datetime.now(UTC) + timedelta(seconds=self.life_s)).isoformat(),
            "task_queue": f"instance.{INSTANCE}",
            "temporal_address": self.temporal_address,
            "temporal_namespace": "default",
            "server_id": "srv-1",
            "heartbeat_interval_s": self.heartbeat_s,
        }


COMMANDS = {
    "findmnt": """
printf '{"filesystems": [{"source": "/dev/nvme0n1p1", "target": "/", "fstype": "ext4", "options": "rw", "uuid": "root"'
printf ', "children": [{"source": "/dev/nvme0n1p15", "target": "/boot/efi", "fstype": "vfat", "uuid": "efi"}'
printf ', {"source": "/dev/nvme0n1p2", "target": "/var", "fstype": "ext4", "uuid": "var"}'
for file in "$FAKE"/mounts/*; do
  [ -f "$file" ] || continue
  read -r device uuid target < "$file"
  [ "$uuid" = - ] && uuid=null || uuid="\\"$uuid\\""
  printf ', {"source": "%s", "target": "%s", "fstype": "xfs"' "$device" "$target"
  printf ', "options": "rw,noatime,attr2", "uuid": %s}' "$uuid"
done
printf ']}]}'
""",
    "mount": """
uuid=${3#UUID=}
[ -f "$FAKE/devices/$uuid" ] || { echo "mount: $4: can't find UUID=$uuid." >&2; exit 1; }
printf '%s %s %s\\n' "$(cat "$FAKE/devices/$uuid")" "$uuid" "$4" > "$FAKE/mounts/$uuid"
""",
    "umount": """
[ -f "$FAKE/busy" ] && { echo "umount: $1: target is busy." >&2; exit 32; }
file=$(grep -l " $1\\$" "$FAKE"/mounts/* 2>/dev/null) || { echo "umount: $1: not mounted." >&2; exit 32; }
rm "$file"
""",
    "blkid": """echo by-blkid""",
    "sync": "",
}


class FakeMachine:
    """Commands on PATH that mount files in a folder, and a hooks folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hooks = folder / "hooks"
        self.state = folder / "state"
        for name in ("bin", "devices", "mounts", "hooks"):
            (folder / name).mkdir()
        for name, script in COMMANDS.items():
            self._script(folder / "bin" / name, f'echo "{name} $*" >> "$FAKE/calls"\n{script}')
        self.environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FAKE": str(folder)}

    def hook(self, name: str, script: str) -> Path:
        """The script can use $FAKE; each run leaves its name among the calls."""
        return self._script(self.hooks / name, f'echo "{name} hook" >> "$FAKE/calls"\n{script}')

    def attach(self, uuid: str, device: str = "/dev/nvme1n1") -> None:
        (self.folder / "devices" / uuid).write_text(device)

    def mount(self, uuid: str, target: str, device: str = "/dev/nvme1n1") -> None:
        self.attach(uuid, device)
        (self.folder / "mounts" / uuid).write_text(f"{device} {uuid} {target}\n")

    def busy(self, yes: bool = True) -> None:
        (self.folder / "busy").touch() if yes else (self.folder / "busy").unlink()

    def mounts(self) -> list[str]:
        return sorted(path.read_text().split()[2] for path in (self.folder / "mounts").iterdir())

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @staticmethod
    def _script(path: Path, text: str) -> Path:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path


def test_the_fake_imds_answers_nothing_without_a_session_token() -> None:
    with FakeImds().serving() as imds:
        assert httpx.get(f"{imds.url}/latest/dynamic/instance-identity/document").status_code == 401


def test_the_fake_control_plane_takes_no_other_token() -> None:
    with FakeControl().serving() as control:
        headers = {"authorization": "Bearer wrong"}
        assert httpx.post(f"{control.url}/api/agents/register", headers=headers).status_code == 401
