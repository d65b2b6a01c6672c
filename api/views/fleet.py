"""The fleet's screen: a server in one row."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.views.base import View
from domain.autopilot.policy import AutoSwitch
from domain.operations import OperationKind, OperationStatus

FleetState = Literal["running", "launching", "promoting", "terminating", "failed", "ended", "none"]


class RiskView(View):
    """How often one would lose an instance there, as the latest decision has it; the reason in words."""

    losses_per_hour: float | None
    losses_per_month: float | None = Field(description="Of 730 hours")
    reason: str


class FleetReplica(View):
    instance_id: str
    pool: str
    state: str
    usd_per_hour: float | None
    agent_online: bool


class FleetLastOperation(View):
    id: str
    kind: OperationKind
    status: OperationStatus
    reason: str
    requested_at: datetime
    finished_at: datetime | None


class FleetRunning(View):
    """The operation in progress and its step; `step` None: between two."""

    id: str
    kind: OperationKind
    status: OperationStatus
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    asked_pool: str
    step: str | None
    step_started_at: datetime | None


class FleetDecision(View):
    """The autopilot's latest word; `state` proposed waits for approval."""

    id: str
    kind: str
    reason: str
    held_by: str
    state: str
    to_pool: str
    at: datetime


class FleetAutopilot(View):
    mode: AutoSwitch
    frozen: bool


class FleetServer(View):
    """`state`: what goes on with its instances, `since` when. Its pool, type and price are its primary's.

    `usd_per_hour`: what its pool costs now; `on_demand_usd_per_hour`: what its own type would. `attention`: why a
    person has to look; null: nobody has to.
    """

    id: str
    client_id: str
    name: str
    region: str
    handoff: str
    state: FleetState
    since: datetime | None
    instance_id: str
    pool: str
    zone: str
    instance_type: str
    lifecycle: str
    usd_per_hour: float | None
    on_demand_usd_per_hour: float | None
    agent_online: bool
    agent_seen_at: datetime | None
    risk: RiskView | None
    replica: FleetReplica | None
    running: FleetRunning | None
    queued: int
    last_operation: FleetLastOperation | None
    attention: str | None
    autopilot: FleetAutopilot
    decision: FleetDecision | None
    created_at: datetime


class FleetPage(View):
    """`as_of`: the client's latest event before this was read: begin the stream there. `at`: the server's clock."""

    items: list[FleetServer]
    next_cursor: str | None
    as_of: int | None
    at: datetime
