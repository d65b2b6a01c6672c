"""A switch: capacity first, nothing lost, undone when it cannot be finished."""

from __future__ import annotations

import pytest

from domain import ec2, host
from domain.errors import Failure
from domain.operations import SIGNAL_ABORT, OperationKind, Outcome
from domain.records import RecordKind
from domain.servers import Handoff, Retire
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import HOME, OLD, OTHER_ZONE, SPOT, SPOT_2
from tests.workflows.faults import Fault, failing, stuck, too_late, unanswered, while_in
from tests.workflows.server_under_test import CANCELLATION, committed, rolled_back, steps

FENCED_FIRST = ["plan", "launch", "ready", "copy", "fence", "move", "serve", "commit", "retire", "receipt"]
SERVED_FIRST = ["plan", "launch", "ready", "copy", "serve", "move", "fence", "commit", "retire", "receipt"]


# --- it commits


async def test_a_stateless_server_serves_from_the_new_instance_before_the_old_one_drains(given: Given) -> None:
    server = await given(targets=True)
    result = committed(await server.switch())
    assert steps(result.receipt) == SERVED_FIRST
    assert server.cloud.story == [
        f"launch {SPOT}",
        "host_ready i-1",
        "register_targets i-1",
        f"deregister_targets {OLD}",
        f"host_quiesce {OLD}",
        f"terminate {OLD}",
    ]
    assert server.cloud.ec2_state.alive == ["i-1"]
    assert (result.receipt.from_pool, result.receipt.to_pool, result.receipt.control_outage_ms) == (HOME, SPOT, 0)


async def test_volumes_are_fenced_then_detached_then_attached_then_served(given: Given) -> None:
    server = await given(Handoff.VOLUMES, elastic=True)
    result = committed(await server.switch())
    assert steps(result.receipt) == FENCED_FIRST
    moved = [call for call in server.cloud.story if not call.startswith("move_addresses")]
    assert moved == [
        f"launch {SPOT}",
        "host_ready i-1",
        f"host_quiesce {OLD}",
        f"detach_volumes {OLD}",
        "attach_volumes i-1",
        "host_resume i-1",
        f"terminate {OLD}",
    ]
    assert server.cloud.ec2_state.elastic_on == "i-1"
    assert result.receipt.control_outage_ms is not None


async def test_a_snapshot_is_taken_while_it_serves_and_again_when_it_has_stopped(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT)
    committed(await server.switch(pool=OTHER_ZONE))
    story = server.cloud.story
    assert [call.split()[0] for call in story] == [
        "launch",
        "host_ready",
        "create_snapshots",
        "host_quiesce",
        "create_snapshots",
        "create_volumes",
        "attach_volumes",
        "host_resume",
        "terminate",
        "delete_volumes",
        "delete_snapshots",
    ]
    assert len(server.cloud.ec2_state.snapshots) == 1, "the last one is kept until the next"
    shape = (await server.view()).shape
    assert shape.kept_snapshots == list(server.cloud.ec2_state.snapshots)


async def test_the_known_blueprint_is_that_of_the_new_instance(given: Given) -> None:
    """A rescue of an instance that is gone has nothing else to go by."""
    server = await given(Handoff.SNAPSHOT)
    committed(await server.switch(pool=OTHER_ZONE))
    known = (await server.at_rest()).shape.blueprint
    assert known is not None
    assert known.zone == "us-east-1b"
    assert {device.volume_id for device in known.block_devices} == set(server.cloud.ec2_state.volumes)


