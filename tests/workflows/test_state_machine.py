"""ServerWorkflow under whatever Hypothesis thinks of: requests, notices, failures and restarts, in any order.

The model is as simple as a server is to its owner: it has a primary, perhaps a replica, perhaps it has
ended. Of each operation that ended the model knows what it may have changed. After every rule, when all is
quiet, the workflow's shape, the fake cloud and the records have to be what the model says, and invariants
1 to 5 hold. Requests that were made before are made again: they are the operations they were.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import HealthCheck, Phase, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.worker import Worker

from domain import ec2, host
from domain.errors import Failure
from domain.instance_states import InstanceState
from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE, instance_queue
from domain.operations import OperationKind, Outcome, ServerView
from domain.records import RECORD, RecordKind
from domain.servers import Handoff, ServerPolicy
from lab.loop_thread import loop_thread
from lab.stack.ports import Leases
from lab.stack.temporal import TemporalServer
from tests.workflows.ec2_state import LAUNCHED, OLD, REPLICA
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.faults import LOST, Fault, failing, stuck, unanswered, while_in
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog
from worker import make_worker

pytestmark = pytest.mark.timeout(400)

T = TypeVar("T")
K = OperationKind
EXAMPLES, STEPS = 8, 6
ANSWER_S = 120.0
MOVES = (K.SWITCH, K.FAILOVER, K.PROMOTE)

# Each strikes once: what never ends is another test's affair.
FAILURES: dict[str, Callable[[], Fault]] = {
    "no capacity": lambda: failing(ec2.LAUNCH, Failure.NO_CAPACITY, times=1),
    "launch unanswered": lambda: unanswered(ec2.LAUNCH, times=1),
    "never runs": lambda: stuck(ec2.CONFIRM_RUNNING, times=1),
    "not ready": lambda: failing(host.HOST_READY, times=1),
    "cannot stop": lambda: failing(host.HOST_QUIESCE, times=1),
    "stop unanswered": lambda: unanswered(host.HOST_QUIESCE, times=1),
    "detach unanswered": lambda: unanswered(ec2.DETACH_VOLUMES, times=1),
    "cannot attach": lambda: failing(ec2.ATTACH_VOLUMES, Failure.BAD_STATE, times=1),
    "address unanswered": lambda: unanswered(ec2.MOVE_ADDRESSES, times=1),
    "cannot start": lambda: failing(host.HOST_SERVE, times=1),
    "start unanswered": lambda: unanswered(host.HOST_SERVE, times=1),
    "record lost": lambda: Fault(RECORD, LOST, times=2, did_it=True, final=False),
    "end lost": lambda: Fault(ec2.TERMINATE, LOST, times=2, did_it=True, final=False),
}
PLACES = (
    ec2.SURVEY,
    ec2.LAUNCH,
    host.HOST_READY,
    host.HOST_QUIESCE,
    ec2.ATTACH_VOLUMES,
    host.HOST_SERVE,
    ec2.TERMINATE,
)


@dataclass
class Model:
    """What its owner knows. `seen`: how many ends of operations it has taken in."""

    primary: str = OLD
    replica: bool = False
    ended: bool = False
    requests: dict[str, tuple[OperationKind, str]] = field(default_factory=dict)  # ID -> what, which operation
    seen: int = 0

    def refuses(self, kind: OperationKind) -> bool:
        if self.ended:
            return True
        if kind in (K.PROMOTE, K.REPLICA_DROP):
            return not self.replica
        return kind is K.REPLICA_CREATE and self.replica


class Patient(ServerUnderTest):
    """A question that a worker took along as it went is asked again."""

    async def view(self) -> ServerView:
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    return await super().view()
                except RPCError:
                    await asyncio.sleep(0.1)


class Site:
    """A Temporal server with the control plane's workers on it, and an agent on every host.

    It does not skip time: the server that does leaves a query without an answer now and then once a worker has
    gone, which many of these steps would meet.
    """

    def __init__(self, address: str, portal: BlockingPortal, broken: TaskFailureLog) -> None:
        self.fakes = FakeActivities()
        self.broken = broken
        self.address = address
        self.number = 0  # of examples
        self._portal = portal
        self._workers: list[Worker] = []
        self._running: list[asyncio.Task[None]] = []
        self._ending: list[asyncio.Task[None]] = []
        self._crew: list[Worker] = []
        self.client = self.run(Client.connect(address, identity="machine"))
        self.run(self._hosts())
        self.run(self.relieve())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def result() -> T:
            return await work

        return self._portal.start_task_soon(result).result(ANSWER_S)

    async def _hosts(self) -> None:
        agent = self.fakes.agent()
        for one in (OLD, REPLICA, *LAUNCHED):
            self._start(
                Worker(
                    self.client,
                    task_queue=instance_queue(one),
                    activities=agent,
                    max_concurrent_activities=5,
                    max_concurrent_activity_task_polls=1,
                )
            )

    async def relieve(self) -> None:
        """Other workers take over: what the former ones remember of workflows is gone."""
        former = self._crew
        self._workers = [worker for worker in self._workers if worker not in former]
        # A client of its own, as another process has: two workers of one queue on one client end together.
        client = await Client.connect(self.address, identity=f"crew-{len(self._ending)}")
        queues = (CONTROL_QUEUE, EMERGENCY_QUEUE)
        self._crew = [make_worker(client, queue, self.fakes.control(), 20) for queue in queues]
        for worker in self._crew:
            self._start(worker)
        # Not waited for: it may be one of their own activities that asks.
        self._ending += [asyncio.ensure_future(worker.shutdown()) for worker in former]

    def _start(self, worker: Worker) -> None:
        self._workers.append(worker)
        self._running.append(asyncio.ensure_future(worker.run()))

    async def _end(self) -> None:
        await asyncio.gather(*(worker.shutdown() for worker in self._workers), return_exceptions=True)
        await asyncio.gather(*self._running, *self._ending, return_exceptions=True)

    def close(self) -> None:
        self.run(self._end())


class Machine(RuleBasedStateMachine):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.model = Model()
        self.number = 0

    @initialize(handoff=strategies.sampled_from([Handoff.VOLUMES, Handoff.STATELESS]), replica=strategies.booleans())
    def adopted(self, handoff: Handoff, replica: bool) -> None:
        self.site.broken.why.clear()
        self.cloud = self.site.fakes.cloud = FakeCloud(handoff, targets=handoff is Handoff.STATELESS, elastic=True)
        self.site.number += 1
        policy = ServerPolicy(handoff=handoff, cool_down_s=1.0)
        clock = Clock(self.site.client, skips=False)
        start = Patient.start(
            self.site.client,
            clock,
            self.cloud,
            self.site.broken,
            f"machine-{self.site.number}",
            policy,
            replica=replica,
        )
        self.server = self.site.run(start)
        self.model.replica = replica

    # --- what happens

    @rule(kind=strategies.sampled_from([K.SWITCH, K.REPLICA_CREATE, K.REPLICA_DROP, K.PROMOTE, K.FAILOVER]))
    def asked(self, kind: OperationKind) -> None:
        self._ask(kind)

    @rule(kind=strategies.sampled_from([K.TERMINATE, K.RELEASE]), really=strategies.integers(0, 3))
    def let_go(self, kind: OperationKind, really: int) -> None:
        if really == 0:  # an end ends the example's interest too
            self._ask(kind)

    @rule(
        kind=strategies.sampled_from([K.SWITCH, K.REPLICA_CREATE, K.PROMOTE, K.FAILOVER]),
        failure=strategies.sampled_from(sorted(FAILURES)),
    )
    def asked_and_it_fails(self, kind: OperationKind, failure: str) -> None:
        self.cloud.faults = [FAILURES[failure]()]
        self._ask(kind)
        self.cloud.faults = []

    @rule(
        kind=strategies.sampled_from([K.SWITCH, K.REPLICA_CREATE, K.PROMOTE]),
        place=strategies.sampled_from(PLACES),
        what=strategies.sampled_from(["notice", "notice of the replica", "cancel", "another request", "restart"]),
    )
    def asked_and_meanwhile(self, kind: OperationKind, place: str, what: str) -> None:
        self.cloud.faults = [while_in(place, self._meanwhile(what))]
        self._ask(kind)
        self.cloud.faults = []

    @rule(of_replica=strategies.booleans())
    def noticed(self, of_replica: bool) -> None:
        if self.model.ended:
            return
        heard = self._notices_heard()
        if self.site.run(self._notice(of_replica)):
            # Every word of a notice is recorded, and with it what is asked for because of it.
            self.site.run(self.cloud.until(lambda: self._notices_heard() > heard, ANSWER_S))
            self._rest()

    def _notices_heard(self) -> int:
        return len(self.cloud.records.of(RecordKind.NOTICE))

    @rule()
    def workers_are_relieved(self) -> None:
        self.site.run(self.site.relieve())
        if not self.model.ended:
            # Something to do, so that Temporal learns in 2 s that the former worker has gone; a question would take 10.
            self.site.run(self.server.cancel("op-of-nobody"))

    @rule(which=strategies.integers(0, 20))
    def asked_again(self, which: int) -> None:
        """Invariant 4: whenever and whatever it was."""
        if self.model.ended or not self.model.requests:
            return  # what is drawn must not depend on what came of it: Hypothesis draws it twice
        self._again(sorted(self.model.requests)[which % len(self.model.requests)])

    def _again(self, request_id: str) -> None:
        kind, operation = self.model.requests[request_id]
        again = self.site.run(self.server.ask(kind, request_id=request_id))
        assert (again.operation_id, again.repeated) == (operation, True)

    # --- what must hold

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if not hasattr(self, "server"):
            return  # before it is adopted
        view = self.site.run(self.server.view())
        assert view.ended == self.model.ended
        if view.ended:
            # Nobody serves behind its target group, and that was asked for.
            ec2_state = self.cloud.ec2_state
            ec2_state.violations = [one for one in ec2_state.violations if not one.startswith("outage")]
        else:
            assert view.shape.primary is not None
            assert view.shape.primary.instance_id == self.model.primary
            assert (view.shape.replica is not None) == self.model.replica
        self.site.run(self.server.assert_true())
        assert self.site.broken.why == []

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.site.run(self.server.end())

    # --- inside

    def _ask(self, kind: OperationKind) -> None:
        if self.model.ended:
            return  # its workflow is over and answers nobody
        self.number += 1
        request_id, refused = f"m{self.number}", self.model.refuses(kind)
        try:
            accepted = self.site.run(self.server.ask(kind, request_id=request_id))
        except WorkflowUpdateFailedError:
            assert refused, f"{kind} was refused of {self.model}"
            return
        assert not refused, f"{kind} was accepted of {self.model}"
        self.model.requests[request_id] = (kind, accepted.operation_id)
        self._rest()
        if not self.model.ended:
            self._again(request_id)

    def _rest(self) -> None:
        """Until nothing is under way; then the model takes in what has ended."""
        self.site.run(self.server.at_rest())
        kinds = {one["operation_id"]: K(one["kind"]) for one in self.cloud.records.of(RecordKind.OPERATION_ACCEPTED)}
        ends = list(self.cloud.records.finished.items())
        before, moved = self.model.primary, False
        for operation, outcome in ends[self.model.seen :]:
            moved = self._take_in(kinds[operation], outcome) or moved
        self.model.seen = len(ends)
        now = self.cloud.records.primary
        assert (now != before) == moved or not moved, f"{before} became {now} and no operation moved it"
        self.model.primary = now

    def _take_in(self, kind: OperationKind, outcome: str) -> bool:
        """True when the server moved. What needed attention went on to its end all the same, or changed nothing."""
        if kind in (K.TERMINATE, K.RELEASE) and outcome == Outcome.COMMITTED:
            self.model.ended = True
        if outcome in (Outcome.COMMITTED, Outcome.NEEDS_ATTENTION):
            self.model.replica = self._replica_in_the_shape()
        return kind in MOVES and outcome == Outcome.COMMITTED

    def _replica_in_the_shape(self) -> bool:
        """By the records: an instance that is a replica now."""
        return InstanceState.RUNNING_REPLICA in self.cloud.records.states.values()

    def _meanwhile(self, what: str) -> Callable[[], Awaitable[None]]:
        async def happens() -> None:
            if what == "notice":
                await self._notice(False)
            elif what == "notice of the replica":
                await self._notice(True)
            elif what == "restart":
                await self.site.relieve()
            elif what == "cancel":
                await self.server.cancel(self.cloud.records.accepted[-1])
            else:
                self.number += 1
                with suppress(WorkflowUpdateFailedError):  # a replica that is being made is none yet
                    await self.server.ask(K.SWITCH, request_id=f"m{self.number}")

        return happens

    async def _notice(self, of_replica: bool) -> bool:
        view = await self.server.view()
        doomed = view.shape.replica if of_replica else view.shape.primary
        if doomed is not None:
            await self.server.notice(doomed.instance_id)
        return doomed is not None


@pytest.fixture
def machine_site(leases: Leases, tmp_path: Path, broken: TaskFailureLog) -> Iterator[Site]:
    """A server of its own: others would poll the same queues."""
    server = TemporalServer(port=leases.port(), http=leases.port(), log=tmp_path / "temporal.log")
    process = server.process()
    process.start()
    try:
        process.wait_ready()
        with loop_thread("machine") as portal:
            made = Site(server.address, portal, broken)
            yield made
            made.close()
    finally:
        process.stop()


def test_a_server_is_what_its_owner_thinks_it_is_whatever_happens(machine_site: Site) -> None:
    run_state_machine_as_test(
        lambda: Machine(machine_site),  # type: ignore[arg-type]  # whatever makes one will do
        settings=settings(
            max_examples=int(os.environ.get("SPOT_MACHINE_EXAMPLES", EXAMPLES)),
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
