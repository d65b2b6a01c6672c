"""A rescue: where its capacity comes from, what it takes along, and how little has to answer."""

from __future__ import annotations

import pytest

from domain import ec2, host
from domain.errors import Failure
from domain.host import NoticeSource
from domain.operations import SIGNAL_ABORT, OperationKind, Outcome
from domain.records import RECORD, RecordKind
from domain.servers import Handoff
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import OLD, ON_DEMAND, OTHER_ZONE, REPLICA, SPOT, SPOT_2
from tests.workflows.faults import Fault, failing, while_in
from tests.workflows.server_under_test import committed, rolled_back, steps

RESCUE = f"notice/{OLD}/interruption"  # the request ID of the rescue from the first instance


# --- with a replica


@pytest.mark.parametrize("handoff", [Handoff.STATELESS, Handoff.VOLUMES])
async def test_a_ready_replica_takes_over_and_nothing_is_launched(given: Given, handoff: Handoff) -> None:
    server = await given(handoff, replica=True)
    result = committed(await server.result(await server.notice()))
    shape = (await server.at_rest()).shape
    assert result.receipt.to_pool == SPOT_2
    assert shape.primary is not None
    assert (shape.primary.instance_id, shape.replica) == (REPLICA, None)
    assert not server.cloud.called(ec2.LAUNCH)


async def test_a_replica_that_is_silent_is_passed_over(given: Given) -> None:
    server = await given(Handoff.VOLUMES, replica=True)
    server.cloud.mute = {REPLICA}
    server.cloud.fault(failing(host.HOST_READY, times=1))
    committed(await server.result(await server.notice()))
    shape = (await server.at_rest()).shape
    assert shape.primary is not None
    assert shape.primary.instance_id not in (OLD, REPLICA)


# --- without


async def test_several_pools_are_asked_and_the_first_healthy_one_wins(given: Given) -> None:
    server = await given(failover_pools=3)

    async def slow() -> None:
        await server.cloud.until(lambda: bool(server.cloud.called(host.HOST_QUIESCE)))

    server.cloud.fault(while_in(host.HOST_READY, slow, times=2))
    result = committed(await server.result(await server.notice()))
    await server.at_rest()
    assert len(server.cloud.called(ec2.LAUNCH)) == 3
    assert "losers" in steps(result.receipt)
    assert len(server.cloud.ec2_state.alive) == 1, "the others are ended"


async def test_volumes_stay_in_their_zone_when_a_pool_there_has_capacity(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT, failover_pools=1)
    server.cloud.ec2_state.market = [OTHER_ZONE, SPOT]
    result = committed(await server.result(await server.notice()))
    assert (result.receipt.to_pool, result.receipt.handoff) == (SPOT, "volumes")


async def test_with_no_capacity_in_their_zone_volumes_are_copied_to_another(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT)
    server.cloud.empty = {SPOT, SPOT_2, ON_DEMAND}
    result = committed(await server.result(await server.notice()))
    assert (result.receipt.to_pool, result.receipt.handoff) == (OTHER_ZONE, "snapshot")


