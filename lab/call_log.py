"""Every API call that the lab has received, in order."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.faults import flatten

log = logging.getLogger("lab.calls")
KEPT = 100_000
LONGEST = 200
SECRET = ("UserData",)  # content that may hold secrets is not logged


class CallLog:
    """`access_log`: a file that gets a line of JSON for each call once it is answered."""

    def __init__(self, access_log: Path | None = None) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._file = access_log.open("a", buffering=1) if access_log else None

    def arrived(self, service: str, action: str, params: Mapping[str, Any], region: str, agent: str) -> dict[str, Any]:
        """A new entry; `status`, `code` and `ms` are filled in when the call is answered."""
        with self._lock:
            entry: dict[str, Any] = {
                "seq": next(self._numbers),
                "time": datetime.now(UTC).isoformat(),
                "service": service,
                "action": action,
                "params": _selected(params),
                "region": region,
                "user_agent": agent,
                "status": None,
                "code": None,
                "fault": None,
                "ms": None,
            }
            self._entries.append(entry)
        return entry

    def answered(self, entry: dict[str, Any], status: int, code: str | None, ms: float) -> None:
        entry.update(status=status, code=code, ms=round(ms, 2))
        if self._file is not None:
            with self._lock:
                self._file.write(json.dumps(entry) + "\n")
        log.info("%s %s -> %s %s", entry["service"], entry["action"], status, code or "", extra={"call": entry["seq"]})

    def since(self, number: int) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(entry) for entry in self._entries if entry["seq"] > number]


def _selected(params: Mapping[str, Any]) -> dict[str, str]:
    flat = flatten(params)
    return {
        name: f"<{len(value)} characters>" if name.split(".")[0] in SECRET else value[:LONGEST]
        for name, value in flat.items()
    }
