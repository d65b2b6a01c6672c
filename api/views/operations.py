"""Operations: what is asked, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

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


class HookRunView(View):
    """`exit_code` -1: killed at its timeout. `output`: its end."""

    name: str = ""
    exit_code: int = 0
    ms: int = 0
    output: str = ""


class StepView(View):
    """`ok` None: the step is running."""

    name: str
    started_at: datetime
    ended_at: datetime | None
    ms: int | None
    ok: bool | None
    calls: list[str]
    hooks: list[HookRunView]
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


class ReceiptStepView(View):
    name: str = ""
    started_at: datetime | None = None
    ms: int = 0
    calls: list[str] = Field(default_factory=list)
    hooks: list[HookRunView] = Field(default_factory=list)
    note: str = ""


class AttributeChangeView(View):
    """One attribute before and after, and why it may differ; no reason: unexplained."""

    attribute: str = ""
    before: str = ""
    after: str = ""
    reason: str = ""


class ReceiptView(View):
    """The measured record (domain.operations.Receipt); a field that it lacks was not known when it was written.

    `control_outage_ms`: from the fence to healthy service. `tried_pools`: what was asked before, with why not.
    """

    operation_id: str = ""
    kind: str = ""
    outcome: str = ""
    handoff: str = ""
    from_pool: str = ""
    to_pool: str = ""
    reason: str = ""
    requested_at: datetime | None = None
    finished_at: datetime | None = None
    control_outage_ms: int | None = None
    steps: list[ReceiptStepView] = Field(default_factory=list)
    changes: list[AttributeChangeView] = Field(default_factory=list)
    unexplained_changes: int = 0
    calls: int = 0
    hourly_before: float = 0.0
    hourly_after: float = 0.0
    tried_pools: list[str] = Field(default_factory=list)


class OperationView(OperationSummary):
    """With its steps as they happen and, when it is over, its receipt.

    `server_name`: of its server. `cancellable`: it may still be undone. `temporal_url`: its workflow in Temporal's
    own page, if the API was told where that is.
    """

    server_name: str = ""
    steps: list[StepView] = Field(default_factory=list)
    receipt: ReceiptView | None = None
    cancellable: bool = False
    workflow_run_id: str = ""
    temporal_url: str | None = None


class OperationPage(View):
    items: list[OperationSummary]
    next_cursor: str | None = None


def links(operation_id: str, server_id: str) -> Links:
    place = f"/api/operations/{operation_id}"
    return Links(self=place, stream=f"{place}/stream", server=f"/api/servers/{server_id}")
