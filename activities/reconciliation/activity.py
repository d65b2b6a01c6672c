"""Reconciliation's activities. Those that ask Temporal are async, the others sync.

    Unavailable    the database cannot be reached: worth another try

When EC2 does not answer, the survey reports a problem; the next pass looks again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError, RPCStatusCode

from activities.database_errors import database_unavailable
from activities.ec2.activity import ec2_activity
from activities.ec2.clients import Clients
from activities.ec2.resources import Removal, ResourceListing
from activities.reconciliation.fact_reader import FactReader
from activities.reconciliation.finding_records import record_findings
from activities.reconciliation.remediation import Remediation
from activities.reconciliation.workflow_liveness import WorkflowLiveness
from activities.running_workflows import WorkflowListing
from db.engine.session import SessionFactory
from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import server_workflow_id
from domain.operations import QUERY_STATE, SIGNAL_NOTICE, ServerView
from domain.reconciliation import contract
from domain.reconciliation.drift import DriftFinding
from domain.reconciliation.facts import GracePeriods, RegionFacts
from domain.reconciliation.rules import drift_findings, most_urgent_first
from domain.servers import Placement

_ASKED_AT_ONCE = 20
_QUERY = timedelta(seconds=5)


def _now() -> datetime:
    return datetime.now(UTC)


class ReconciliationActivities:
    """`regions`: those that a pass looks at when its input names none."""

    def __init__(
        self,
        sessions: SessionFactory,
        clients: Clients,
        workflows: WorkflowListing,
        regions: Sequence[str],
        patience: GracePeriods = GracePeriods(),  # noqa: B008  frozen
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._sessions = sessions
        self._workflows = workflows
        self._regions = list(regions)
        self._patience = patience
        self._clock = clock
        listing = ResourceListing(clients)
        self._facts = FactReader(sessions, listing, clock)
        self._liveness = WorkflowLiveness(sessions, workflows, patience, clock)
        self._remediation = Remediation(sessions, Removal(clients), listing, clock)

    @ec2_activity(contract.RECONCILE_SURVEY)
    def survey(self, given: contract.ReconcileInput) -> contract.DriftSurvey:
        """Look at every region and judge what differs. Changes nothing."""
        findings: list[DriftFinding] = []
        looked: list[str] = []
        problems: list[str] = []
        busy: list[str] = []
        resources = 0
        for facts, wrong in self._all_facts(given.regions or self._regions):
            findings += drift_findings(facts, self._patience)
            looked += [f"{facts.region}/{kind.value}" for kind in sorted(facts.looked)]
            problems += wrong
            busy += sorted(key for key, server in facts.servers.items() if server.busy)
            resources += len(facts.found)
        return contract.DriftSurvey(most_urgent_first(findings), looked, problems, busy, resources).bounded()

    @activity.defn(name=contract.UNATTENDED)
    async def unattended(self, given: contract.ReconcileInput) -> contract.DriftSurvey:
        return await self._liveness.look(given.regions or self._regions, asked=given.asked)

    @activity.defn(name=contract.AT_REST)
    async def at_rest(self, given: contract.AtRestInput) -> contract.AtRestResult:
        """Ask the servers' workflows what they do: after an outage of the database the records may lag behind."""
        slots = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(server_id: str) -> tuple[str, ServerView | None, bool]:
            async with slots:
                return (server_id, *await self._view(server_id))

        resting, without, instances = [], [], set[str]()
        for server_id, view, absent in await asyncio.gather(*map(ask, given.server_ids)):
            if absent:
                without.append(server_id)
            elif view and view.running is None and not view.queue:
                resting.append(server_id)
            if view:
                instances |= {one.instance_id for one in _placements(view)}
        return contract.AtRestResult(resting, without, sorted(instances))

    @activity.defn(name=contract.REPORT)
    def report(self, given: contract.ReportInput) -> contract.ReportResult:
        with database_unavailable("keeping what reconciliation found"):
            return record_findings(self._sessions, given, self._clock())

    @ec2_activity(contract.SETTLE)
    def settle(self, given: contract.SettleInput) -> contract.SettleResult:
        """Look once more, and do what is still right. What was done already is done again without harm."""
        wanted: dict[str, list[DriftFinding]] = defaultdict(list)
        for one in given.due:
            wanted[one.region].append(one)
        settled = contract.SettleResult()
        for facts, _ in self._all_facts(list(wanted)):
            now = {one.key: one for one in drift_findings(facts, self._patience)}
            # A server without a workflow may have it in another Temporal than this one: it is left alone.
            ended = [
                one for one in given.resting.without_workflow if one in facts.servers and not facts.servers[one].active
            ]
            resting = replace(given.resting, at_rest=[*given.resting.at_rest, *ended])
            for due in wanted[facts.region]:
                with database_unavailable("settling what reconciliation found"):
                    settled = self._remediation.settle(settled, due, now.get(due.key), resting)
        return settled

    @activity.defn(name=contract.REPLACE_LOST)
    async def ask(self, given: contract.LostInstance) -> bool:
        """Send the notice to the server's workflow, as its own watch would. False: the workflow has ended."""
        now = self._clock()
        notice = Notice(given.instance_id, NoticeKind.INTERRUPTION, NoticeSource.LOST, now, deadline=now)
        try:
            await self._workflows.get_workflow_handle(server_workflow_id(given.server_id)).signal(SIGNAL_NOTICE, notice)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        with database_unavailable("noting that a server's workflow was asked"):
            await asyncio.to_thread(self._remediation.asked, given.key)
        return True

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.survey, self.unattended, self.at_rest, self.report, self.settle, self.ask]

    def _all_facts(self, regions: Sequence[str]) -> list[tuple[RegionFacts, list[str]]]:
        with database_unavailable("reading the records for reconciliation"):
            return [self._facts.facts(region, self._patience) for region in regions]

    async def _view(self, server_id: str) -> tuple[ServerView | None, bool]:
        """What the workflow answers, and whether there is none. Without an answer the server is left alone."""
        handle = self._workflows.get_workflow_handle(server_workflow_id(server_id))
        running = QueryRejectCondition.NOT_OPEN  # the last answer of one that was terminated is not true any more
        try:
            view = await handle.query(QUERY_STATE, result_type=ServerView, reject_condition=running, rpc_timeout=_QUERY)
        except WorkflowQueryRejectedError:
            return None, True
        except RPCError as error:
            return None, error.status is RPCStatusCode.NOT_FOUND
        except WorkflowQueryFailedError:
            return None, False
        return view, False


def _placements(view: ServerView) -> list[Placement]:
    return [one for one in (view.shape.primary, view.shape.replica) if one]
