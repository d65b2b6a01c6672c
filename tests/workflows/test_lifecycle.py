"""The rest of a server's life: adopted, launched, with and without a replica, terminated, released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from temporalio.client import Client

from domain import ec2, host
from domain.adoption import AdoptInput, AdoptResult, LaunchSpec, MoveTerms, Plan, PlanInput
from domain.autopilot.maintenance_windows import MaintenanceWindow, Weekday
from domain.autopilot.policy import AutopilotPolicy
from domain.names import CONTROL_QUEUE, TAG_SERVER, operation_id, server_workflow_id
from domain.operations import (
    ADOPT_WORKFLOW,
    PLAN_WORKFLOW,
    QUERY_STATE,
    SERVER_WORKFLOW,
    OperationKind,
    Outcome,
    ServerInput,
    ServerView,
)
from domain.records import RecordKind
from domain.servers import Handoff, ServerPolicy, ServerRef
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import HOME, OLD, REGION, REPLICA, SPOT, SPOT_2
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.faults import failing, too_late, while_in
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog, committed, rolled_back

# --- a replica


@pytest.mark.parametrize("handoff", [Handoff.STATELESS, Handoff.VOLUMES])
async def test_a_replica_is_made_in_another_pool_promoted_and_dropped(given: Given, handoff: Handoff) -> None:
    server = await given(handoff)
    committed(await server.do(OperationKind.REPLICA_CREATE))
    shape = (await server.at_rest()).shape
    assert shape.replica is not None
    assert (shape.replica.instance_id, shape.replica.pool) == ("i-1", SPOT)
    committed(await server.do(OperationKind.PROMOTE))
    shape = (await server.at_rest()).shape
    assert shape.primary is not None
    assert (shape.primary.instance_id, shape.replica) == ("i-1", None)
    committed(await server.do(OperationKind.REPLICA_CREATE, pool=SPOT_2))
    committed(await server.do(OperationKind.REPLICA_DROP))
    assert server.cloud.ec2_state.alive == ["i-1"]


async def test_a_promotion_that_fails_leaves_the_replica_a_replica(given: Given) -> None:
    server = await given(Handoff.VOLUMES, replica=True)
    server.cloud.fault(failing(host.HOST_SERVE, times=1))
    rolled_back(await server.do(OperationKind.PROMOTE))
    shape = (await server.at_rest()).shape
    assert shape.replica is not None
    assert server.cloud.records.states[REPLICA] == "running_replica"
    assert sorted(server.cloud.ec2_state.alive) == [OLD, REPLICA]


async def test_a_replica_that_does_not_get_ready_is_ended(given: Given) -> None:
    server = await given()
    server.cloud.fault(failing(host.HOST_READY))
    rolled_back(await server.do(OperationKind.REPLICA_CREATE))
    assert (await server.at_rest()).shape.replica is None
    assert server.cloud.ec2_state.alive == [OLD]


@pytest.mark.parametrize("kind", [OperationKind.REPLICA_DROP, OperationKind.TERMINATE])
async def test_what_died_with_an_instance_leaves_the_ledger_with_it(given: Given, kind: OperationKind) -> None:
    """EC2 tells no volumes of an instance that has ended: they are known from before."""
    server = await given(Handoff.VOLUMES)
    cloud = server.cloud
    cloud.heard |= {one: asyncio.Queue() for one in (OLD, "i-1")}  # watched: it is not noticed before it is asked for
    committed(await server.do(OperationKind.REPLICA_CREATE))
    ended = "i-1" if kind is OperationKind.REPLICA_DROP else OLD
    (root,) = [one.volume_id for one in cloud.ec2_state.attached(ended) if one.root]
    held = set(cloud.records.ledger.values())
    cloud.ec2_state.end(ended)
    committed(await server.do(kind))
    assert root in held
    assert root not in set(cloud.records.ledger.values())


# --- the end


async def test_terminated_it_leaves_its_data_and_the_server_has_ended(given: Given) -> None:
    server = await given(Handoff.VOLUMES, replica=True)
    committed(await server.do(OperationKind.TERMINATE))
    await server.handle.result()
    ec2_state = server.cloud.ec2_state
    assert ec2_state.alive == []
    assert [v.device for v in ec2_state.volumes.values()] == ["/dev/sdf"], "what holds data is always left"
    assert ec2_state.owned() == set(), "and is no longer ours"
    assert server.cloud.records.of(RecordKind.SERVER_ENDED) == [{"how": "terminated"}]


async def test_terminated_after_a_switch_it_lets_go_of_the_volumes_it_has_now(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT)
    committed(await server.switch(pool="us-east-1b/m5.large/spot"))
    committed(await server.do(OperationKind.TERMINATE))
    await server.handle.result()
    assert server.cloud.ec2_state.owned() == set()


async def test_a_termination_that_is_not_confirmed_in_time_is_no_success(given: Given) -> None:
    server = await given()
    server.cloud.fault(too_late(ec2.CONFIRM_TERMINATED, times=1))
    result = await server.do(OperationKind.TERMINATE)
    assert result.outcome is Outcome.NEEDS_ATTENTION
    assert server.cloud.records.of(RecordKind.OPERATION_ATTENTION)


async def test_released_everything_runs_on_without_our_tags(given: Given) -> None:
    server = await given(Handoff.VOLUMES, replica=True)
    committed(await server.switch())
    committed(await server.do(OperationKind.RELEASE))
    await server.handle.result()
    ec2_state = server.cloud.ec2_state
    assert sorted(ec2_state.alive) == ["i-1", REPLICA]
    assert [one for one in ec2_state.instances.values() if one.alive and TAG_SERVER in one.tags] == []
    assert [one for one in ec2_state.volumes.values() if TAG_SERVER in one.tags] == []


async def test_what_waits_when_the_server_ends_is_cancelled(given: Given) -> None:
    server = await given()

    async def terminate_then_more() -> None:
        await server.ask(OperationKind.TERMINATE, request_id="end")
        await server.ask(OperationKind.REPLICA_CREATE, request_id="too-late")

    server.cloud.fault(while_in(ec2.SURVEY, terminate_then_more))
    committed(await server.switch())
    await server.handle.result()
    assert server.cloud.records.finished[operation_id(server.ref.server_id, "too-late")] == "cancelled"


# --- a new server


@pytest_asyncio.fixture(loop_scope="session")
async def unborn(
    dev: Client, fakes: FakeActivities, broken: TaskFailureLog, request: pytest.FixtureRequest
) -> AsyncIterator[ServerUnderTest]:
    """A server that is described and has no instance yet."""
    fakes.cloud = FakeCloud(Handoff.STATELESS)
    fakes.cloud.ec2_state.instances.clear()
    fakes.cloud.ec2_state.volumes.clear()
    ref = ServerRef(f"srv-{abs(hash(request.node.nodeid)):x}", "cli-1", "orders", REGION)
    handle = await dev.start_workflow(
        SERVER_WORKFLOW,
        ServerInput(ref, ServerPolicy()),
        id=server_workflow_id(ref.server_id),
        task_queue=CONTROL_QUEUE,
    )
    server = ServerUnderTest(dev, Clock(dev, skips=False), fakes.cloud, broken, ref, handle)
    yield server
    await server.end()


async def test_a_new_server_is_launched_with_its_data_volumes(unborn: ServerUnderTest) -> None:
    spec = LaunchSpec("ami-1", SPOT, subnet_id="subnet-us-east-1a", data_volumes_gib=[20])
    committed(await unborn.do(OperationKind.LAUNCH, launch=spec))
    view = await unborn.at_rest()
    assert view.shape.primary is not None
    assert view.shape.primary.instance_id == "i-1"
    assert unborn.cloud.records.primary == "i-1"
    first, *_ = [record for _, record in unborn.cloud.records.order]
    assert (first.kind, first.payload["name"]) == (RecordKind.SERVER_ADOPTED, "orders")
    assert unborn.cloud.ec2_state.owned() == unborn.cloud.records.holds


async def test_a_launch_that_gets_nothing_leaves_nothing(unborn: ServerUnderTest) -> None:
    unborn.cloud.empty = {SPOT}
    spec = LaunchSpec("ami-1", SPOT, subnet_id="subnet-us-east-1a")
    rolled_back(await unborn.do(OperationKind.LAUNCH, launch=spec))
    view = await unborn.at_rest()
    assert view.shape.primary is None
    assert unborn.cloud.ec2_state.owned() == unborn.cloud.records.holds == set()
    assert not unborn.cloud.records.intended
    await unborn.handle.result()
    assert [one["how"] for one in unborn.cloud.records.of(RecordKind.SERVER_ENDED)] == ["never launched"]


# --- adoption and plans


class Adopter:
    def __init__(self, client: Client, fakes: FakeActivities, name: str) -> None:
        self.client, self.fakes = client, fakes
        self.ref = ServerRef(f"srv-{name}", "cli-1", "orders", REGION)

    def cloud(self, handoff: Handoff) -> FakeCloud:
        self.fakes.cloud = FakeCloud(handoff, elastic=True)
        return self.fakes.cloud

    async def adopt(self, handoff: Handoff, **how: object) -> AdoptResult:
        given = AdoptInput(self.ref, OLD, ServerPolicy(handoff=handoff), **how)  # type: ignore[arg-type]
        result: AdoptResult = await self.client.execute_workflow(
            ADOPT_WORKFLOW, given, id=f"adopt/{self.ref.server_id}", task_queue=CONTROL_QUEUE, result_type=AdoptResult
        )
        return result

    async def leave(self) -> None:
        """End the server's workflow, once its look at the host is over: the next test's host has the same name."""
        cloud = self.fakes.cloud
        await cloud.until(lambda: any(call.name == host.HOST_INVENTORY for call in cloud.calls))
        await self.client.get_workflow_handle(server_workflow_id(self.ref.server_id)).terminate()


@pytest.fixture
def adopter(dev: Client, fakes: FakeActivities, request: pytest.FixtureRequest) -> Adopter:
    return Adopter(dev, fakes, f"{abs(hash(request.node.nodeid)):x}")


async def test_an_adopted_instance_is_recorded_tagged_and_has_its_workflow(adopter: Adopter) -> None:
    cloud = adopter.cloud(Handoff.VOLUMES)
    result = await adopter.adopt(Handoff.VOLUMES)
    assert result.server_id == adopter.ref.server_id
    assert result.placement is not None
    assert (result.placement.instance_id, result.placement.pool) == (OLD, HOME)
    handle = adopter.client.get_workflow_handle(server_workflow_id(adopter.ref.server_id))
    view = await handle.query(QUERY_STATE, result_type=ServerView)
    assert view.shape.primary == result.placement
    assert {one for one in cloud.records.holds if not one.startswith("eip")} == cloud.ec2_state.owned()
    await adopter.leave()


async def test_what_would_be_lost_refuses_the_adoption_and_changes_nothing(adopter: Adopter) -> None:
    cloud = adopter.cloud(Handoff.VOLUMES)
    _dying(cloud)
    result = await adopter.adopt(Handoff.VOLUMES)
    assert result.server_id == ""
    finding = next(one for one in result.findings if one.code == "volume_dies_with_instance")
    assert "modify-instance-attribute" in finding.mend
    assert cloud.ec2_state.owned() == set()
    assert cloud.records.order == []


async def test_volumes_that_would_die_are_kept_when_the_owner_lets_us_mend(adopter: Adopter) -> None:
    cloud = adopter.cloud(Handoff.VOLUMES)
    _dying(cloud)
    result = await adopter.adopt(Handoff.VOLUMES, mend=True)
    assert result.server_id
    assert not any(v.dies_with_instance for v in cloud.ec2_state.attached(OLD, data=True))
    await adopter.leave()


async def test_a_dry_run_tells_what_moves_and_changes_nothing(adopter: Adopter) -> None:
    cloud = adopter.cloud(Handoff.VOLUMES)
    result = await adopter.adopt(Handoff.VOLUMES, dry_run=True)
    assert result.server_id == ""
    assert any("/dev/sdf" in one for one in result.moves)
    assert {call.name for call in cloud.calls} == {ec2.INSPECT}


async def test_a_plan_tells_the_steps_in_order_and_changes_nothing(adopter: Adopter) -> None:
    cloud = adopter.cloud(Handoff.VOLUMES)
    given = PlanInput(adopter.ref, ServerPolicy(handoff=Handoff.VOLUMES), cloud.ec2_state.placement(OLD))
    plan: Plan = await adopter.client.execute_workflow(
        PLAN_WORKFLOW, given, id=f"plan/{adopter.ref.server_id}", task_queue=CONTROL_QUEUE, result_type=Plan
    )
    names = [step.name for step in plan.steps]
    assert names == ["plan", "launch", "ready", "fence", "move", "serve", "commit", "retire", "receipt"]
    assert str(plan.candidates[0].pool) == SPOT
    assert [step.name for step in plan.steps if step.point_of_no_return] == ["commit"]
    assert cloud.story == []


async def test_a_plan_with_its_terms_tells_what_the_move_costs(adopter: Adopter) -> None:
    """To the end of a volume's move: 18 s at 36 USD an hour. The old instance stays for an hour more."""
    cloud = adopter.cloud(Handoff.VOLUMES)
    wish = AutopilotPolicy(
        outage_usd_per_hour=36.0,
        keep_old_s=3600.0,
        windows=[MaintenanceWindow("22:00", "06:00", [Weekday.SUNDAY])],
        frozen_until=datetime(2026, 1, 1, tzinfo=UTC),
    )
    policy, terms = ServerPolicy(handoff=Handoff.VOLUMES), MoveTerms("m5.large", wish)
    given = PlanInput(adopter.ref, policy, cloud.ec2_state.placement(OLD), terms=terms)
    plan: Plan = await adopter.client.execute_workflow(
        PLAN_WORKFLOW, given, id=f"plan/{adopter.ref.server_id}", task_queue=CONTROL_QUEUE, result_type=Plan
    )
    assert plan.move is not None
    assert plan.move.overlap_usd == pytest.approx(1.1 * plan.hourly_now)
    assert plan.move.outage_usd == pytest.approx(36.0 * plan.expected_outage_s / 3600)
    assert plan.move.snapshot_usd == 0.0
    [asked] = [call.argument for call in cloud.calls if call.name == ec2.SURVEY]
    assert asked.home_type == "m5.large"


def _dying(cloud: FakeCloud) -> None:
    for volume in cloud.ec2_state.attached(OLD, data=True):
        volume.dies_with_instance = True
