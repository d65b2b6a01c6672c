"""How a host's commands talk to its init: one line of JSON each way, over an abstract socket."""

from __future__ import annotations

import hashlib
import json
import socket

TIMEOUT_S = 90.0


def address(host: str) -> str:
    """The socket's name, one for each host. A path would be too long for a socket."""
    return "\0lab-host-" + hashlib.sha256(host.encode()).hexdigest()[:32]


def ask(host: str, verb: str, unit: str) -> dict[str, object]:
    """verb: start, stop, restart, status. Returns {"state": ..., "pid": ..., "error": ...}."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(address(host))
            connection.sendall(json.dumps({"verb": verb, "unit": unit}).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline() or b"{}")
        except OSError as error:
            return {"error": f"Failed to connect to bus: {error}"}
    return answer if isinstance(answer, dict) else {}
