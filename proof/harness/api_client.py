"""The control plane's API, as scenarios and tests use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from proof.harness.waiting import RequestFailed

FINAL_STATUSES = frozenset({"committed", "rolled_back", "cancelled", "needs_attention"})


@dataclass(frozen=True)
class Step:
    name: str
    started_at: str
    ms: int


@dataclass(frozen=True)
class Operation:
    """An operation with its receipt. Instants are epoch seconds."""

    id: str
    workflow_id: str
    server_id: str
    kind: str
    status: str
    handoff: str
    from_pool: str
    to_pool: str
    reason: str
    requested_at: float
    finished_at: float | None
    steps: Sequence[Step] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def outcome(self) -> str:
        """Empty while the operation runs."""
        return self.status if self.final else ""

    @property
    def tried_pools(self) -> list[str]:
        """Each as `pool: why nothing was launched there`."""
        return [str(one) for one in self.receipt.get("tried_pools") or ()]


class ControlPlaneClient:
    """Raises RequestFailed for every answer that is no success, with the text of its problem document."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def adopt(self, body: Mapping[str, Any], key: str) -> str:
        """Adopt a server; returns its ID."""
        return str(self._call("POST", "/api/servers", body, key)["server_id"])

    def server(self, server_id: str) -> dict[str, Any]:
        return self._call("GET", f"/api/servers/{server_id}")

    def plan(self, server_id: str) -> dict[str, Any]:
        return self._call("POST", f"/api/servers/{server_id}/plan", {})

    def ask(self, server_id: str, what: str, body: Mapping[str, Any], key: str) -> str:
        """Request `switch`, `replica` and so on; returns the operation's ID."""
        return str(self._call("POST", f"/api/servers/{server_id}/{what}", body, key)["operation_id"])

    def change_policy(self, server_id: str, policy: Mapping[str, Any]) -> None:
        self._call("PATCH", f"/api/servers/{server_id}", {"policy": policy})

    def decide_now(self, admin_token: str) -> dict[str, Any]:
        """Let the autopilot go over the fleet once."""
        return self._call("POST", "/api/decisions/rounds", {}, token=admin_token)

    def decisions(self, server_id: str) -> list[dict[str, Any]]:
        """Newest first, with their figures."""
        rows = self._pages("/api/decisions", {"server_id": server_id})
        return [self._call("GET", f"/api/decisions/{row['id']}") for row in rows]

    def operation(self, operation_id: str) -> Operation:
        return as_operation(self._call("GET", f"/api/operations/{operation_id}"))

    def operation_ids(self, server_id: str = "", kind: str = "", status: str = "") -> list[str]:
        """Newest first."""
        given = {"server_id": server_id, "kind": kind, "status": status}
        rows = self._pages("/api/operations", {name: value for name, value in given.items() if value})
        return [str(row["id"]) for row in rows]

    def operations(self) -> list[Operation]:
        """All operations of the client, in the order of their requests."""
        found = [self.operation(operation_id) for operation_id in self.operation_ids()]
        return sorted(found, key=lambda one: one.requested_at)

    def instances(self) -> list[dict[str, Any]]:
        """All instances of the client, also those that have ended."""
        return self._pages("/api/instances", {})

    def latest_event(self) -> int:
        return int(self._call("GET", "/api/events?limit=1")["latest_seq"])

    def _pages(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            given = {**query, "limit": "200", **({"cursor": cursor} if cursor else {})}
            page = self._call("GET", f"{path}?{httpx.QueryParams(given)}")
            rows += page["items"]
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return rows

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str = "", token: str = ""
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise RequestFailed(f"{method} {path}: {type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise RequestFailed(f"{method} {path}: HTTP {answer.status_code} {_problem(answer)}", answer.status_code)
        found: dict[str, Any] = answer.json()
        return found


def as_operation(row: Mapping[str, Any]) -> Operation:
    finished = row.get("finished_at")
    return Operation(
        id=str(row["id"]),
        workflow_id=str(row["workflow_id"]),
        server_id=str(row["server_id"]),
        kind=str(row["kind"]),
        status=str(row["status"]),
        handoff=str(row.get("handoff") or ""),
        from_pool=str(row.get("from_pool") or ""),
        to_pool=str(row.get("to_pool") or ""),
        reason=str(row.get("reason") or ""),
        requested_at=epoch(str(row["requested_at"])),
        finished_at=epoch(str(finished)) if finished else None,
        steps=[Step(str(s["name"]), str(s["started_at"]), int(s["ms"] or 0)) for s in row.get("steps") or ()],
        receipt=row.get("receipt") or {},
    )


def epoch(instant: str) -> float:
    """Seconds of an ISO 8601 instant; raises ValueError for one without a time zone."""
    parsed = datetime.fromisoformat(instant)
    if parsed.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return parsed.timestamp()


def _problem(answer: httpx.Response) -> str:
    """Title, detail and findings of a problem document."""
    try:
        found = answer.json()
        words = [str(found[name]) for name in ("title", "detail") if found.get(name)]
        words += [str(one.get("what")) for one in found.get("findings") or ()]
        return ": ".join(words) or answer.text[:500]
    except (ValueError, AttributeError, TypeError):
        return answer.text[:500]
