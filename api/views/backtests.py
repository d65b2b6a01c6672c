"""Backtests as they are asked for and shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from api.views.autopilot import AutopilotChange
from api.views.base import Request, View
from domain.backtest.contract import LEAST_DAYS, MOST_DAYS, MOST_SERVERS, BacktestState

Days = Annotated[float, Field(ge=LEAST_DAYS, le=MOST_DAYS, allow_inf_nan=False)]


class BacktestRequest(Request):
    """The last `days`, or from `since` to `until`. `servers`: IDs or names; none: all active ones.

    `policy`: over each server's own, for this question alone. `model_id`: a model whose decisions are replayed beside.
    """

    servers: Annotated[list[Annotated[str, Field(max_length=191)]], Field(max_length=MOST_SERVERS)] = Field(
        default_factory=list
    )
    days: Days | None = None
    since: datetime | None = None
    until: datetime | None = None
    policy: AutopilotChange = Field(default_factory=AutopilotChange)
    model_id: Annotated[str, Field(max_length=64)] = ""

    @model_validator(mode="after")
    def _one_period(self) -> Self:
        if (self.days is None) == (self.since is None):
            raise ValueError("give either days, or since (and until)")
        if self.until is not None and self.since is None:
            raise ValueError("until needs since; days always end now")
        if any(at is not None and at.tzinfo is None for at in (self.since, self.until)):
            raise ValueError("since and until need their offset from UTC, such as 2026-10-01T00:00:00Z")
        return self

    def period(self, now: datetime) -> tuple[datetime, datetime]:
        """Raise ValueError, saying what to ask for instead, for one that cannot be."""
        until = min(self.until or now, now).astimezone(UTC)
        since = self.since.astimezone(UTC) if self.since else until - timedelta(days=self.days or 0.0)
        days = (until - since).total_seconds() / 86_400
        if days <= 0:
            raise ValueError("the period is empty, or lies in the future")
        if not LEAST_DAYS <= days <= MOST_DAYS:
            raise ValueError(f"the period has {days:.2f} days; {LEAST_DAYS:g} to {MOST_DAYS:g} can be replayed at once")
        return since, until


class BacktestSummary(View):
    id: str
    client_id: str
    state: BacktestState
    server_ids: list[str]
    from_at: datetime
    until_at: datetime
    asked: dict[str, Any]
    model_id: str
    requested_at: datetime
    requested_by: str
    started_at: datetime | None
    finished_at: datetime | None
    problem: str


class OutcomeView(View):
    """`cost_usd`: money, and what the outage cost the owner. Of the outage, `move_outage_minutes` was of planned moves,
    the rest of interruptions; of the money, `snapshot_usd` went for snapshots. Both are 0 in results from before they
    were billed."""

    policy: str
    money_usd: float
    moves: int
    interruptions: int
    outage_minutes: float
    cost_usd: float
    move_outage_minutes: float = 0.0
    snapshot_usd: float = 0.0


class ServerOutcomeView(View):
    server_id: str
    name: str
    start_pool: str
    outcomes: list[OutcomeView]


class BacktestResult(View):
    """`policies`: all servers together. `skipped`: servers that could not be replayed, and why. `left_out`: by server,
    what is not in its figures, and why."""

    days: float
    decided_every_minutes: float
    policies: list[OutcomeView]
    servers: list[ServerOutcomeView]
    skipped: dict[str, str]
    left_out: dict[str, str] = Field(default_factory=dict)


class BacktestView(BacktestSummary):
    result: BacktestResult | None


class BacktestPage(View):
    items: list[BacktestSummary]
    next_cursor: str | None = None
