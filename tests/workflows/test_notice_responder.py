"""Notices: acted on once, whatever else goes on."""

from __future__ import annotations

import asyncio

import pytest

from domain import ec2, host
from domain.autopilot.contract import RECONSIDER
from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import EMERGENCY_QUEUE
from domain.operations import SIGNAL_ABORT, SIGNAL_NOTICE, OperationKind, Outcome
from domain.records import RecordKind
from domain.servers import Handoff
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import HOME, OLD, REPLICA, SPOT
from tests.workflows.faults import while_in
from tests.workflows.server_under_test import committed, rolled_back

RESCUE = f"notice/{OLD}/interruption"  # the request ID of the rescue from the first instance


# --- one notice


@pytest.mark.parametrize("handoff", [Handoff.STATELESS, Handoff.VOLUMES])
async def test_a_notice_heard_in_two_ways_is_one_rescue(given: Given, handoff: Handoff) -> None:
    server = await given(handoff)
    rescue = await server.notice(source=NoticeSource.IMDS)
    assert await server.notice(source=NoticeSource.EVENTBRIDGE) == rescue
    result = committed(await server.result(rescue))
    assert result.receipt.kind is OperationKind.FAILOVER
    await server.at_rest()
    assert server.cloud.records.accepted == [rescue]
    assert len(server.cloud.records.of(RecordKind.NOTICE)) == 2, "both sources are told"


async def test_a_rebalance_recommendation_starts_no_rescue(given: Given) -> None:
    server = await given()
    await server.notice(kind=NoticeKind.REBALANCE)
    await server.at_rest()
    await server.cloud.until(lambda: bool(server.cloud.records.of(RecordKind.NOTICE)))
    assert server.cloud.records.accepted == []


async def test_a_notice_for_an_instance_that_is_no_longer_the_servers_changes_nothing(given: Given) -> None:
    server = await given()
    committed(await server.switch())
    await server.at_rest()
    await server.notice(OLD)
    await server.at_rest()
    assert server.cloud.ec2_state.alive == ["i-1"]


async def test_the_pool_that_gave_the_notice_is_not_chosen_again(given: Given) -> None:
    server = await given()
    server.cloud.ec2_state.market = [HOME, SPOT]
    result = committed(await server.result(await server.notice()))
    assert result.receipt.to_pool == SPOT
    assert HOME in (await server.at_rest()).shape.cool_downs


async def test_a_notice_that_the_agent_hears_is_acted_on(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    server.cloud.heard[OLD] = heard
    now = await server.clock.now()
    await heard.put(Notice(OLD, NoticeKind.INTERRUPTION, NoticeSource.IMDS, now, deadline=None))
    view = await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    assert view.shape.primary is not None


# --- an emergency meets a running operation


async def test_a_switch_away_from_the_doomed_instance_is_its_rescue(given: Given) -> None:
    server = await given(Handoff.VOLUMES)

    async def notice() -> None:
        await server.notice()
        await server.until_heard(server.asked_operation(), SIGNAL_NOTICE)

    server.cloud.fault(while_in(host.HOST_READY, notice))
    result = committed(await server.switch())
    await server.at_rest()
    assert server.cloud.records.accepted == [result.receipt.operation_id], "no failover beside it"
    assert {call.queue for call in server.cloud.called(ec2.ATTACH_VOLUMES)} == {EMERGENCY_QUEUE}
    assert HOME in (await server.view()).shape.cool_downs, "invariant 10"


async def test_a_doomed_switch_does_not_turn_back_for_a_difference(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.altered = {"key_name": "another"}

    async def notice() -> None:
        await server.notice()
        await server.until_heard(server.asked_operation(), SIGNAL_NOTICE)

    server.cloud.fault(while_in(host.HOST_READY, notice))
    result = committed(await server.switch())
    assert result.receipt.unexplained_changes == 1, "it is told in the receipt"


async def test_a_switch_whose_replacement_is_doomed_rolls_back(given: Given) -> None:
    server = await given(Handoff.VOLUMES)

    async def notice() -> None:
        await server.notice("i-1")
        await server.until_heard(server.asked_operation(), SIGNAL_NOTICE)

    server.cloud.fault(while_in(host.HOST_READY, notice))
    result = rolled_back(await server.switch())
    assert "i-1 got an interruption notice" in result.receipt.reason
    assert server.cloud.ec2_state.alive == [OLD]


async def test_a_failover_whose_replacement_is_doomed_takes_another_pool(given: Given) -> None:
    server = await given(Handoff.VOLUMES, failover_pools=1)

    async def notice() -> None:
        await server.notice("i-1")
        await server.until_heard(server.asked_operation(RESCUE), SIGNAL_NOTICE)

    server.cloud.fault(while_in(host.HOST_READY, notice))
    committed(await server.result(await server.notice()))
    await server.at_rest()
    assert "i-1" not in server.cloud.ec2_state.alive


async def test_a_new_primary_that_is_doomed_is_rescued_before_the_old_one_has_ended(given: Given) -> None:
    server = await given(Handoff.VOLUMES)

    async def notice() -> None:
        await server.notice("i-1")
        await server.cloud.until(lambda: len(server.cloud.called(host.HOST_SERVE)) > 1)

    server.cloud.fault(while_in(ec2.TERMINATE, notice))
    committed(await server.switch())
    view = await server.at_rest()
    assert view.shape.primary is not None
    assert view.shape.primary.instance_id not in (OLD, "i-1")


async def test_a_replica_in_the_making_is_given_up_for_the_rescue_of_the_primary(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    rescues: list[str] = []

    async def notice() -> None:
        rescues.append(await server.notice())
        await server.until_heard(server.asked_operation(), SIGNAL_ABORT)

    server.cloud.fault(while_in(host.HOST_READY, notice))
    result = await server.do(OperationKind.REPLICA_CREATE)
    assert result.outcome is Outcome.CANCELLED
    committed(await server.result(rescues[0]))


async def test_a_doomed_replica_is_replaced(given: Given) -> None:
    server = await given(Handoff.VOLUMES, replica=True)
    await server.notice(REPLICA)
    view = await server.until(lambda view: view.shape.replica is not None and view.shape.replica.instance_id != REPLICA)
    await server.at_rest()
    assert view.shape.primary is not None
    assert view.shape.primary.instance_id == OLD
    assert REPLICA not in server.cloud.ec2_state.alive


@pytest.mark.parametrize("runs", [True, False])
async def test_a_replica_that_is_dropped_as_it_is_lost_is_not_replaced(given: Given, runs: bool) -> None:
    """Its owner wants none: a new one would be there, and billed, after the drop was answered."""
    server = await given(Handoff.VOLUMES, replica=True)
    noticed = asyncio.Event()
    if runs:
        server.cloud.fault(while_in(RECONSIDER, noticed.wait))
        drop = await server.ask(OperationKind.REPLICA_DROP, decision_id="dec-1")
    else:
        server.cloud.fault(while_in(ec2.SURVEY, noticed.wait))
        await server.ask(OperationKind.SWITCH)
        drop = await server.ask(OperationKind.REPLICA_DROP)
    await server.notice(REPLICA)
    await server.cloud.until(lambda: bool(server.cloud.records.of(RecordKind.NOTICE)), 20)
    noticed.set()
    committed(await server.result(drop.operation_id))
    view = await server.at_rest()
    assert view.shape.replica is None
    assert server.cloud.records.accepted[-1] == drop.operation_id, "nothing else was asked for"
    assert REPLICA not in server.cloud.ec2_state.alive
