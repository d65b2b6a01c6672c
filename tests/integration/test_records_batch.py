"""Records become rows and events: once each, in order, whichever stream is first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from temporalio.exceptions import ApplicationError

from db.engine.session import SessionFactory
from db.status.invariants import clients_with_missing_events, servers_with_several_primaries
from db.tables import Server
from tests.database_schemas import unique
from tests.fleet_records import POOL, K, RecordedServer, accepted, finished, instance, started, switch_records

pytest_plugins = ["tests.database_fixtures"]


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> RecordedServer:
    return RecordedServer(sessions, client_id)


def test_a_switch_from_its_acceptance_to_its_receipt(fleet: RecordedServer) -> None:
    old, new, op = unique("i"), unique("i"), unique("op")
    fleet.adopt()
    fleet.write("", instance(old, "running_primary", role="primary", pool="us-east-1a/m5.large/on-demand"))
    fleet.write("", (K.RESOURCE_ADOPTED, {"type": "instance", "resource_id": old}), accepted(op))
    fleet.write(op, *switch_records(old, new))

    operation, steps = fleet.operation(op)
    assert (operation.status, operation.to_pool) == ("committed", "us-east-1b/m5.large/spot")
    assert (operation.request_id, operation.requested_by, operation.workflow_id) == (op, "tok-1", f"operation/{op}")
    assert operation.duration_seconds == 12.0
    assert [(step.name, step.ms, step.ok, step.calls) for step in steps] == [("launch", 2500, True, ["RunInstances"])]
    server = fleet.server()
    assert server.primary is not None
    assert (server.primary.id, server.primary.region, server.primary.private_ip) == (new, "us-east-1", "10.0.0.9")
    assert server.primary.launch_duration_seconds == 2.5
    assert fleet.instance(old).termination_duration_seconds == 10.0
    assert {(r.resource_id, r.state) for r in fleet.resources()} == {
        (old, "gone"),
        (new, "live"),
        (f"sir-{new}", "live"),
    }
    assert fleet.told() == [
        "server.adopted",
        "instance.running_primary",
        "resource.adopted",
        "operation.queued",
        "operation.running",
        "operation.step",
        "resource.intended",
        "resource.made",
        "resource.made",
        "instance.launching",
        "instance.changed",
        "operation.step",
        "instance.terminating",
        "instance.running_primary",
        "instance.changed",
        "instance.terminated",
        "resource.gone",
        "operation.committed",
    ]
    confirmed = fleet.events("instance.changed")[0]
    assert confirmed.payload["launch_duration_seconds"] == 2.5


def test_a_batch_sent_again_changes_nothing(fleet: RecordedServer) -> None:
    op = unique("op")
    batch = fleet.batch(op, *switch_records(unique("i"), unique("i")))
    assert fleet.activities.record(batch) == 13
    told = fleet.told()
    assert fleet.activities.record(batch) == 13
    assert fleet.told() == told


def test_of_overlapping_batches_each_record_is_applied_once(fleet: RecordedServer) -> None:
    op, steps = unique("op"), switch_records(unique("i"), unique("i"))
    assert fleet.activities.record(fleet.batch(op, *steps[:6], first=1)) == 6
    assert fleet.activities.record(fleet.batch(op, *steps[3:10], first=4)) == 10
    assert fleet.activities.record(fleet.batch(op, *steps, first=1)) == 13
    assert len(fleet.told("operation.step")) == 2
    assert len(fleet.told("resource.made")) == 2


def test_records_after_a_missing_one_wait_for_it(fleet: RecordedServer) -> None:
    op, steps = unique("op"), switch_records(unique("i"), unique("i"))
    late = fleet.batch(op, *steps[2:], first=3)
    with pytest.raises(ApplicationError, match="record 1 has not arrived") as raised:
        fleet.activities.record(late)
    assert (raised.value.type, raised.value.non_retryable) == ("NotYet", False)
    assert fleet.told() == []
    fleet.activities.record(fleet.batch(op, *steps[:2], first=1))
    assert fleet.activities.record(late) == 13


@pytest.mark.parametrize("operation_first", [True, False])
def test_the_two_streams_may_arrive_in_either_order(fleet: RecordedServer, operation_first: bool) -> None:
    op = unique("op")
    writes: list[Callable[[], Any]] = [
        lambda: fleet.write("", accepted(op, "req-1")),
        lambda: fleet.write(op, started(), finished()),
    ]
    for write in reversed(writes) if operation_first else writes:
        write()
    operation, _ = fleet.operation(op)
    assert (operation.status, operation.kind, operation.request_id) == ("committed", "switch", "req-1")
    assert (operation.priority, operation.asked_pool) == (75, POOL)
    assert sorted(fleet.told()) == ["operation.committed", "operation.queued", "operation.running"]


def test_an_operations_records_wait_for_those_of_the_one_before(fleet: RecordedServer) -> None:
    first, second = unique("op"), unique("op")
    waiting = fleet.batch(second, started(), after=first)
    for _ in range(2):
        with pytest.raises(ApplicationError, match=first) as raised:
            fleet.activities.record(waiting)
        assert raised.value.type == "NotYet"
        fleet.write(first, started() if _ == 0 else (K.STEP_STARTED, {"step": "x"}))
    fleet.write(first, finished())
    assert fleet.activities.record(waiting) == 1


def test_a_queued_operation_that_was_cancelled_lets_the_next_pass(fleet: RecordedServer) -> None:
    cancelled, following = unique("op"), unique("op")
    ended = {"operation_id": cancelled, "outcome": "cancelled", "reason": "asked to"}
    fleet.write("", accepted(cancelled), (K.OPERATION_ENDED, ended))
    fleet.write(following, started(), after=cancelled)
    assert fleet.operation(cancelled)[0].outcome == "cancelled"
    assert fleet.events("operation.cancelled")[0].operation_id == cancelled


def test_an_instance_remembers_when_it_was_what(fleet: RecordedServer) -> None:
    """Money depends on it: the ledger of savings tells a primary's time from a replica's and from overlap."""
    old, new, op = unique("i"), unique("i"), unique("op")
    fleet.adopt()
    fleet.write("", instance(old, "running_primary", role="primary", pool="us-east-1a/m5.large/on-demand"))
    fleet.write(op, *switch_records(old, new))
    kept = {one: [role for _, role in fleet.instance(one).roles or []] for one in (old, new)}
    assert kept == {old: ["primary", None], new: ["primary"]}
    [[ended_at, _], [started_at, _]] = (fleet.instance(old).roles or [])[-1], (fleet.instance(new).roles or [])[0]
    assert ended_at == started_at


def test_invariant_1_the_commit_changes_the_primary_at_once(fleet: RecordedServer) -> None:
    old, replica = unique("i"), unique("i")
    fleet.adopt()
    fleet.write("", instance(old, "running_primary", role="primary"), instance(replica, "launching"))
    fleet.write("", instance(replica, "running_replica"))
    commit = {"instance_id": replica, "former_instance_id": old, "former_state": "running_replica"}
    fleet.write("", (K.PRIMARY, commit))
    server = fleet.server()
    assert server.primary is not None
    assert server.replica is not None
    assert (server.primary.id, server.replica.id) == (replica, old)
    assert fleet.told("instance")[-3:] == [
        "instance.running_replica",
        "instance.promoting",
        "instance.running_primary",
    ]
    with fleet.sessions() as session:
        assert servers_with_several_primaries(session) == {}


def test_invariant_1_a_record_of_a_second_primary_is_rejected_and_told(fleet: RecordedServer) -> None:
    old, second = unique("i"), unique("i")
    fleet.adopt()
    fleet.write("", instance(old, "running_primary"), instance(second, "running_primary"), instance(old, "failed"))
    assert fleet.told() == ["server.adopted", "instance.running_primary", "record_rejected", "instance.failed"]
    assert "uq_instances_primary_of" in fleet.events("record_rejected")[0].payload["reason"]


def test_an_illegal_move_is_told_and_does_not_stop_the_stream(fleet: RecordedServer) -> None:
    one = unique("i")
    fleet.write("", instance(one, "running_primary"), instance(one, "terminated"), instance(one, "launching"))
    assert fleet.write("", (K.SERVER_POLICY, {"policy": {}}), instance(unique("i"), "launching")) == 5
    rejected = fleet.events("record_rejected")
    assert [event.payload["seq"] for event in rejected] == [3, 4]
    assert rejected[0].payload["reason"] == "an instance cannot go from terminated to launching"
    assert rejected[0].payload["record"] == {"instance_id": one, "state": "launching"}
    assert fleet.told()[-1] == "instance.launching"
    # AWS took it without being asked: it passed terminating on its way.
    assert fleet.told()[:3] == ["instance.running_primary", "instance.terminating", "instance.terminated"]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (K.INSTANCE, {}),
        (K.INSTANCE, {"instance_id": "i-1", "state": "dancing"}),
        (K.INSTANCE, {"instance_id": "i-1", "state": "launching", "pool": "nowhere"}),
        (K.INSTANCE, {"instance_id": "i-1", "state": "launching", "launch_requested_at": "soon"}),
        (K.OPERATION_ACCEPTED, {}),
        (K.OPERATION_FINISHED, {"outcome": "lost"}),
        (K.NOTICE, {"instance_id": "i-1"}),
        (K.RESOURCE_INTENDED, {"type": "volume"}),
        (K.POOL_COOL_DOWN, {"pool": POOL}),
    ],
)
def test_a_malformed_record_is_told_and_does_not_stop_the_stream(fleet: RecordedServer, kind: K, payload: Any) -> None:
    assert fleet.write("", (kind, payload), instance(unique("i"), "launching")) == 2
    assert fleet.told() == ["record_rejected", "instance.launching"]


def test_a_former_primary_that_is_gone_does_not_hold_up_the_commit(fleet: RecordedServer) -> None:
    old, new = unique("i"), unique("i")
    fleet.write("", instance(old, "running_primary"), instance(new, "launching"))
    commit = {"instance_id": new, "former_instance_id": old}
    fleet.write("", (K.PRIMARY, {**commit, "former_state": "terminated"}))
    assert (fleet.instance(old).state, fleet.instance(old).role) == ("terminated", None)
    assert fleet.instance(new).role == "primary"


def test_invariant_7_records_never_touch_another_servers_rows(fleet: RecordedServer, sessions: SessionFactory) -> None:
    stranger = RecordedServer(sessions, fleet.client_id)
    mine, op = unique("i"), unique("op")
    token = {"token": unique("t"), "type": "volume"}
    fleet.write("", instance(mine, "running_primary"), accepted(op), (K.RESOURCE_INTENDED, token))
    stranger.write("", instance(mine, "terminated"), instance(mine, "launching"))
    stranger.write("", accepted(op), (K.RESOURCE_MADE, {**token, "resource_id": "vol-1"}))
    assert fleet.instance(mine).state == "running_primary"
    assert [r.state for r in fleet.resources()] == ["intended"]
    assert len(fleet.told("record_rejected")) == 3  # `terminated` alone is a life of its own, and over


def test_a_released_instance_can_be_adopted_again(fleet: RecordedServer, sessions: SessionFactory) -> None:
    one, again = unique("i"), RecordedServer(sessions, fleet.client_id)
    fleet.write("", instance(one, "running_primary"), instance(one, "released"))
    again.write("", instance(one, "running_primary"))
    assert fleet.instance(one).state == "released"
    assert again.instance(one).role == "primary"


def test_a_server_whose_name_was_taken_meanwhile_is_kept(fleet: RecordedServer, sessions: SessionFactory) -> None:
    later, name = RecordedServer(sessions, fleet.client_id), unique("orders-db")
    fleet.adopt(name)
    later.adopt(name)
    assert fleet.server().server.name == name
    assert later.server().server.name == f"{name} ({later.server_id})"


def test_a_policy_change_raises_the_version(fleet: RecordedServer) -> None:
    fleet.adopt()
    fleet.write("", (K.SERVER_POLICY, {"policy": {"handoff": "snapshot", "drain_s": 5}}))
    server = fleet.server().server
    assert (server.version, server.handoff, server.policy["drain_s"]) == (2, "snapshot", 5)
    fleet.write("", (K.SERVER_ENDED, {"how": "released"}))
    server = fleet.server().server
    assert (server.state, server.ended_how) == ("ended", "released")


def test_an_end_said_twice_is_told_once(fleet: RecordedServer) -> None:
    op = unique("op")
    ended = (K.OPERATION_ENDED, {"operation_id": op, "outcome": "rolled_back", "reason": "broken off"})
    fleet.write("", ended)
    fleet.write(op, finished("rolled_back", calls=3), finished("committed"))
    assert (fleet.operation(op)[0].reason, fleet.operation(op)[0].receipt) == ("broken off", {"calls": 3})
    assert fleet.told() == ["operation.rolled_back", "record_rejected"]


def test_a_step_tried_again_is_another_step(fleet: RecordedServer) -> None:
    op = unique("op")
    begin, end = (K.STEP_STARTED, {"step": "launch"}), {"step": "launch", "ms": 5, "calls": [], "hooks": []}
    fleet.write(op, started(), begin, (K.STEP_ENDED, {**end, "ok": False, "note": "NoCapacity"}), begin)
    fleet.write(op, (K.STEP_ENDED, {**end, "ok": True}), (K.OPERATION_ATTENTION, {"reason": "slow"}))
    operation, steps = fleet.operation(op)
    assert [(step.position, step.ok, step.note) for step in steps] == [(1, False, "NoCapacity"), (2, True, "")]
    assert (operation.attention, operation.attention_reason, operation.status) == (True, "slow", "running")
    fleet.write(op, (K.OPERATION_FINISHED, {"outcome": "needs_attention", "reason": "x", "receipt": {"calls": 3}}))
    assert fleet.told("operation")[-2:] == ["operation.attention", "operation.needs_attention"]
    assert fleet.operation(op)[0].receipt == {"calls": 3}


def test_what_was_in_the_way_and_is_over_needs_nobody_any_more(fleet: RecordedServer) -> None:
    op = unique("op")
    fleet.write(op, started(), (K.OPERATION_ATTENTION, {"reason": "round 1 failed"}))
    fleet.write(op, finished("committed"))
    operation = fleet.operation(op)[0]
    assert (operation.status, operation.attention, operation.attention_reason) == ("committed", False, "")
    assert "operation.attention" in fleet.told("operation")


def test_invariant_8_every_number_is_there_after_all_of_it(fleet: RecordedServer) -> None:
    fleet.write("", instance(unique("i"), "launching"), instance("", "launching"))
    with fleet.sessions() as session:
        assert clients_with_missing_events(session) == []
        assert session.scalar(select(Server.id).where(Server.id == fleet.server_id)) is None
