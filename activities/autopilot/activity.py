"""The autopilot's activities. Those that read EC2 and the database are sync; the one that calls a workflow is async.

Unavailable    the database cannot be reached: worth another try
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.autopilot.fleet_facts import FleetFacts
from activities.autopilot.fleet_pass import FleetPasses
from activities.database_errors import database_unavailable
from activities.ec2.clients import Clients
from activities.ec2.heartbeats import heartbeats
from db.autopilot.decisions import change_decision_state
from db.engine.session import SessionFactory, in_transaction
from db.tables import DecisionRow
from domain.autopilot import contract
from domain.autopilot.decision_figures import decision_figures
from domain.autopilot.fleet_evaluation import JudgedCase, decision_label
from domain.autopilot.policy_gates import DecisionState, Gate
from domain.names import server_workflow_id
from domain.operations import UPDATE_REQUEST, AcceptedRequest, OperationRequest, Priority

_OPEN = (DecisionState.APPROVED, DecisionState.ASKED)
# Gates that our own action may have closed since the decision: its operation is already running.
_OUR_OWN = frozenset({Gate.NONE, Gate.BUSY, Gate.FLEET_LIMIT})


class Workflows(Protocol):
    def get_workflow_handle(self, workflow_id: str) -> Any: ...


class AutopilotActivities:
    def __init__(self, sessions: SessionFactory, clients: Clients, workflows: Workflows) -> None:
        self._sessions = sessions
        self._passes = FleetPasses(sessions, FleetFacts.from_clients(clients))
        self._workflows = workflows

    @activity.defn(name=contract.EVALUATE, no_thread_cancel_exception=True)
    def evaluate(self, given: contract.EvaluateInput) -> contract.EvaluateResult:
        with database_unavailable("deciding for the fleet"), heartbeats():
            return self._passes.run(given)

    @activity.defn(name=contract.RECONSIDER, no_thread_cancel_exception=True)
    def reconsider(self, given: contract.ReconsiderInput) -> contract.ReconsiderResult:
        """Read the facts again, for one server. A decision that no longer holds is dropped, with the reason."""
        with database_unavailable("reconsidering"), heartbeats():
            with self._sessions() as session:
                row = session.get(DecisionRow, given.decision_id)
            if row is None:
                return contract.ReconsiderResult(False, f"there is no decision {given.decision_id}")
            why = self._broken(row)
            if why:
                self._settle(row.id, DecisionState.DROPPED, why)
            return contract.ReconsiderResult(not why, why)

    @activity.defn(name=contract.PREVIEW, no_thread_cancel_exception=True)
    def preview(self, given: contract.PreviewInput) -> contract.PreviewResult:
        """What would be decided now. Nothing is kept and no operation is requested."""
        with database_unavailable("looking at a server's candidates"), heartbeats():
            found = self._one(given.server_id)
        if isinstance(found, str):
            return contract.PreviewResult(problem=found)
        verdict = found.verdict
        return contract.PreviewResult(
            kind=verdict.decision.kind.value,
            reason=verdict.decision.reason.value,
            held_by=verdict.gate.value,
            to_pool=verdict.decision.pool,
            figures=decision_figures(found, given.candidates),
        )

    @activity.defn(name=contract.KEEP_PLAN)
    def keep_plan(self, given: contract.KeepPlanInput) -> None:
        """Keep the plan of a decision, for the person who has to approve it."""

        def work(session: Session) -> None:
            row = session.get(DecisionRow, given.decision_id, with_for_update=True)
            if row is not None:
                plan = asdict(given.plan) if given.plan else None
                row.figures = {**row.figures, "plan": plan, "plan_problem": given.problem}

        with database_unavailable("keeping a plan"):
            in_transaction(self._sessions, work)

    @activity.defn(name=contract.ASK_SERVER)
    async def ask(self, given: contract.AskServerInput) -> str:
        """Request the operation from the server's workflow. One decision is one request, however often it is sent."""
        wanted = OperationRequest(
            request_id=given.decision_id,
            kind=given.kind,
            priority=Priority(given.priority),
            pool=given.pool,
            requested_by=contract.REQUESTED_BY,
            decision_id=given.decision_id,
            keep_old_s=given.keep_old_s,
        )
        handle = self._workflows.get_workflow_handle(server_workflow_id(given.server_id))
        try:
            accepted: AcceptedRequest = await handle.execute_update(UPDATE_REQUEST, wanted, result_type=AcceptedRequest)
        except WorkflowUpdateFailedError as error:
            await asyncio.to_thread(self._settle, given.decision_id, DecisionState.DROPPED, f"refused: {error.cause}")
            return ""
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await asyncio.to_thread(self._settle, given.decision_id, DecisionState.DROPPED, "the server has ended")
            return ""
        asked = accepted.operation_id
        await asyncio.to_thread(self._settle, given.decision_id, DecisionState.ASKED, "", asked)
        return asked

    def _broken(self, row: DecisionRow) -> str:
        """Why the decision no longer holds; empty when it does."""
        judged = self._one(row.server_id)
        if isinstance(judged, str):
            return judged
        verdict = judged.verdict
        found = verdict.decision
        if (found.kind, found.pool) != (row.kind, row.to_pool):
            return f"the facts have changed: {decision_label(found)} to {found.pool or 'nowhere'}"
        approved = row.settled_by not in ("", contract.REQUESTED_BY)  # by a person: then only a freeze holds it
        if verdict.gate is Gate.FROZEN if approved else verdict.gate not in _OUR_OWN:
            return f"held by {verdict.gate.value}"
        return "it waits for approval now" if verdict.ask_first and not approved else ""

    def _one(self, server_id: str) -> JudgedCase | str:
        """The decision for one server now, made as in a pass over all; or why there is none."""
        outcome = self._passes.decide(datetime.now(UTC), most_moves=1_000_000, server_id=server_id)
        if outcome.skipped:
            return f"its facts cannot be read now: {'; '.join(outcome.skipped.values())}"
        return outcome.judged[0] if outcome.judged else "the server has no primary that EC2 knows"

    def _settle(self, decision_id: str, state: DecisionState, why: str, operation_id: str | None = None) -> None:
        with database_unavailable("settling a decision"):
            in_transaction(
                self._sessions,
                lambda session: change_decision_state(
                    session,
                    decision_id,
                    state,
                    datetime.now(UTC),
                    why=why,
                    expected=(DecisionState.APPROVED,) if state is DecisionState.ASKED else _OPEN,
                    operation_id=operation_id,
                ),
            )

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.evaluate, self.reconsider, self.preview, self.keep_plan, self.ask]
