"""One client's fleet on the lab's market and a real database, and the autopilot over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from temporalio.testing import ActivityEnvironment

from activities.autopilot.activity import AutopilotActivities
from db.autopilot.decisions import change_decision_state
from db.engine.session import SessionFactory, in_transaction
from db.tables import DecisionRow, ExperienceRow, Instance, Operation, PoolFactRow, PoolRow, PriceCollection, Server
from domain.autopilot import contract
from domain.autopilot.policy import AutopilotPreferences, AutoSwitch
from domain.autopilot.policy_gates import DecisionState
from domain.operations import AcceptedRequest, OperationRequest
from domain.servers import Handoff, ServerPolicy
from tests.database_schemas import unique
from tests.integration.lab_cloud import REGION, A, Cloud

AT_ONCE = 8  # launches
HOME = f"{A}/m5.large/on-demand"
ON = AutopilotPreferences(auto_switch=AutoSwitch.ON, minimum_stay_h=0)
PROPOSE = replace(ON, auto_switch=AutoSwitch.PROPOSE)


class FakeWorkflows:
    """Stands for the workflows of servers that the autopilot asks."""

    def __init__(self) -> None:
        self.asked: list[OperationRequest] = []
        self.error: Exception | None = None

    def get_workflow_handle(self, workflow_id: str) -> Any:
        return self

    async def execute_update(self, name: str, request: OperationRequest, **_: Any) -> AcceptedRequest:
        if self.error:
            raise self.error
        self.asked.append(request)
        return AcceptedRequest(f"op-{request.request_id}")


class RunningInstances:
    """Instances to take for servers. They are launched some at a time: the lab lets each launch take its time."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._ready: dict[bool, list[str]] = {True: [], False: []}

    def take(self, with_data: bool) -> str:
        """`with_data`: with a data volume of 10 GiB beside its root volume."""
        ready = self._ready[with_data]
        if not ready:
            bare: dict[str, Any] = {} if with_data else {"BlockDeviceMappings": None}
            ready += self._cloud.originals(AT_ONCE, **bare)
        return ready.pop()


@dataclass
class Site:
    """One client's fleet, and the autopilot over it."""

    sessions: SessionFactory
    client_id: str
    cloud: Cloud
    instances: RunningInstances
    workflows: FakeWorkflows = field(default_factory=FakeWorkflows)

    def __post_init__(self) -> None:
        self.autopilot = AutopilotActivities(self.sessions, self.cloud.clients, self.workflows)

    def server(self, wish: AutopilotPreferences, handoff: Handoff = Handoff.STATELESS, **policy: Any) -> str:
        """With a data volume, unless it is stateless: adoption refuses a stateless server that has one."""
        server_id, now = unique("srv"), datetime.now(UTC)
        instance_id = self.instances.take(with_data=handoff is not Handoff.STATELESS)
        kept = asdict(ServerPolicy(handoff=handoff, autopilot=wish, **policy))
        with self.sessions.begin() as session:
            session.add(
                Server(
                    id=server_id,
                    client_id=self.client_id,
                    name=server_id,
                    region=REGION,
                    handoff="stateless",
                    policy=kept,
                    created_at=now,
                    updated_at=now,
                )
            )
            session.add(
                Instance(
                    id=instance_id,
                    server_id=server_id,
                    client_id=self.client_id,
                    state="running_primary",
                    role="primary",
                    pool=HOME,
                    region=REGION,
                    zone=A,
                    instance_type="m5.large",
                    created_at=now,
                    updated_at=now,
                )
            )
        return server_id

    def run(self, activity: Callable[..., Any], given: object) -> Any:
        return ActivityEnvironment().run(activity, given)

    def run_pass(self, most_moves: int = 20) -> contract.EvaluateResult:
        found: contract.EvaluateResult = self.run(self.autopilot.evaluate, contract.EvaluateInput(most_moves))
        return found

    def ask(self, one: contract.AskServerInput) -> str:
        found: str = asyncio.run(self.run(self.autopilot.ask, one))
        return found

    def reconsider(self, decision_id: str) -> contract.ReconsiderResult:
        found: contract.ReconsiderResult = self.run(self.autopilot.reconsider, contract.ReconsiderInput(decision_id))
        return found

    def decisions(self, server_id: str) -> list[DecisionRow]:
        with self.sessions() as session:
            query = select(DecisionRow).where(DecisionRow.server_id == server_id).order_by(DecisionRow.at)
            return list(session.scalars(query))

    def change(self, statement: Any) -> None:
        with self.sessions.begin() as session:
            session.execute(statement)

    def policy(self, server_id: str, wish: AutopilotPreferences) -> None:
        kept = asdict(ServerPolicy(autopilot=wish))
        self.change(update(Server).where(Server.id == server_id).values(policy=kept, version=Server.version + 1))

    def change_state(
        self, decision_id: str, state: DecisionState, *expected: DecisionState, by: str = "autopilot"
    ) -> None:
        now = datetime.now(UTC)
        done = in_transaction(
            self.sessions, lambda s: change_decision_state(s, decision_id, state, now, by=by, expected=expected)
        )
        assert done is not None


@pytest.fixture(scope="module")
def running_instances(cloud: Cloud) -> RunningInstances:
    return RunningInstances(cloud)


@pytest.fixture
def site(sessions: SessionFactory, client_id: str, clean: Cloud, running_instances: RunningInstances) -> Iterator[Site]:
    yield Site(sessions, client_id, clean, running_instances)
    with sessions.begin() as session:
        session.execute(update(Server).values(state="ended"))
        for table in (PoolRow, PoolFactRow, ExperienceRow, PriceCollection):
            session.execute(delete(table))


def finished_operation(operation: str, server: str, client: str, kind: str, by: str) -> Operation:
    now = datetime.now(UTC)
    return Operation(
        id=operation,
        server_id=server,
        client_id=client,
        kind=kind,
        priority=25,
        status="committed",
        requested_by=by,
        requested_at=now,
        finished_at=now,
    )


def running_switch(operation: str, server: str, client: str, pool: str = "", **more: Any) -> Operation:
    one = finished_operation(operation, server, client, "switch", "autopilot")
    one.status, one.finished_at, one.asked_pool = "running", None, pool
    for name, value in more.items():
        setattr(one, name, value)
    return one


def cool_down(site: Site, pool: str) -> None:
    zone, kind, lifecycle = pool.split("/")
    until = datetime.now(UTC) + timedelta(hours=1)
    with site.sessions.begin() as session:
        session.merge(
            PoolRow(
                id=pool,
                region=REGION,
                zone=zone,
                instance_type=kind,
                lifecycle=lifecycle,
                cool_down_until=until,
                cool_down_reason="NoCapacity",
            )
        )
