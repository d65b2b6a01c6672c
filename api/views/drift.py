"""Differences between EC2 and the records: what, why it matters, what will happen, what to do."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from api.views.base import View
from db.tables import DriftRow
from domain.reconciliation.drift import DriftState
from domain.reconciliation.explanations import explain_drift


class DriftView(View):
    """`due_at`: when it is acted on, if it is still there then; null: only a person does. `times`: looks that found
    it."""

    id: str
    client_id: str
    server_id: str
    region: str
    kind: str
    resource_type: str
    resource_id: str
    action: str
    reason: str
    state: DriftState
    outcome: str
    first_seen_at: datetime
    last_seen_at: datetime
    times: int
    due_at: datetime | None
    settled_at: datetime | None
    details: dict[str, Any]
    what: str
    matters: str
    then: str
    todo: str

    @classmethod
    def of(cls, row: DriftRow) -> DriftView:
        due = row.due_at.isoformat(timespec="seconds") if row.due_at else ""
        words = explain_drift(row.kind, row.action, row.reason, row.resource_type, due)
        plain: dict[str, Any] = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate({**plain, **asdict(words)})


class DriftPage(View):
    items: list[DriftView]
    next_cursor: str | None = None


class CheckView(View):
    """One look at EC2. `found`: new differences; `left`: what was due and could not be done, and why; `problems`: what
    could not be looked at."""

    resources: int
    found: int
    open: int
    resolved: int
    done: int
    left: dict[str, str]
    problems: list[str]
