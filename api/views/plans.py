"""A plan: what a switch would do, in order, and what would stop it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from api.problems import FindingDocument
from api.views.base import Request, View
from api.views.pools import PoolName
from domain.adoption import Plan
from domain.pools import Candidate
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
    def of(cls, candidate: Candidate, losses: Mapping[str, float]) -> CandidateView:
        return cls(
            pool=str(candidate.pool),
            subnet_id=candidate.subnet_id,
            usd_per_hour=candidate.usd_per_hour,
            on_demand_usd_per_hour=candidate.on_demand_usd_per_hour,
            reason=candidate.reason,
            placement_score=candidate.placement_score,
            losses_per_hour=losses.get(str(candidate.pool)) if candidate.pool.spot else 0.0,
        )


class PlannedStepView(View):
    name: str
    does: str
    calls: list[str]
    expected_s: float
    outage: bool
    point_of_no_return: bool


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

    @classmethod
    def of(cls, plan: Plan, losses: Mapping[str, float]) -> PlanView:
        blocked = any(finding.blocking for finding in plan.findings)
        return cls(
            executable=bool(plan.candidates) and not blocked,
            handoff=plan.handoff,
            from_pool=plan.from_pool,
            candidates=[CandidateView.of(candidate, losses) for candidate in plan.candidates],
            steps=[PlannedStepView.model_validate(step) for step in plan.steps],
            moves=plan.moves,
            findings=[FindingDocument.model_validate(finding) for finding in plan.findings],
            expected_outage_s=plan.expected_outage_s,
            hourly_now=plan.hourly_now,
            hourly_then=plan.hourly_then,
            reason=plan.reason,
        )
