"""AutopilotWorkflow: one pass over the fleet. It decides, and asks the servers' workflows for what follows.

A schedule starts it, one at a time: a pass that takes longer than the interval makes the next one wait. What it
asks for is done by the servers' own workflows, which go on whatever becomes of this one. So nothing here waits
without limit: one server that does not answer must not stop the passes of all others.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError

from domain.adoption import Plan
from domain.autopilot import contract
from domain.operations import PLAN_WORKFLOW
from workflows.activity_calls import execute_upkeep
from workflows.timeouts import ASK, EVALUATE, RECONSIDER

_PLANS_AT_ONCE = 5
_PLAN_S = 60.0


@workflow.defn
class AutopilotWorkflow:
    @workflow.run
    async def run(self, given: contract.EvaluateInput) -> contract.EvaluateResult:
        evaluated = await execute_upkeep(contract.EVALUATE, given, contract.EvaluateResult, EVALUATE)
        slots = asyncio.Semaphore(_PLANS_AT_ONCE)
        await asyncio.gather(
            *(_ask(one) for one in evaluated.asks),
            *(_plan(one, slots) for one in evaluated.proposals),
        )
        return evaluated


@workflow.defn(name=contract.CANDIDATES_WORKFLOW)
class CandidatesWorkflow:
    """What the autopilot sees for one server, for whoever wants to know. It changes nothing."""

    @workflow.run
    async def run(self, given: contract.PreviewInput) -> contract.PreviewResult:
        return await execute_upkeep(contract.PREVIEW, given, contract.PreviewResult, RECONSIDER)


async def _ask(one: contract.AskServerInput) -> None:
    """What fails here is asked again by the next pass: the decision stays approved."""
    try:
        await execute_upkeep(contract.ASK_SERVER, one, str, ASK)
    except ActivityError as error:
        workflow.logger.warning("decision %s could not be asked for: %s", one.decision_id, error.cause)


async def _plan(one: contract.Proposal, slots: asyncio.Semaphore) -> None:
    plan, problem = None, ""
    async with slots:
        try:
            plan = await workflow.execute_child_workflow(
                PLAN_WORKFLOW,
                one.plan,
                id=f"plan/{one.plan.server.server_id}/{one.decision_id}",
                result_type=Plan,
                execution_timeout=timedelta(seconds=_PLAN_S),
            )
        except ChildWorkflowError as error:
            cause = error.cause
            problem = str(cause.cause if isinstance(cause, ActivityError) and cause.cause else cause)
    try:
        await execute_upkeep(
            contract.KEEP_PLAN, contract.KeepPlanInput(one.decision_id, plan, problem), type(None), ASK
        )
    except ActivityError as error:
        workflow.logger.warning("the plan of decision %s could not be kept: %s", one.decision_id, error.cause)
