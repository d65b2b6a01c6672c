"""Operations: what is asked, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.views.base import Links, Request, View
from api.views.pools import PoolName
from domain.operations import OperationStatus, Outcome

FINAL_STATUSES = frozenset(outcome.value for outcome in Outcome)


class OperationAsked(Request):
    """`wait` false: refuse with `busy` rather than wait for the operation that runs."""

    wait: bool = True


class SwitchRequest(OperationAsked):
    pool: Annotated[PoolName | None, Field(description="None: the best pool")] = None


class ReplicaRequest(OperationAsked):
    pool: PoolName | None = None


class AcceptedView(View):
    operation_id: str
    server_id: str
    status: OperationStatus
    links: Links


class StepView(View):
    """`ok` None: the step is running."""

    name: str
    started_at: datetime
    ended_at: datetime | None
    ms: int | None
    ok: bool | None
    calls: list[str]
    hooks: list[Any]
    note: str


class OperationSummary(View):
    id: str
    server_id: str
    kind: str
    priority: int
    status: str
    attention: bool
    attention_reason: str
    requested_by: str
    asked_pool: str
    handoff: str
    from_pool: str
    to_pool: str
    outcome: str | None
    reason: str
    workflow_id: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None


class OperationView(OperationSummary):
    """With its steps as they happen and, when it is over, its receipt (domain.operations.Receipt)."""

    steps: list[StepView] = Field(default_factory=list)
    receipt: dict[str, Any] | None = None


class OperationPage(View):
    items: list[OperationSummary]
    next_cursor: str | None = None


def links(operation_id: str, server_id: str) -> Links:
    place = f"/api/operations/{operation_id}"
    return Links(self=place, stream=f"{place}/stream", server=f"/api/servers/{server_id}")
