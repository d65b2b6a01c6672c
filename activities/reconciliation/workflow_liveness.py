"""Servers without a working workflow: Temporal runs none (its state was lost, or this is another Temporal), its
tasks fail, or nobody takes the watch though the agent says that it lives.

The list of running workflows takes a call for each thousand servers. It lags behind, so a workflow that is missing
there is asked for by its ID. The records are read before and after: a server whose workflow has just ended has ended
itself.

A look that took long and found nothing is not repeated by the next pass: it may take a fiftieth of the time. For ten
thousand servers Temporal's development server worked 15 s of every two minutes, and everybody waited (found by the
benchmark `at_rest`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

from temporalio.service import RPCError, RPCStatusCode

from activities.database_errors import database_unavailable
from activities.running_workflows import WorkflowListing, find_running, list_running, list_running_with_memo
from db.engine.session import SessionFactory
from db.reconciliation import records
from domain.names import server_workflow_id
from domain.operations import SERVER_WORKFLOW
from domain.reconciliation import contract
from domain.reconciliation.facts import GracePeriods
from domain.reconciliation.unattended_servers import (
    MEMO_UNWATCHED,
    WATCH,
    WORKFLOW,
    watch_not_taken,
    workflow_missing,
    workflow_stuck,
)

# Set by Temporal (1.30 and later) after a few tasks in a row have failed or timed out, and taken off by one that works.
_TASKS_FAIL = "TemporalReportedProblems IN ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')"


_SHARE = 50  # looks take one of so many seconds


class WorkflowLiveness:
    def __init__(
        self,
        sessions: SessionFactory,
        workflows: WorkflowListing,
        patience: GracePeriods,
        clock: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._workflows = workflows
        self._grace = timedelta(seconds=patience.gone_s)
        self._silence = timedelta(seconds=patience.silent_s)
        self._clock = clock
        self._next_look_at = clock()

    async def look(self, regions: Sequence[str], *, asked: bool = False) -> contract.DriftSurvey:
        """When Temporal does not answer, that is a problem and there are no findings. There are none either before
        the next look is due, unless it is `asked` for. Earlier findings stay as they were then.
        """
        began = self._clock()
        if began < self._next_look_at and not asked:
            return contract.DriftSurvey()
        servers = await asyncio.to_thread(self._adopted, regions)
        try:
            known = await self.without_watch()
            missing = await self._missing(known, [server_id for server_id, _, _ in servers])
            failing = await self.failing()
        except RPCError as error:
            return contract.DriftSurvey(
                problems=[f"Temporal did not say which servers' workflows run: {error.message}"]
            )
        still = await asyncio.to_thread(self._still_active, missing)
        without = [(one, told) for one in servers for told in known.get(server_workflow_id(one[0]), ())]
        heard = await asyncio.to_thread(
            self._instances_with_agents, {(client_id, told) for (_, client_id, _), told in without}
        )
        findings = [workflow_missing(*one) for one in servers if one[0] in still]
        findings += [
            workflow_stuck(*one) for one in servers if server_workflow_id(one[0]) in failing and one[0] not in still
        ]
        findings += [watch_not_taken(*one, instance_id) for one, instance_id in without if instance_id in heard]
        looked = [f"{region}/{kind}" for region in regions for kind in (WORKFLOW, WATCH)]
        ended = self._clock()
        if not findings and not asked:  # a look that was asked for may be of some regions only
            self._next_look_at = ended + _SHARE * (ended - began)
        return contract.DriftSurvey(findings, looked).bounded()

    async def without_watch(self) -> dict[str, list[str]]:
        """Running workflows of servers -> their instances whose agents take no watch."""
        told = await list_running_with_memo(self._workflows, f"WorkflowType = '{SERVER_WORKFLOW}'", MEMO_UNWATCHED)
        return {workflow_id: said or [] for workflow_id, said in told.items()}

    async def _missing(self, known: Collection[str], server_ids: Iterable[str]) -> set[str]:
        missing = {one for one in server_ids if server_workflow_id(one) not in known}
        found = await find_running(self._workflows, map(server_workflow_id, missing))
        return {one for one in missing if server_workflow_id(one) not in found}

    async def failing(self) -> set[str]:
        """A Temporal before 1.30 does not say it: there only its own metrics do (the alert WorkflowTasksFail)."""
        try:
            return await list_running(self._workflows, f"WorkflowType = '{SERVER_WORKFLOW}' AND {_TASKS_FAIL}")
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            return set()

    def _adopted(self, regions: Sequence[str]) -> list[tuple[str, str, str]]:
        """Without those of the last moment: adoption records a server first, and then starts its workflow."""
        with database_unavailable("reading the servers for reconciliation"), self._sessions() as session:
            return records.adopted_before(session, regions, self._clock() - self._grace)

    def _instances_with_agents(self, of: set[tuple[str, str]]) -> set[str]:
        """Those whose agent is not silent: a silent one is a finding of its own."""
        with database_unavailable("reading the agents for reconciliation"), self._sessions() as session:
            return records.instances_heard_of(session, of, self._clock(), self._silence)

    def _still_active(self, server_ids: set[str]) -> set[str]:
        with database_unavailable("reading the servers for reconciliation"), self._sessions() as session:
            return records.still_active(session, server_ids)
