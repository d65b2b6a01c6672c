"""Decisions of the autopilot: what, why, on which figures, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.views.base import Request, View
from domain.autopilot.verdict import DecisionState


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


class DecisionView(DecisionSummary):
    """`figures`: USD and hours; with `plan`, what would be done, while it waits for approval."""

    figures: dict[str, Any]


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
    figures: dict[str, Any]
