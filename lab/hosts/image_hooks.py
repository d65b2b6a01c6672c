"""The hooks of the lab's image. They do what a user's hooks would, and fail when a fault is set."""

from __future__ import annotations

import os
import sys
import time

from lab.hosts import init_socket, paths, processes
from lab.hosts.disks import FileLock
from lab.hosts.image import HostImage

HEALTH_TIMEOUT_S = 2.0


def main(hook: str) -> int:
    host = os.environ[processes.HOST_VARIABLE]
    image = HostImage(host)
    fault = find_fault(hook, host, image)
    if fault is None:
        return _work(hook, host, image)
    late = bool(fault.get("after"))
    status = _work(hook, host, image) if late else 0
    time.sleep(float(str(fault.get("sleep_s", 0))))
    if fault.get("fail", True):
        return _say(f"{hook}: failing as the lab was told", 1)
    return status if late else _work(hook, host, image)


def _work(hook: str, host: str, image: HostImage) -> int:
    if hook in ("start", "stop"):
        return _service(host, hook)
    return _health(image) if hook == "health" else _say(f"{hook}: nothing to do", 0)


def find_fault(hook: str, host: str, image: HostImage) -> dict[str, object] | None:
    """The fault that applies: from a file on the host, its user data, or the lab's settings."""
    if os.path.exists(os.path.join(host, "etc", f"fail-{hook}")):
        return {}
    own = image.asked.get("fail")
    if isinstance(own, dict) and own.get(hook):
        return own[hook] if isinstance(own[hook], dict) else {}
    return _lab_fault(hook, paths.state_of(host), image.spec)


def _lab_fault(hook: str, state_dir: str, spec: dict[str, object]) -> dict[str, object] | None:
    path = paths.faults_file(state_dir)
    if not os.path.exists(path):
        return None
    with FileLock(path + ".lock"):
        faults = paths.read_json(path)
        rule = faults.get(hook)
        if not rule or (isinstance(rule, dict) and not _applies(rule, spec)):
            return None
        if not isinstance(rule, dict):
            return {}
        if "next" in rule:
            faults[hook] = rule | {"next": int(rule["next"]) - 1, "last": spec.get("instance_id")}
            paths.write_json(path, faults)
        return rule


def _applies(rule: dict[str, object], spec: dict[str, object]) -> bool:
    filters = {"instance_types": "instance_type", "instances": "instance_id", "zones": "zone"}
    left = rule.get("next", 1)
    named = ((rule.get(key), spec.get(field)) for key, field in filters.items())
    return int(str(left)) > 0 and all(not isinstance(few, list) or own in few for few, own in named)


def _service(host: str, verb: str) -> int:
    answer = init_socket.ask(host, verb, "workload")
    done = answer.get("state") == ("active" if verb == "start" else "inactive")
    return _say(f"{verb}: workload is {answer.get('error') or answer.get('state')}", 0 if done else 1)


def _health(image: HostImage) -> int:
    import socket

    address = (str(image.spec["private_ip"]), int(str(image.spec["service_port"])))
    try:
        with socket.create_connection(address, timeout=HEALTH_TIMEOUT_S) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            line = connection.makefile("rb").readline().decode("latin-1").strip()
    except OSError as error:
        return _say(f"health: {error}", 1)
    return _say(f"health: {line}", 0 if " 200 " in line + " " else 1)


def _say(text: str, status: int) -> int:
    sys.stdout.write(text + "\n")
    return status
