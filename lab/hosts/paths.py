"""Where things are in the lab's state directory.

This module, and all that a host's commands import, use only the smallest parts of the standard library:
a command such as `mount` has to start within a few dozen milliseconds.

    <state>/hosts/<instance>/   bin/ hooks/ etc/ run/ log/ var/agent/ under/ root/
    <state>/volumes/<volume>/   fs/ meta.json
    <state>/snapshots/<snap>/   fs/ meta.json
    <state>/workload-journal.jsonl   when each workload started and stopped
    <state>/fail.json                which hooks fail
"""

from __future__ import annotations

import json
import os

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def state_of(host_dir: str) -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(host_dir)))


def host_dir(state_dir: str, instance: str) -> str:
    return os.path.join(os.path.abspath(state_dir), "hosts", instance)


def volume_dir(state_dir: str, volume: str) -> str:
    return os.path.join(os.path.abspath(state_dir), "volumes", volume)


def snapshot_dir(state_dir: str, snapshot: str) -> str:
    return os.path.join(os.path.abspath(state_dir), "snapshots", snapshot)


def volume_content(state_dir: str, volume: str) -> str:
    return os.path.join(volume_dir(state_dir, volume), "fs")


def journal_file(state_dir: str) -> str:
    return os.path.join(os.path.abspath(state_dir), "workload-journal.jsonl")


def faults_file(state_dir: str) -> str:
    return os.path.join(os.path.abspath(state_dir), "fail.json")


def spec_file(host: str) -> str:
    return os.path.join(host, "run", "host.json")


def devices_file(host: str) -> str:
    return os.path.join(host, "run", "devices.json")


def commands_pipe(host: str) -> str:
    return os.path.join(host, "run", "commands")


def mounts_file(host: str) -> str:
    return os.path.join(host, "run", "mounts.json")


def pid_file(host: str, unit: str) -> str:
    return os.path.join(host, "run", unit + ".pid")


def log_file(host: str, unit: str) -> str:
    return os.path.join(host, "log", unit + ".log")


def mount_point(host: str, target: str) -> str:
    """The real path of the host's directory `target`."""
    return os.path.join(host, "root", target.strip("/"))


def read_json(path: str) -> dict[str, object]:
    """The object in a file; empty when there is no file."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: str, value: object, mode: int = 0o644) -> None:
    """Replace the file in one step, so that no reader sees half of it."""
    draft = f"{path}.{os.getpid()}.new"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
    os.replace(draft, path)