async def test_a_host_that_cannot_be_fenced_is_gone_before_its_volumes_are_attached(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.mute = {OLD}
    server.cloud.fault(failing(host.HOST_INVENTORY))
    server.cloud.fault(failing(host.HOST_QUIESCE))
    committed(await server.result(await server.notice()))
    story = server.cloud.story
    attached = next(call for call in story if call.startswith("attach_volumes"))
    assert story.index(f"terminate {OLD}") < story.index(attached)


async def test_an_instance_that_is_lost_without_notice_is_found_gone_and_rescued(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.ec2_state.end(OLD)
    view = await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    await server.at_rest()
    assert view.shape.primary is not None
    assert [n["source"] for n in server.cloud.records.of(RecordKind.NOTICE)] == ["lost"]
    assert not server.cloud.called(host.HOST_QUIESCE, OLD)


async def test_after_a_move_to_another_zone_the_lost_instance_is_rescued_from_its_new_volumes(given: Given) -> None:
    server = await given(Handoff.SNAPSHOT)
    committed(await server.switch(pool=OTHER_ZONE))
    view = await server.at_rest()
    assert view.shape.primary is not None
    lost = view.shape.primary.instance_id
    server.cloud.ec2_state.end(lost)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != lost)
    await server.at_rest()


async def test_with_no_replacement_healthy_the_writing_stops_before_the_deadline(given: Given) -> None:
    """FENCE_RESERVE_S before it: a volume that is unmounted in time is whole."""
    server = await given(Handoff.VOLUMES, failover_pools=1)

    async def slow() -> None:
        await server.cloud.until(lambda: bool(server.cloud.called(host.HOST_QUIESCE, OLD)))

    server.cloud.fault(while_in(host.HOST_READY, slow))
    committed(await server.result(await server.notice(seconds=25.5)))
    story = server.cloud.story
    assert story.index(f"host_quiesce {OLD}") < story.index("attach_volumes i-1")


async def test_a_round_that_fails_is_followed_by_another(given: Given) -> None:
    server = await given(Handoff.VOLUMES, failover_pools=1)
    server.cloud.fault(failing(host.HOST_SERVE, times=1))
    result = await server.result(await server.notice())
    assert result.outcome is Outcome.COMMITTED, result.receipt.reason
    assert steps(result.receipt).count("launch") == 2


async def test_a_rescue_that_finds_no_capacity_anywhere_says_so_and_keeps_what_there_is(given_skipping: Given) -> None:
    server = await given_skipping(Handoff.VOLUMES)
    server.cloud.empty = set(server.cloud.ec2_state.market)
    result = await server.result(await server.notice())
    assert result.outcome is Outcome.NEEDS_ATTENTION
    assert server.cloud.ec2_state.alive == [OLD]


async def test_a_rescue_that_a_person_cancels_is_not_begun_again(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    rescues: list[str] = []

    async def cancel() -> None:
        await server.cancel(server.asked_operation(RESCUE))
        await server.until_heard(server.asked_operation(RESCUE), SIGNAL_ABORT)

    server.cloud.fault(while_in(ec2.LAUNCH, cancel))
    rescues.append(await server.notice())
    result = await server.result(rescues[0])
    assert result.outcome is Outcome.CANCELLED
    await server.at_rest()
    assert server.cloud.records.accepted == rescues


async def test_an_instance_that_is_gone_after_its_rescue_came_to_nothing_is_rescued(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    rescues: list[str] = []

    async def cancel() -> None:
        await server.cancel(server.asked_operation(RESCUE))
        await server.until_heard(server.asked_operation(RESCUE), SIGNAL_ABORT)

    server.cloud.fault(while_in(ec2.LAUNCH, cancel))
    rescues.append(await server.notice())
    assert (await server.result(rescues[0])).outcome is Outcome.CANCELLED
    await server.at_rest()
    server.cloud.ec2_state.end(OLD)
    for _ in range(3):
        await server.notice(source=NoticeSource.LOST)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    await server.assert_true()
    assert len(server.cloud.records.accepted) == 2


async def test_a_warning_heard_once_more_after_its_rescue_was_cancelled_changes_nothing(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    rescues: list[str] = []

    async def cancel() -> None:
        await server.cancel(server.asked_operation(RESCUE))
        await server.until_heard(server.asked_operation(RESCUE), SIGNAL_ABORT)

    server.cloud.fault(while_in(ec2.LAUNCH, cancel))
    rescues.append(await server.notice())
    assert (await server.result(rescues[0])).outcome is Outcome.CANCELLED
    await server.notice(source=NoticeSource.EVENTBRIDGE)
    await server.at_rest()
    assert server.cloud.records.accepted == rescues


# --- while the database is down


async def test_a_rescue_does_not_wait_for_its_records_and_they_are_caught_up_in_order(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    down = server.cloud.fault(Fault(RECORD, Failure.UNAVAILABLE))
    rescue = await server.notice()
    view = await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    assert view.shape.primary is not None
    assert server.cloud.records.order == [], "nothing could be written"
    assert view.shape.primary.instance_id in server.cloud.ec2_state.serving
    down.times = 0
    committed(await server.result(rescue))
    await server.at_rest()
    kinds = [record.kind for record in server.cloud.records.applied[f"operation/{rescue}"]]
    assert (kinds[0], kinds[-1]) == (RecordKind.OPERATION_STARTED, RecordKind.OPERATION_FINISHED)


# --- what an operation that was broken off left


async def test_what_a_broken_switch_took_off_a_doomed_instance_is_rescued_with_it(given: Given) -> None:
    """Found by a chaos run: volumes and addresses do not go back to an instance that AWS takes, so a look at it
    tells less than the server has, and its rescue made a server without its data."""
    server = await given(Handoff.VOLUMES, elastic=True)
    ec2_state, rescue = server.cloud.ec2_state, list[str]()

    async def notice() -> None:
        rescue.append(await server.notice())

    # With the volume off the old instance, and the address already on the new one.
    server.cloud.fault(Fault(ec2.ATTACH_VOLUMES, Failure.BAD_STATE, times=1, final=True, meanwhile=notice))
    rolled_back(await server.switch())
    committed(await server.result(rescue[0]))
    shape = (await server.at_rest()).shape
    assert shape.primary is not None
    new = shape.primary.instance_id
    assert [volume.device for volume in ec2_state.attached(new, data=True)] == ["/dev/sdf"]
    assert ec2_state.elastic_on == new
    assert not shape.broken_off


async def test_while_something_of_a_server_is_off_its_primary_no_move_leaves_it_behind(given: Given) -> None:
    server = await given(Handoff.VOLUMES, elastic=True)
    server.cloud.fault(failing(ec2.ATTACH_VOLUMES, Failure.BAD_STATE, times=2))  # to the new one, and back to the old
    server.cloud.fault(failing(host.HOST_SERVE, times=1))  # which finds no volume to mount
    broken = await server.switch()
    assert broken.outcome is Outcome.NEEDS_ATTENTION
    refused = rolled_back(await server.switch())
    assert "vol-2" in refused.receipt.reason
    assert "ask for a failover" in refused.receipt.reason
    committed(await server.do(OperationKind.FAILOVER))
    new = (await server.at_rest()).shape.primary
    assert new is not None
    assert server.cloud.ec2_state.attached(new.instance_id, data=True)
