"""The Temporal client: every call of the API to Temporal. Nothing else in the API knows Temporal.

WorkflowCallError
  TemporalUnreachable      no answer from Temporal itself; the message says where it looked
  NoWorker                 Temporal answers, but no worker took the call in time
  NoSuchWorkflow           the server's workflow does not exist or has ended
  AlreadyRunning           a workflow with that ID is at work
  WorkflowRefused          the workflow said no: `type` is a domain Refusal or Failure
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import Priority as TaskPriority
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode

from api.temporal.state import TemporalState, read_temporal_state
from domain import operations as contract
from domain.adoption import AdoptInput, AdoptResult, Plan, PlanInput
from domain.autopilot import contract as autopilot
from domain.backtest import contract as backtesting
from domain.host import Notice
from domain.names import CONTROL_QUEUE, WORKFLOW_TASK_S, new_id, server_workflow_id
from domain.operations import AcceptedRequest, OperationRequest, Priority, ServerInput, ServerView
from domain.reconciliation import contract as reconciliation
from domain.resumption import RESUME_WORKFLOW, ResumeInput, ResumeResult, resume_workflow_id
from domain.servers import ServerPolicy

ACCEPT_TIMEOUT_S = 15.0  # an update is answered as soon as a worker takes one workflow task
ADOPT_TIMEOUT_S = 60.0
RESUME_TIMEOUT_S = 60.0  # 15 of them are for an agent that does not answer
PLAN_TIMEOUT_S = 30.0
EVALUATE_TIMEOUT_S = 60.0
RECONCILE_TIMEOUT_S = 60.0
CHECK_TIMEOUT_S = 2.0
STATE_TIMEOUT_S = 5.0

_T = TypeVar("_T")


class WorkflowCallError(Exception):
    """A call to Temporal that failed."""


class TemporalUnreachable(WorkflowCallError):
    """Temporal itself gave no answer."""


class NoWorker(WorkflowCallError):
    """Temporal is there, but nothing took the call in time; it is safe to ask again."""


class NoSuchWorkflow(WorkflowCallError):
    """The workflow does not run, or not any more."""


class AlreadyRunning(WorkflowCallError):
    """The same work is already being done."""


class WorkflowRefused(WorkflowCallError):
    """The workflow refused or failed, with a type of `Refusal` or `Failure` and a reason in words."""

    def __init__(self, type_: str, reason: str) -> None:
        super().__init__(reason)
        self.type = type_
        self.reason = reason


class WorkflowClient:
    """Starts, updates, signals and asks workflows by the names in domain.operations."""

    def __init__(self, address: str, namespace: str) -> None:
        self.address = address
        self.namespace = namespace
        self._client: Client | None = None

    async def request(self, server_id: str, request: OperationRequest) -> AcceptedRequest:
        async with self._call("ask the server for an operation", ACCEPT_TIMEOUT_S) as client:
            accepted: AcceptedRequest = await _server(client, server_id).execute_update(
                contract.UPDATE_REQUEST,
                request,
                id=_update_id(request),
                result_type=AcceptedRequest,
            )
            return accepted

    async def launch(self, server: ServerInput, request: OperationRequest) -> AcceptedRequest:
        """Start the server's workflow, if it does not run yet, and ask it for its first operation."""
        start: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
            contract.SERVER_WORKFLOW,
            server,
            id=server_workflow_id(server.server.server_id),
            task_queue=CONTROL_QUEUE,
            task_timeout=timedelta(seconds=WORKFLOW_TASK_S),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            priority=_person(server.server.client_id),
        )
        async with self._call("launch a server", ACCEPT_TIMEOUT_S) as client:
            accepted: AcceptedRequest = await client.execute_update_with_start_workflow(
                contract.UPDATE_REQUEST,
                request,
                start_workflow_operation=start,
                id=_update_id(request),
                result_type=AcceptedRequest,
            )
            return accepted

    async def change_policy(self, server_id: str, policy: ServerPolicy) -> None:
        async with self._call("change a policy", ACCEPT_TIMEOUT_S) as client:
            await _server(client, server_id).execute_update(contract.UPDATE_POLICY, policy, id=new_id("policy"))

    async def notice(self, server_id: str, notice: Notice) -> None:
        async with self._call("pass on a notice", ACCEPT_TIMEOUT_S) as client:
            await _server(client, server_id).signal(contract.SIGNAL_NOTICE, notice)

    async def cancel(self, server_id: str, operation_id: str) -> None:
        async with self._call("cancel an operation", ACCEPT_TIMEOUT_S) as client:
            await _server(client, server_id).signal(contract.SIGNAL_CANCEL, operation_id)

    async def server_state(self, server_id: str) -> ServerView:
        """The server as its workflow sees it."""
        async with self._call("look at a server", ACCEPT_TIMEOUT_S) as client:
            try:
                return await _view(client, server_id)
            except WorkflowQueryFailedError:  # its worker has dropped the workflow, and replays it for the next query
                return await _view(client, server_id)

    async def adopt(self, input: AdoptInput) -> AdoptResult:
        """One adoption of an instance at a time: the workflow's ID names the instance."""
        workflow_id = f"adopt/{input.server.region}/{input.instance_id}"
        async with self._call("adopt an instance", ADOPT_TIMEOUT_S) as client:
            result: AdoptResult = await client.execute_workflow(
                contract.ADOPT_WORKFLOW,
                input,
                id=workflow_id,
                task_queue=CONTROL_QUEUE,
                result_type=AdoptResult,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                priority=_person(input.server.client_id),
            )
            return result

    async def resume(self, input: ResumeInput) -> ResumeResult:
        """One resumption of a server at a time: the workflow's ID names the server. A dry run may run beside it."""
        workflow_id = resume_workflow_id(input.server.server_id) + (f"/{new_id('look')}" if input.dry_run else "")
        async with self._call("resume a server", RESUME_TIMEOUT_S) as client:
            result: ResumeResult = await client.execute_workflow(
                RESUME_WORKFLOW,
                input,
                id=workflow_id,
                task_queue=CONTROL_QUEUE,
                result_type=ResumeResult,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                priority=_person(input.server.client_id),
            )
            return result

    async def plan(self, input: PlanInput) -> Plan:
        async with self._call("make a plan", PLAN_TIMEOUT_S) as client:
            plan: Plan = await client.execute_workflow(
                contract.PLAN_WORKFLOW,
                input,
                id=f"plan/{input.server.server_id}/{new_id('plan')}",
                task_queue=CONTROL_QUEUE,
                result_type=Plan,
                execution_timeout=timedelta(seconds=PLAN_TIMEOUT_S),
                priority=_person(input.server.client_id),
            )
            return plan

    async def evaluate(self, input: autopilot.EvaluateInput) -> autopilot.EvaluateResult:
        """One pass of the autopilot over the fleet; if one runs already, its result."""
        async with self._call("let the autopilot decide", EVALUATE_TIMEOUT_S) as client:
            evaluated: autopilot.EvaluateResult = await client.execute_workflow(
                autopilot.AUTOPILOT_WORKFLOW,
                input,
                id=f"{autopilot.AUTOPILOT_SCHEDULE}/now",
                task_queue=CONTROL_QUEUE,
                result_type=autopilot.EvaluateResult,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            return evaluated

    async def reconcile(self, input: reconciliation.ReconcileInput) -> reconciliation.ReconcileResult:
        """One comparison of EC2 with the ledger; if one that was asked for runs already, its result."""
        async with self._call("compare EC2 with the ledger", RECONCILE_TIMEOUT_S) as client:
            done: reconciliation.ReconcileResult = await client.execute_workflow(
                reconciliation.RECONCILE_WORKFLOW,
                input,
                id=f"{reconciliation.RECONCILE_SCHEDULE}/now",
                task_queue=CONTROL_QUEUE,
                result_type=reconciliation.ReconcileResult,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                # When EC2 does not answer, the check must end with the call that waits for it.
                execution_timeout=timedelta(seconds=RECONCILE_TIMEOUT_S),
            )
            return done

    async def start_backtest(self, backtest_id: str, client_id: str) -> None:
        """Starting it twice changes nothing, also after it has ended."""
        async with self._call("start a backtest", ACCEPT_TIMEOUT_S) as client:
            with suppress(WorkflowAlreadyStartedError):
                await client.start_workflow(
                    backtesting.BACKTEST_WORKFLOW,
                    backtesting.RunBacktestInput(backtest_id),
                    id=backtesting.backtest_workflow_id(backtest_id),
                    task_queue=CONTROL_QUEUE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    priority=TaskPriority(priority_key=Priority.UPKEEP.temporal_key, fairness_key=client_id),
                )

    async def cancel_backtest(self, backtest_id: str) -> None:
        async with self._call("cancel a backtest", ACCEPT_TIMEOUT_S) as client:
            await client.get_workflow_handle(backtesting.backtest_workflow_id(backtest_id)).cancel()

    async def candidates(self, input: autopilot.PreviewInput) -> autopilot.PreviewResult:
        """What the autopilot sees for one server now."""
        async with self._call("look at a server's candidates", PLAN_TIMEOUT_S) as client:
            looked: autopilot.PreviewResult = await client.execute_workflow(
                autopilot.CANDIDATES_WORKFLOW,
                input,
                id=f"candidates/{input.server_id}/{new_id('look')}",
                task_queue=CONTROL_QUEUE,
                result_type=autopilot.PreviewResult,
                execution_timeout=timedelta(seconds=PLAN_TIMEOUT_S),
            )
            return looked

    async def check(self) -> None:
        """Raise TemporalUnreachable unless Temporal answers within CHECK_TIMEOUT_S."""
        try:
            async with self._call("check Temporal", CHECK_TIMEOUT_S) as client:
                await client.service_client.check_health(timeout=timedelta(seconds=CHECK_TIMEOUT_S))
        except NoWorker as error:
            raise TemporalUnreachable(f"Temporal at {self.address}: no answer in {CHECK_TIMEOUT_S:g} s") from error

    async def temporal_state(self) -> TemporalState:
        """Temporal's version, pollers and schedules."""
        try:
            async with self._call("look at Temporal", STATE_TIMEOUT_S) as client:
                return await read_temporal_state(client)
        except NoWorker as error:
            raise TemporalUnreachable(f"Temporal at {self.address}: no answer in {STATE_TIMEOUT_S:g} s") from error

    @asynccontextmanager
    async def _call(self, doing: str, timeout_s: float) -> AsyncIterator[Client]:
        with _as_ours(doing, self.address, timeout_s):
            async with asyncio.timeout(timeout_s):
                yield await self._connected()

    async def _connected(self) -> Client:
        # Lazy: the first call connects, and each later one tries again until it succeeds.
        if self._client is None:
            self._client = await Client.connect(self.address, namespace=self.namespace, lazy=True)
        return self._client


def _server(client: Client, server_id: str) -> WorkflowHandle[object, object]:
    return client.get_workflow_handle(server_workflow_id(server_id))


async def _view(client: Client, server_id: str) -> ServerView:
    view: ServerView = await _server(client, server_id).query(contract.QUERY_STATE, result_type=ServerView)
    return view


def _update_id(request: OperationRequest) -> str:
    # Temporal answers a repeated update ID itself, without asking the workflow. The workflow has to be asked: only
    # it compares the digests, and answers `repeated` or refuses a reused request ID.
    return f"{request.request_id}/{new_id('try')}"


def _person(client_id: str) -> TaskPriority:
    return TaskPriority(priority_key=Priority.PERSON.temporal_key, fairness_key=client_id)


@contextmanager
def _as_ours(doing: str, address: str, timeout_s: float) -> Iterator[None]:
    """Turn every error of Temporal's SDK into a WorkflowCallError."""
    try:
        yield
    except (TimeoutError, RPCTimeoutOrCancelledError) as error:
        raise NoWorker(f"no worker answered within {timeout_s:g} s, asked to {doing}") from error
    except WorkflowAlreadyStartedError as error:
        raise AlreadyRunning(f"could not {doing}: {error.workflow_id} is already at work") from error
    except (WorkflowFailureError, WorkflowUpdateFailedError) as error:
        raise _refused(error.cause) from error
    except WorkflowQueryFailedError as error:
        raise WorkflowRefused("Unavailable", error.message) from error
    except RPCError as error:
        raise _rpc(error, doing, address) from error
    except RuntimeError as error:  # the SDK's word for "could not connect"
        raise TemporalUnreachable(f"Temporal at {address}: {error}") from error


def _refused(cause: BaseException | None) -> WorkflowRefused:
    """The failure that a workflow's own code raised, without the errors that Temporal wraps it in."""
    while isinstance(cause, (ActivityError, ChildWorkflowError)) and cause.cause is not None:
        cause = cause.cause
    if isinstance(cause, ApplicationError):
        return WorkflowRefused(cause.type or "", cause.message)
    return WorkflowRefused("", str(cause))


def _rpc(error: RPCError, doing: str, address: str) -> WorkflowCallError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NoSuchWorkflow(f"could not {doing}: {error.message}")
    if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION):
        return NoWorker(f"no worker answered, asked to {doing}: {error.message}")
    return TemporalUnreachable(f"Temporal at {address}: {error.message}")
