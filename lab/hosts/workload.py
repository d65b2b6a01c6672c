"""The workload of a lab host: a small service, made to measure outages and count lost writes.

`POST /write {"client": "a", "n": 1}` is answered with 200 only once the line is on the data
volume. The stateless kind keeps nothing, so it accepts no write (409). SIGTERM: finish what is in
flight, close, exit 0.
"""

from __future__ import annotations

import json
import os
import re
import sys

from lab.hosts import journal
from lab.hosts.http_server import Request, Server
from lab.hosts.write_log import VolumeInUse, WriteLog

DRAIN_S = 5.0
CLIENT_NAME = re.compile(r"[\w.:@/-]{1,128}", re.ASCII)


class Workload:
    """Answers each request."""

    def __init__(self, instance: str, kind: str, log: WriteLog | None) -> None:
        self.instance = instance
        self.kind = kind
        self.log = log

    def answer(self, request: Request) -> tuple[int, object]:
        route = (request.method, request.path)
        if route in (("GET", "/"), ("GET", "/health")):
            writes = self.log.count if self.log else 0
            return 200, {"instance": self.instance, "workload": self.kind, "writes": writes}
        if route == ("POST", "/write"):
            return self._write(request.body)
        if route == ("GET", "/writes"):
            return self._writes(request.query.get("client"))
        return 404, {"error": f"no {request.method} {request.path} here"}

    def _write(self, body: bytes) -> tuple[int, object]:
        if self.log is None:
            return 409, {"error": "a stateless workload keeps nothing"}
        try:
            asked = json.loads(body)
            client, n = str(asked["client"]), int(asked["n"])
        except (ValueError, KeyError, TypeError):
            return 400, {"error": 'expected {"client": str, "n": int}'}
        if not CLIENT_NAME.fullmatch(client):
            return 400, {"error": "a client's name is up to 128 letters, digits and . : @ / _ -"}
        try:
            self.log.write(client, n)
        except OSError as error:
            return 503, {"error": str(error)}
        return 200, {"n": n, "instance": self.instance}

    def _writes(self, client: str | None) -> tuple[int, object]:
        found = self.log.on_disk(client) if self.log else {}
        total = sum(len(numbers) for numbers in found.values())
        if client is not None:
            return 200, {"client": client, "count": total, "numbers": found.get(client, [])}
        return 200, {"count": total, "clients": {name: len(numbers) for name, numbers in found.items()}}


def main() -> int:
    env = os.environ
    instance, kind, volume = env["LAB_INSTANCE"], env["LAB_WORKLOAD"], env.get("LAB_VOLUME", "")
    try:
        log = None if kind == "stateless" else WriteLog(os.path.realpath(env["DATA_DIR"]), instance)
        server = Server(env["SERVICE_ADDRESS"], int(env["SERVICE_PORT"]), Workload(instance, kind, log).answer)
    except (VolumeInUse, OSError) as error:
        sys.stderr.write(f"workload cannot start: {error}\n")
        return 1
    state_dir = env["LAB_STATE_DIR"]
    journal.record(state_dir, "start", instance, os.getpid(), volume, kind)
    os.write(int(env["LAB_READY_FD"]), b"1")
    server.serve(DRAIN_S)
    if log is not None:
        log.close()
    journal.record(state_dir, "stop", instance, os.getpid(), volume, "asked")
    if log is not None:
        log.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
