"""Decisions of the autopilot: what, why, on which figures, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from api.views.base import Request, View
from domain.autopilot.policy_gates import DecisionState


class DecisionSummary(View):
    """`held_by`: which part of the policy keeps it from being acted on; empty: none. `times`: found so often.
    `informed_by`: the model whose forecasts are in it; with `:fell_back` that had none; empty: built in."""

    id: str
    client_id: str
    server_id: str
    kind: str
    reason: str
    held_by: str
    from_pool: str
    to_pool: str
    informed_by: str
    state: DecisionState
    priority: int
    at: datetime
    last_at: datetime
    times: int
    operation_id: str | None
    settled_at: datetime | None
    settled_by: str
    why: str


class _StoredFigures(View):
    """A part of what is kept with a decision: what it lacks was not known, or not kept yet, when it was made."""

    model_config = ConfigDict(from_attributes=True, extra="allow")


class PoolFigures(_StoredFigures):
    """One pool as the decision saw it: USD and hours. `cost_usd_per_h`: with its risk. `blocked`: why it is none."""

    pool: str
    usd_per_h: float | None = None
    losses_per_h: float | None = None
    risk_usd_per_h: float | None = None
    cost_usd_per_h: float | None = None
    up_h: float | None = None
    up: bool | None = None
    blocked: str | None = None
    own_history: bool | None = None
    losses: float | None = None
    availability: float | None = None
    tightness: float | None = None
    advisor_band: int | None = None
    placement_score: int | None = None
    score_fallen: bool | None = None
    rebalance_h_ago: float | None = None


class ModelFigures(_StoredFigures):
    """Whose forecasts are in the figures, or why they are not."""

    id: str
    used: bool = False
    fell_back: str | None = None


class DecisionFigures(_StoredFigures):
    """What was decided on. `here`: the pool it is in; `plan`: what would be done, while it waits for approval.

    `move_usd` is overlap, snapshots and outage of the move; `left_out`: what is not in it, and why.
    """

    cost_now_usd_per_h: float | None = None
    cost_then_usd_per_h: float | None = None
    gain_usd_per_h: float | None = None
    move_usd: float | None = None
    move_overlap_usd: float | None = None
    move_snapshot_usd: float | None = None
    move_outage_usd: float | None = None
    payback_h: float | None = None
    on_demand_usd_per_h: float | None = None
    outage_usd_per_h: float | None = None
    loss_usd: float | None = None
    left_out: str | None = None
    since_h: float | None = None
    here: PoolFigures | None = None
    replica: PoolFigures | None = None
    candidates: list[PoolFigures] = Field(default_factory=list)
    model: ModelFigures | None = None
    plan: dict[str, Any] | None = None
    plan_problem: str | None = None


class DecisionView(DecisionSummary):
    """`figures`: USD and hours; with `plan`, what would be done, while it waits for approval."""

    figures: DecisionFigures


class DecisionPage(View):
    items: list[DecisionSummary]
    next_cursor: str | None = None


class Rejection(Request):
    why: Annotated[str, Field(max_length=500)] = ""


class RoundView(View):
    """`counts`: decisions by kind and reason. `skipped`: regions where nothing was decided, and why."""

    servers: int
    counts: dict[str, int]
    asked: int
    proposed: int
    skipped: dict[str, str]


class CandidatesView(View):
    """What would be decided now, and on which figures: as in a decision, `here` and the best other pools.

    Of each pool: price, expected losses per hour and their cost, what both come to, why it is not entered
    (`blocked`), and what went into the risk.
    """

    server_id: str
    at: datetime
    kind: str
    reason: str
    held_by: str
    to_pool: str
    figures: DecisionFigures