async def test_a_second_switch_follows_the_first(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    committed(await server.switch())
    result = committed(await server.switch(pool=SPOT_2))
    assert (result.receipt.from_pool, result.receipt.to_pool) == (SPOT, SPOT_2)


async def test_the_old_instance_stays_as_the_replica_when_its_owner_wants_that(given: Given) -> None:
    server = await given(targets=True, retire=Retire.KEEP_REPLICA)
    committed(await server.switch())
    shape = (await server.at_rest()).shape
    assert shape.replica is not None
    assert shape.replica.instance_id == OLD
    committed(await server.do(OperationKind.PROMOTE))  # and can take over again


async def test_a_kept_replica_lets_go_of_volumes_that_were_copied(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT, retire=Retire.KEEP_REPLICA)
    committed(await server.switch(pool=OTHER_ZONE))
    assert server.cloud.ec2_state.attached(OLD, data=True) == []


async def test_an_answer_that_was_lost_is_asked_for_again_and_makes_nothing_twice(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT)
    for name in (ec2.LAUNCH, ec2.CREATE_SNAPSHOTS, ec2.CREATE_VOLUMES, ec2.ATTACH_VOLUMES, ec2.TERMINATE):
        server.cloud.fault(Fault(name, Failure.UNAVAILABLE, times=1, did_it=True))
    committed(await server.switch(pool=OTHER_ZONE))
    assert len(server.cloud.ec2_state.alive) == 1


# --- capacity


async def test_an_empty_pool_is_followed_by_the_next(given: Given) -> None:
    server = await given()
    server.cloud.empty = {SPOT}
    result = committed(await server.switch())
    assert result.receipt.to_pool == SPOT_2
    assert [tried.split(":")[0] for tried in result.receipt.tried_pools] == [SPOT]
    assert SPOT in (await server.view()).shape.cool_downs, "invariant 10"


async def test_when_every_pool_is_empty_nothing_has_changed(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.empty = set(server.cloud.ec2_state.market)
    result = rolled_back(await server.switch())
    assert "no capacity" in result.receipt.reason
    assert server.cloud.ec2_state.alive == [OLD]
    assert not server.cloud.called(host.HOST_QUIESCE), "the old instance served all the time"


async def test_a_launch_that_is_confirmed_too_late_is_given_up_for_the_next_pool(given: Given) -> None:
    server = await given()
    server.cloud.fault(too_late(ec2.CONFIRM_RUNNING, where=lambda given: given.instance_id == "i-1"))
    result = committed(await server.switch())
    assert result.receipt.to_pool == SPOT_2
    assert server.cloud.ec2_state.alive == ["i-2"]


async def test_a_launch_whose_answer_was_lost_for_good_is_found_and_ended(given: Given) -> None:
    server = await given()
    server.cloud.fault(unanswered(ec2.LAUNCH))
    rolled_back(await server.switch())
    assert server.cloud.ec2_state.instances["i-1"].state == "terminated"


async def test_a_launch_that_failed_for_good_is_searched_for_before_it_counts_as_never_made(
    given_skipping: Given,
) -> None:
    server = await given_skipping()
    server.cloud.fault(failing(ec2.LAUNCH, Failure.UNAVAILABLE))
    rolled_back(await server.switch())
    assert len(server.cloud.called(ec2.FIND_BY_TOKEN)) > 1


async def test_a_pool_that_rests_is_not_chosen(given: Given) -> None:
    server = await given()
    server.cloud.cool_downs = {SPOT: 4e9}
    assert committed(await server.switch()).receipt.to_pool == SPOT_2
    assert len(server.cloud.called(ec2.CHECK_LAUNCH)) == 1, "the survey had tried the pool that rests"


# --- refused before anything is launched


async def test_what_would_lose_state_is_refused_before_anything_is_launched(given: Given) -> None:
    server = await given()
    server.cloud.ec2_state.attributes = {"root_device_type": "instance-store"}
    result = rolled_back(await server.switch())
    assert "cannot be copied" in result.receipt.reason
    assert server.cloud.story == []


async def test_a_missing_permission_is_named_before_anything_is_launched(given: Given) -> None:
    server = await given()
    server.cloud.denied = ["ec2:RunInstances"]
    result = rolled_back(await server.switch())
    assert "ec2:RunInstances" in result.receipt.reason
    assert server.cloud.story == []


# --- it rolls back


@pytest.mark.parametrize("handoff", [Handoff.STATELESS, Handoff.VOLUMES])
async def test_a_replacement_that_never_becomes_healthy_is_ended(given: Given, handoff: Handoff) -> None:
    server = await given(handoff)
    server.cloud.fault(failing(host.HOST_READY))
    result = rolled_back(await server.switch())
    assert "HostFailed" in result.receipt.reason
    assert server.cloud.ec2_state.alive == [OLD]


async def test_a_workload_that_does_not_start_on_the_new_host_goes_on_on_the_old_one(given: Given) -> None:
    server = await given(Handoff.VOLUMES, elastic=True)
    server.cloud.fault(failing(host.HOST_SERVE, times=1))
    rolled_back(await server.switch())
    assert [v.attached_to for v in server.cloud.ec2_state.volumes.values()] == [OLD, OLD]
    assert server.cloud.ec2_state.elastic_on == OLD
    story = server.cloud.story
    assert story.index("host_quiesce i-1") < story.index(f"attach_volumes {OLD}") < story.index(f"host_resume {OLD}")


@pytest.mark.parametrize(
    ("handoff", "fault"),
    [
        (Handoff.STATELESS, failing(ec2.SURVEY, Failure.UNAVAILABLE)),
        (Handoff.STATELESS, failing(host.HOST_READY)),
        (Handoff.STATELESS, failing(ec2.REGISTER_TARGETS, Failure.UNAVAILABLE)),
        (Handoff.STATELESS, stuck(ec2.CONFIRM_TARGETS)),
        (Handoff.STATELESS, failing(ec2.DEREGISTER_TARGETS, Failure.UNAVAILABLE, times=1)),
        (Handoff.STATELESS, failing(host.HOST_QUIESCE, times=1)),
        (Handoff.STATELESS, unanswered(host.HOST_QUIESCE, times=1)),
        (Handoff.VOLUMES, failing(host.HOST_INVENTORY, times=0)),
        (Handoff.VOLUMES, failing(host.HOST_QUIESCE, times=1)),
        (Handoff.VOLUMES, unanswered(host.HOST_QUIESCE, times=1)),
        (Handoff.VOLUMES, failing(ec2.DETACH_VOLUMES, Failure.BAD_STATE, times=1)),
        (Handoff.VOLUMES, unanswered(ec2.DETACH_VOLUMES, times=1)),
        (Handoff.VOLUMES, failing(ec2.ATTACH_VOLUMES, Failure.BAD_STATE, times=1)),
        (Handoff.VOLUMES, unanswered(ec2.ATTACH_VOLUMES, times=1)),
        (Handoff.VOLUMES, unanswered(ec2.MOVE_ADDRESSES, times=1)),
        (Handoff.VOLUMES, failing(host.HOST_SERVE, times=1)),
        (Handoff.VOLUMES, unanswered(host.HOST_SERVE, times=1)),
        (Handoff.VOLUMES, failing(ec2.MATCH_ATTRIBUTES, Failure.PERMISSION_MISSING)),
        (Handoff.SNAPSHOT, unanswered(ec2.CREATE_SNAPSHOTS, times=1)),
        (Handoff.SNAPSHOT, unanswered(ec2.CREATE_SNAPSHOTS, times=1, skip=1)),
        (Handoff.SNAPSHOT, failing(ec2.CONFIRM_SNAPSHOTS, Failure.BAD_STATE, skip=1)),
        (Handoff.SNAPSHOT, unanswered(ec2.CREATE_VOLUMES, times=1)),
        (Handoff.SNAPSHOT, unanswered(ec2.ATTACH_VOLUMES, times=1)),
    ],
    ids=lambda value: f"{value.failure} in {value.activity}" if isinstance(value, Fault) else value.value,
)
async def test_a_step_that_fails_leaves_the_server_as_it_was(given: Given, handoff: Handoff, fault: Fault) -> None:
    server = await given(handoff, targets=handoff is Handoff.STATELESS, elastic=handoff is Handoff.VOLUMES)
    if handoff is Handoff.SNAPSHOT:
        server.cloud.ec2_state.market = [OTHER_ZONE]
    fault = server.cloud.fault(_fresh(fault))
    if fault.times == 0:
        fault.times, fault.hits = 10**6, 0
        committed(await server.switch())  # the filesystems are known already
        return
    rolled_back(await server.switch())
    assert fault.hits
    ec2_state = server.cloud.ec2_state
    assert ec2_state.alive == [OLD]
    assert [v.volume_id for v in ec2_state.attached(OLD)] == list(ec2_state.volumes)
    assert ec2_state.snapshots == {}
    assert not ec2_state.has_targets or ec2_state.registered == {OLD}


@pytest.mark.parametrize("fault", [unanswered(host.HOST_SERVE, times=1), failing(ec2.MATCH_ATTRIBUTES)])
async def test_a_copy_that_is_given_up_has_acknowledged_nothing(given: Given, fault: Fault) -> None:
    """What the new host wrote stays on its copy: so clients reach it only past the commit."""
    server = await given(Handoff.SNAPSHOT, elastic=True)
    server.cloud.fault(_fresh(fault))
    rolled_back(await server.switch(pool=OTHER_ZONE))
    assert not server.cloud.called(ec2.MOVE_ADDRESSES, "i-1")


def _fresh(fault: Fault) -> Fault:
    """Faults count: each test has its own."""
    return Fault(fault.activity, fault.failure, fault.times, fault.skip, fault.did_it, fault.final)


async def test_an_unexplained_change_fails_the_switch_before_its_commit(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.altered = {"user_data_base64": "c2VjcmV0"}
    result = rolled_back(await server.switch())
    assert "user_data_base64" in result.receipt.reason
    assert "c2VjcmV0" not in result.receipt.reason, "user data may hold secrets"
    assert result.receipt.unexplained_changes == 1


async def test_what_cannot_be_undone_needs_attention(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.fault(failing(host.HOST_SERVE, times=2))  # neither the new host nor the old one
    result = await server.switch()
    assert result.outcome is Outcome.NEEDS_ATTENTION
    assert "old workload" in result.receipt.reason
    server.cloud.ec2_state.start_workload(server.cloud.ec2_state.instances[OLD])  # a person did


async def test_an_old_instance_that_does_not_end_in_time_needs_attention_and_is_ended_all_the_same(
    given: Given,
) -> None:
    server = await given()
    server.cloud.fault(too_late(ec2.CONFIRM_TERMINATED, times=1))
    result = await server.switch()
    assert result.outcome is Outcome.NEEDS_ATTENTION
    assert f"{OLD} is not terminated" in result.receipt.reason
    assert server.cloud.records.of(RecordKind.OPERATION_ATTENTION)


# --- it is cancelled


@pytest.mark.parametrize("moment", [host.HOST_READY, host.HOST_QUIESCE, ec2.ATTACH_VOLUMES, host.HOST_SERVE])
async def test_cancelled_before_its_commit_it_is_undone(given: Given, moment: str) -> None:
    server = await given(Handoff.VOLUMES)

    async def cancel() -> None:
        await server.cancel(server.asked_operation())
        await server.until_heard(server.asked_operation(), SIGNAL_ABORT)

    server.cloud.fault(while_in(moment, cancel))
    result = await server.switch()
    assert result.outcome is Outcome.CANCELLED, result.receipt.reason
    assert server.cloud.ec2_state.alive == [OLD]


async def test_cancelled_while_it_launches_what_was_launched_is_ended(given: Given) -> None:
    server = await given()

    async def cancel() -> None:
        await server.cancel(server.asked_operation())

    server.cloud.fault(while_in(ec2.LAUNCH, cancel))
    result = await server.switch()
    assert result.outcome is Outcome.CANCELLED
    assert server.cloud.ec2_state.alive == [OLD]


async def test_cancelled_after_its_commit_it_goes_on(given: Given) -> None:
    server = await given()

    async def cancel() -> None:
        await server.cancel(server.asked_operation())

    server.cloud.fault(while_in(ec2.TERMINATE, cancel))
    committed(await server.switch())


async def test_a_new_primary_that_ends_right_after_the_commit_is_no_matter_for_a_person(given: Given) -> None:
    """Its rescue is an operation of its own; the switch has done what was asked."""
    server = await given(Handoff.VOLUMES)
    # Protection is set after the commit alone.
    server.cloud.fault(failing(ec2.MATCH_ATTRIBUTES, Failure.GONE, times=1, where=lambda given: given.protection))
    result = await server.switch()
    committed(result)
    assert any("not compared once more" in step.note for step in result.receipt.steps)
    assert server.cloud.ec2_state.alive == ["i-1"]
    assert not server.cloud.records.of(RecordKind.OPERATION_ATTENTION)


async def test_a_cancellation_in_temporal_is_undone_too(given: Given) -> None:
    server = await given(Handoff.VOLUMES)

    async def cancel() -> None:
        await server.operation(server.asked_operation()).cancel()
        await server.until_heard(server.asked_operation(), CANCELLATION)

    server.cloud.fault(while_in(host.HOST_QUIESCE, cancel))
    result = await server.switch()
    assert result.outcome is Outcome.CANCELLED
