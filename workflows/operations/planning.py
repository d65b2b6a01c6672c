"""Looking before acting: the same coroutine makes the plan that people read and the one a switch follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain import adoption_rules, ec2, planning
from domain.adoption import Finding, MoveTerms, Plan
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.pools import Candidate
from domain.records import COOL_DOWNS, CoolDowns, CoolDownsInput
from domain.servers import ServerPolicy, ServerRef
from workflows import timeouts
from workflows.activity_calls import execute


@dataclass(frozen=True)
class PlanningResult:
    """What planning saw, and the plan it made of it."""

    plan: Plan
    blueprint: Blueprint
    candidates: list[Candidate]


async def survey_and_plan(
    call: Callable[..., Any],
    server: ServerRef,
    policy: ServerPolicy,
    instance_id: str,
    *,
    pool: str = "",
    cool_downs: dict[str, float],
    avoid: list[str] | None = None,
    terms: MoveTerms | None = None,
) -> PlanningResult:
    """Inspect, rank, check; raise Refused when the asked-for pool cannot be. `terms`: to reckon its cost by."""
    avoided = [*(p for p in _in_cool_down(cool_downs) if p != pool), *(avoid or [])]
    seen: ec2.SurveyResult
    fleets: list[str]
    seen, fleets = await asyncio.gather(
        call(
            ec2.SURVEY,
            ec2.SurveyInput(server.region, instance_id, policy, pool, avoided, terms.home_type if terms else ""),
            ec2.SurveyResult,
            timeouts.SURVEY,
        ),
        pools_to_avoid(server, {}),
    )
    candidates = [c for c in seen.candidates if str(c.pool) == pool or str(c.pool) not in fleets]
    checked = seen.checked
    if candidates and candidates[0] != seen.candidates[0]:
        checked = await _check(call, server, policy, seen.blueprint, candidates)
    found = adoption_rules.findings(seen.blueprint, policy, seen.account_id)
    found, candidates = _with_check_findings(checked, candidates, found)
    plan = planning.compose_plan(seen.blueprint, policy, candidates, found, seen.hourly_now, terms, seen.home_usd)
    return PlanningResult(plan, seen.blueprint, candidates)


async def pools_to_avoid(server: ServerRef, own: dict[str, float], patience_s: float = 3.0) -> list[str]:
    """Pools in their cool-down, by this server's own memory and, when it answers, the fleet's."""
    until = dict(own)
    try:
        asked = CoolDownsInput(server.client_id, server.region)
        fleet = await execute(COOL_DOWNS, asked, CoolDowns, timeouts.once(patience_s))
        until.update(fleet.until)
    except ActivityError as error:
        workflow.logger.warning("the fleet's cool-downs are not readable now: %s", error.cause)
    return _in_cool_down(until)


def _in_cool_down(until: dict[str, float]) -> list[str]:
    now = workflow.now().timestamp()
    return sorted(pool for pool, end in until.items() if end > now)


async def _check(
    call: Callable[..., Any],
    server: ServerRef,
    policy: ServerPolicy,
    blueprint: Blueprint,
    candidates: list[Candidate],
) -> ec2.CheckResult:
    """Once more: the survey tried the pool that the fleet's cool-downs have taken out since."""
    actions = planning.actions_for(blueprint, planning.handoff_to(blueprint, policy, candidates[0]))
    checked: ec2.CheckResult = await call(
        ec2.CHECK_LAUNCH, ec2.CheckInput(server.region, blueprint, candidates, actions), ec2.CheckResult
    )
    return checked


def _with_check_findings(
    checked: ec2.CheckResult, candidates: list[Candidate], found: list[Finding]
) -> tuple[list[Finding], list[Candidate]]:
    if not candidates:
        nothing = Finding("no_pool", "no other pool fits this server", "allow more instance types or zones")
        return [nothing, *found], candidates
    problems = [Finding("cannot_launch", problem) for problem in checked.problems]
    for action in checked.missing_permissions:
        mend = f"allow {action} in the control plane's IAM policy (deploy/aws/iam-policy.json)"
        problems.append(Finding("permission_missing", f"IAM does not allow {action}", mend))
    within_quota = [c for c in candidates if str(c.pool) not in checked.skip]
    if not within_quota:
        why = "; ".join(sorted(set(checked.skip.values())))
        problems.append(Finding("over_quota", f"both instances at once exceed the quota: {why}"))
    return [*problems, *found], within_quota


def refuse_if_blocked(plan: Plan, accepted: list[str]) -> None:
    """A handoff that would lose something is refused before anything is launched."""
    stops = adoption_rules.blocking_findings(plan.findings, accepted)
    if not stops:
        return
    missing = any(finding.code == "permission_missing" for finding in stops)
    words = "; ".join(f"{f.what}{f' — {f.mend}' if f.mend else ''}" for f in stops)
    raise ApplicationError(words, type=Failure.PERMISSION_MISSING if missing else Failure.REFUSED, non_retryable=True)
