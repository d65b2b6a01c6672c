"""A plan: what a switch would do, in order, and what would stop it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field

from api.http.problems import FindingDocument
from api.views.base import Request, View
from api.views.pools import PoolName
from db.autopilot.decisions import PoolForecast
from domain.adoption import Plan
from domain.autopilot.move_cost import payback_h
from domain.pools import Candidate, Pool
from domain.servers import Handoff


class PlanRequest(Request):
    pool: PoolName | None = None


class CandidateView(View):
    """`losses_per_hour`: how often one would lose an instance there, as the latest decision has it; null: not known."""

    pool: str
    subnet_id: str
    usd_per_hour: float
    on_demand_usd_per_hour: float
    reason: str
    placement_score: int | None
    losses_per_hour: float | None = None

    @classmethod
    def of(cls, candidate: Candidate, foreseen: Mapping[str, PoolForecast]) -> CandidateView:
        known = _foreseen(candidate.pool, foreseen)
        return cls(
            pool=str(candidate.pool),
            subnet_id=candidate.subnet_id,
            usd_per_hour=candidate.usd_per_hour,
            on_demand_usd_per_hour=candidate.on_demand_usd_per_hour,
            reason=candidate.reason,
            placement_score=candidate.placement_score,
            losses_per_hour=known.losses_per_h if known else None,
        )


class PlannedStepView(View):
    name: str
    does: str
    calls: list[str]
    expected_s: float
    outage: bool
    point_of_no_return: bool


class MoveView(View):
    """What the move to the first candidate costs, as a decision of the autopilot reckons it; USD.

    `gain_usd_per_h`: by today's prices, and by the risk that the latest decision has of both pools (`with_risk`), where
    it has them; null: a price is not known. `payback_h`: null where it never pays for itself.
    """

    usd: float
    overlap_usd: float
    snapshot_usd: float
    outage_usd: float
    gain_usd_per_h: float | None
    with_risk: bool
    payback_h: float | None

    @classmethod
    def of(cls, plan: Plan, foreseen: Mapping[str, PoolForecast]) -> MoveView | None:
        if plan.move is None or not plan.candidates:
            return None
        gain = plan.hourly_now - plan.hourly_then if plan.hourly_now and plan.hourly_then else None
        less_risk = _less_risk(plan, foreseen)
        if gain is not None and less_risk is not None:
            gain += less_risk
        hours = payback_h(plan.move.usd, gain or 0.0)
        return cls(
            usd=plan.move.usd,
            overlap_usd=plan.move.overlap_usd,
            snapshot_usd=plan.move.snapshot_usd,
            outage_usd=plan.move.outage_usd,
            gain_usd_per_h=gain,
            with_risk=less_risk is not None,
            payback_h=hours if math.isfinite(hours) else None,
        )


class PlanView(View):
    """`executable` false: a finding blocks the switch, or there is no pool to switch to."""

    executable: bool
    handoff: Handoff
    from_pool: str
    candidates: list[CandidateView] = Field(description="In the order they would be tried")
    steps: list[PlannedStepView]
    moves: list[str]
    findings: list[FindingDocument]
    expected_outage_s: float
    hourly_now: float
    hourly_then: float
    reason: str
    move: MoveView | None = Field(description="null: there is no pool to move to")

    @classmethod
    def of(cls, plan: Plan, foreseen: Mapping[str, PoolForecast]) -> PlanView:
        blocked = any(finding.blocking for finding in plan.findings)
        return cls(
            executable=bool(plan.candidates) and not blocked,
            handoff=plan.handoff,
            from_pool=plan.from_pool,
            candidates=[CandidateView.of(candidate, foreseen) for candidate in plan.candidates],
            steps=[PlannedStepView.model_validate(step) for step in plan.steps],
            moves=plan.moves,
            findings=[FindingDocument.model_validate(finding) for finding in plan.findings],
            expected_outage_s=plan.expected_outage_s,
            hourly_now=plan.hourly_now,
            hourly_then=plan.hourly_then,
            reason=plan.reason,
            move=MoveView.of(plan, foreseen),
        )


def _foreseen(pool: Pool, foreseen: Mapping[str, PoolForecast]) -> PoolForecast | None:
    """On-demand capacity is not interrupted."""
    return foreseen.get(str(pool)) if pool.spot else PoolForecast(0.0, 0.0)


def _less_risk(plan: Plan, foreseen: Mapping[str, PoolForecast]) -> float | None:
    """By how much the first candidate's risk is less than that of where it is, USD per hour; None: not known."""
    here, there = (_foreseen(pool, foreseen) for pool in (Pool.parse(plan.from_pool), plan.candidates[0].pool))
    if here is None or there is None or here.risk_usd_per_h is None or there.risk_usd_per_h is None:
        return None
    return here.risk_usd_per_h - there.risk_usd_per_h
