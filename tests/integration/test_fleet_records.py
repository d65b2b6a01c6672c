"""Records become rows and events: once each, in order, whichever stream is first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from temporalio.exceptions import ApplicationError

from activities.fleet import FleetActivities
from db.invariants import clients_with_missing_events, servers_with_several_primaries
from db.models import Event, Instance, Notice, Operation, OperationStep, PoolRow, Resource, Server
from db.queries.ledger import server_resources
from db.queries.operations import get_operation
from db.queries.servers import ServerRow, get_server
from db.session import SessionFactory
from domain.records import CoolDownsInput, Record, RecordBatch, RecordKind
from tests.dbserver import NOW, fresh

pytest_plugins = ["tests.dbfixtures"]

K = RecordKind
POOL = "us-east-1a/m5.large/spot"
Step = tuple[RecordKind, dict[str, Any]]


class Fleet:
    """One server of one client, and what its workflows would write."""

    def __init__(self, sessions: SessionFactory, client_id: str) -> None:
        self.sessions = sessions
        self.client_id = client_id
        self.server_id = fresh("srv")
        self.activities = FleetActivities(sessions)
        self.seqs: dict[str, int] = {}

    def batch(self, operation_id: str, *steps: Step, first: int | None = None, after: str = "") -> RecordBatch:
        stream = f"operation/{operation_id}" if operation_id else f"server/{self.server_id}"
        start = self.seqs.get(stream, 0) + 1 if first is None else first
        records = [Record(start + n, NOW + timedelta(seconds=start + n), *step) for n, step in enumerate(steps)]
        self.seqs[stream] = start + len(steps) - 1
        return RecordBatch(stream, self.client_id, self.server_id, operation_id, records, after, "run-1")

    def write(self, operation_id: str, *steps: Step, after: str = "") -> int:
        return self.activities.record(self.batch(operation_id, *steps, after=after))

    def adopt(self, name: str = "") -> None:
        named = {"name": name or self.server_id, "region": "us-east-1", "account_id": "1", "handoff": "volumes"}
        self.write("", (K.SERVER_ADOPTED, {**named, "policy": {"handoff": "volumes"}, "moves": ["volume vol-1"]}))

    def events(self, prefix: str = "") -> list[Event]:
        query = select(Event).where(Event.client_id == self.client_id, Event.seq > 1).order_by(Event.seq)
        with self.sessions() as session:
            return [event for event in session.scalars(query) if event.type.startswith(prefix)]

    def told(self, prefix: str = "") -> list[str]:
        return [event.type for event in self.events(prefix)]

    def server(self) -> ServerRow:
        with self.sessions() as session:
            row = get_server(session, self.client_id, self.server_id)
        assert row is not None
        return row

    def instance(self, instance_id: str) -> Instance:
        with self.sessions() as session:
            return session.get_one(Instance, (instance_id, self.server_id))

    def operation(self, operation_id: str) -> tuple[Operation, list[OperationStep]]:
        with self.sessions() as session:
            found = get_operation(session, self.client_id, operation_id)
        assert found is not None
        return found.operation, found.steps

    def resources(self) -> list[Resource]:
        with self.sessions() as session:
            return server_resources(session, self.client_id, self.server_id, ("intended", "live", "gone"))


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> Fleet:
    return Fleet(sessions, client_id)


def instance(instance_id: str, state: str, **more: Any) -> Step:
    return K.INSTANCE, {"instance_id": instance_id, "state": state, **more}


def accepted(operation_id: str, request_id: str = "") -> Step:
    what = {"operation_id": operation_id, "kind": "switch", "priority": 75, "digest": "d", "pool": POOL}
    return K.OPERATION_ACCEPTED, {**what, "request_id": request_id or operation_id, "requested_by": "tok-1"}


def started(**more: Any) -> Step:
    return K.OPERATION_STARTED, {"kind": "switch", "handoff": "volumes", "from_pool": POOL, **more}


def finished(outcome: str = "committed", **receipt: Any) -> Step:
    return K.OPERATION_FINISHED, {"outcome": outcome, "reason": "", "receipt": receipt}


def a_switch(old: str, new: str) -> list[Step]:
    """As SwitchWorkflow writes it."""
    requested = NOW + timedelta(seconds=1)
    return [
        started(),
        (K.STEP_STARTED, {"step": "launch"}),
        (K.RESOURCE_INTENDED, {"token": f"t-{new}", "type": "instance", "step": "launch", "details": {"pool": POOL}}),
        (K.RESOURCE_MADE, {"token": f"t-{new}", "type": "instance", "resource_id": new}),
        (K.RESOURCE_MADE, {"token": f"t-{new}/spot", "type": "spot_request", "resource_id": f"sir-{new}"}),
        instance(new, "launching", pool=POOL, zone="us-east-1a", launch_requested_at=requested.isoformat()),
        instance(new, "launching", private_ip="10.0.0.9", launch_confirmed_at="2026-03-01T12:00:03.500Z"),
        (K.STEP_ENDED, {"step": "launch", "ms": 2500, "ok": True, "calls": ["RunInstances"], "hooks": [], "note": ""}),
        (K.PRIMARY, {"instance_id": new, "former_instance_id": old, "former_state": "terminating"}),
        instance(old, "terminating", terminate_requested_at=requested.isoformat()),
        instance(old, "terminated", terminate_confirmed_at="2026-03-01T12:00:11Z"),
        (K.RESOURCE_GONE, {"resource_id": old, "how": "deleted"}),
        finished(to_pool="us-east-1b/m5.large/spot", control_outage_ms=700),
    ]


def test_a_switch_from_its_acceptance_to_its_receipt(fleet: Fleet) -> None:
    old, new, op = fresh("i"), fresh("i"), fresh("op")
    fleet.adopt()
    fleet.write("", instance(old, "running_primary", role="primary", pool="us-east-1a/m5.large/on-demand"))
    fleet.write("", (K.RESOURCE_ADOPTED, {"type": "instance", "resource_id": old}), accepted(op))
    fleet.write(op, *a_switch(old, new))

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


def test_a_batch_sent_again_changes_nothing(fleet: Fleet) -> None:
    op = fresh("op")
    batch = fleet.batch(op, *a_switch(fresh("i"), fresh("i")))
    assert fleet.activities.record(batch) == 13
    told = fleet.told()
    assert fleet.activities.record(batch) == 13
    assert fleet.told() == told


def test_of_overlapping_batches_each_record_is_applied_once(fleet: Fleet) -> None:
    op, steps = fresh("op"), a_switch(fresh("i"), fresh("i"))
    assert fleet.activities.record(fleet.batch(op, *steps[:6], first=1)) == 6
    assert fleet.activities.record(fleet.batch(op, *steps[3:10], first=4)) == 10
    assert fleet.activities.record(fleet.batch(op, *steps, first=1)) == 13
    assert len(fleet.told("operation.step")) == 2
    assert len(fleet.told("resource.made")) == 2


def test_records_after_a_missing_one_wait_for_it(fleet: Fleet) -> None:
    op, steps = fresh("op"), a_switch(fresh("i"), fresh("i"))
    late = fleet.batch(op, *steps[2:], first=3)
    with pytest.raises(ApplicationError, match="record 1 has not arrived") as raised:
        fleet.activities.record(late)
    assert (raised.value.type, raised.value.non_retryable) == ("NotYet", False)
    assert fleet.told() == []
    fleet.activities.record(fleet.batch(op, *steps[:2], first=1))
    assert fleet.activities.record(late) == 13


@pytest.mark.parametrize("operation_first", [True, False])
def test_the_two_streams_may_arrive_in_either_order(fleet: Fleet, operation_first: bool) -> None:
    op = fresh("op")
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


def test_an_operations_records_wait_for_those_of_the_one_before(fleet: Fleet) -> None:
    first, second = fresh("op"), fresh("op")
    waiting = fleet.batch(second, started(), after=first)
    for _ in range(2):
        with pytest.raises(ApplicationError, match=first) as raised:
            fleet.activities.record(waiting)
        assert raised.value.type == "NotYet"
        fleet.write(first, started() if _ == 0 else (K.STEP_STARTED, {"step": "x"}))
    fleet.write(first, finished())
    assert fleet.activities.record(waiting) == 1


def test_a_queued_operation_that_was_cancelled_lets_the_next_pass(fleet: Fleet) -> None:
    cancelled, following = fresh("op"), fresh("op")
    ended = {"operation_id": cancelled, "outcome": "cancelled", "reason": "asked to"}
    fleet.write("", accepted(cancelled), (K.OPERATION_ENDED, ended))
    fleet.write(following, started(), after=cancelled)
    assert fleet.operation(cancelled)[0].outcome == "cancelled"
    assert fleet.events("operation.cancelled")[0].operation_id == cancelled


def test_invariant_1_the_commit_changes_the_primary_at_once(fleet: Fleet) -> None:
    old, replica = fresh("i"), fresh("i")
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


def test_invariant_1_a_record_of_a_second_primary_is_rejected_and_told(fleet: Fleet) -> None:
    old, second = fresh("i"), fresh("i")
    fleet.adopt()
    fleet.write("", instance(old, "running_primary"), instance(second, "running_primary"), instance(old, "failed"))
    assert fleet.told() == ["server.adopted", "instance.running_primary", "record_rejected", "instance.failed"]
    assert "uq_instances_primary_of" in fleet.events("record_rejected")[0].payload["reason"]


def test_an_illegal_move_is_told_and_does_not_stop_the_stream(fleet: Fleet) -> None:
    one = fresh("i")
    fleet.write("", instance(one, "running_primary"), instance(one, "terminated"), instance(one, "launching"))
    assert fleet.write("", (K.SERVER_POLICY, {"policy": {}}), instance(fresh("i"), "launching")) == 5
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
def test_a_malformed_record_is_told_and_does_not_stop_the_stream(fleet: Fleet, kind: K, payload: Any) -> None:
    assert fleet.write("", (kind, payload), instance(fresh("i"), "launching")) == 2
    assert fleet.told() == ["record_rejected", "instance.launching"]


def test_a_former_primary_that_is_gone_does_not_hold_up_the_commit(fleet: Fleet) -> None:
    old, new = fresh("i"), fresh("i")
    fleet.write("", instance(old, "running_primary"), instance(new, "launching"))
    commit = {"instance_id": new, "former_instance_id": old}
    fleet.write("", (K.PRIMARY, {**commit, "former_state": "terminated"}))
    assert (fleet.instance(old).state, fleet.instance(old).role) == ("terminated", None)
    assert fleet.instance(new).role == "primary"


def test_invariant_7_records_never_touch_another_servers_rows(fleet: Fleet, sessions: SessionFactory) -> None:
    stranger = Fleet(sessions, fleet.client_id)
    mine, op = fresh("i"), fresh("op")
    token = {"token": fresh("t"), "type": "volume"}
    fleet.write("", instance(mine, "running_primary"), accepted(op), (K.RESOURCE_INTENDED, token))
    stranger.write("", instance(mine, "terminated"), instance(mine, "launching"))
    stranger.write("", accepted(op), (K.RESOURCE_MADE, {**token, "resource_id": "vol-1"}))
    assert fleet.instance(mine).state == "running_primary"
    assert [r.state for r in fleet.resources()] == ["intended"]
    assert len(fleet.told("record_rejected")) == 3  # `terminated` alone is a life of its own, and over


def test_a_released_instance_can_be_adopted_again(fleet: Fleet, sessions: SessionFactory) -> None:
    one, again = fresh("i"), Fleet(sessions, fleet.client_id)
    fleet.write("", instance(one, "running_primary"), instance(one, "released"))
    again.write("", instance(one, "running_primary"))
    assert fleet.instance(one).state == "released"
    assert again.instance(one).role == "primary"


def test_a_server_whose_name_was_taken_meanwhile_is_kept(fleet: Fleet, sessions: SessionFactory) -> None:
    later, name = Fleet(sessions, fleet.client_id), fresh("orders-db")
    fleet.adopt(name)
    later.adopt(name)
    assert fleet.server().server.name == name
    assert later.server().server.name == f"{name} ({later.server_id})"


def test_a_policy_change_raises_the_version(fleet: Fleet) -> None:
    fleet.adopt()
    fleet.write("", (K.SERVER_POLICY, {"policy": {"handoff": "snapshot", "drain_s": 5}}))
    server = fleet.server().server
    assert (server.version, server.handoff, server.policy["drain_s"]) == (2, "snapshot", 5)
    fleet.write("", (K.SERVER_ENDED, {"how": "released"}))
    server = fleet.server().server
    assert (server.state, server.ended_how) == ("ended", "released")


def test_a_notice_heard_twice_is_one(fleet: Fleet) -> None:
    heard = {"notice_id": f"{fresh('i')}/interruption", "instance_id": "i-1", "kind": "interruption"}
    imds = {**heard, "source": "imds", "action": "terminate", "deadline": "2026-03-01T12:02:00Z"}
    fleet.write("", (K.NOTICE, {**imds, "seen_at": NOW.isoformat()}))
    fleet.write("", (K.NOTICE, {**heard, "source": "eventbridge", "operation_id": "op-1", "handled": "failover"}))
    fleet.write("", (K.NOTICE, {**heard, "source": "imds", "handled": "failover"}))
    with fleet.sessions() as session:
        row = session.get_one(Notice, (heard["notice_id"], fleet.server_id))
    assert (row.source, row.sources, row.operation_id) == ("imds", ["imds", "eventbridge"], "op-1")
    assert (row.deadline, row.seen_at) == (NOW + timedelta(minutes=2), NOW)
    assert fleet.told() == ["notice.interruption", "notice.handled"]


def test_invariant_10_cool_downs_are_shared_and_never_cut_short(fleet: Fleet) -> None:
    pool = f"eu-north-1a/m5.{fresh('x')}/spot"
    ends = ["2099-01-01T00:00:00Z", "2098-01-01T00:00:00Z", "2020-01-01T00:00:00+00:00"]
    reasons = ["NoCapacity", "interruption notice", "NoCapacity"]
    for until, reason in zip(ends, reasons, strict=True):
        fleet.write("", (K.POOL_COOL_DOWN, {"pool": pool, "until": until, "reason": reason}))
    fleet.write("", (K.POOL_COOL_DOWN, {"pool": POOL, "until": "2020-01-01T00:00:00Z", "reason": "NoCapacity"}))
    asked = CoolDownsInput("another client", "eu-north-1")
    assert fleet.activities.cool_downs(asked).until == {pool: 4070908800.0}
    assert fleet.activities.cool_downs(CoolDownsInput("c", "us-east-1")).until == {}
    with fleet.sessions() as session:
        row = session.get_one(PoolRow, pool)
    assert (row.capacity_failures, row.notices) == (2, 1)


def test_the_ledger_follows_what_is_intended_made_and_gone(fleet: Fleet) -> None:
    lost, made = fresh("t"), fresh("t")
    never = {"token": lost, "how": "never_made"}
    fleet.write("", (K.RESOURCE_INTENDED, {"token": lost, "type": "volume", "step": "copy", "details": {"n": 1}}))
    fleet.write("", (K.RESOURCE_GONE, never), (K.RESOURCE_GONE, never))
    fleet.write("", (K.RESOURCE_MADE, {"token": f"{made}/0", "type": "snapshot", "resource_id": "snap-1"}))
    fleet.write("", (K.RESOURCE_GONE, {"resource_id": "vol-root", "how": "deleted"}))
    assert [(r.token, r.state, r.how) for r in fleet.resources()] == [
        (lost, "gone", "never_made"),
        (f"{made}/0", "live", "made"),
    ]
    assert fleet.told() == ["resource.intended", "resource.gone", "resource.made", "resource.gone"]
    assert fleet.events()[-1].payload == {"how": "deleted", "in_ledger": False, "resource_id": "vol-root"}


def test_an_answer_that_came_after_all_opens_the_ledger_again(fleet: Fleet) -> None:
    token = fresh("t")
    fleet.write("", (K.RESOURCE_INTENDED, {"token": token, "type": "instance"}))
    fleet.write("", (K.RESOURCE_GONE, {"token": token, "how": "never_made"}))
    fleet.write("", (K.RESOURCE_MADE, {"token": token, "type": "instance", "resource_id": "i-late"}))
    assert [(r.resource_id, r.state, r.gone_at) for r in fleet.resources()] == [("i-late", "live", None)]


def test_a_step_tried_again_is_another_step(fleet: Fleet) -> None:
    op = fresh("op")
    begin, end = (K.STEP_STARTED, {"step": "launch"}), {"step": "launch", "ms": 5, "calls": [], "hooks": []}
    fleet.write(op, started(), begin, (K.STEP_ENDED, {**end, "ok": False, "note": "NoCapacity"}), begin)
    fleet.write(op, (K.STEP_ENDED, {**end, "ok": True}), (K.OPERATION_ATTENTION, {"reason": "slow"}))
    operation, steps = fleet.operation(op)
    assert [(step.position, step.ok, step.note) for step in steps] == [(1, False, "NoCapacity"), (2, True, "")]
    assert (operation.attention, operation.attention_reason, operation.status) == (True, "slow", "running")
    fleet.write(op, (K.OPERATION_FINISHED, {"outcome": "needs_attention", "reason": "x", "receipt": {"calls": 3}}))
    assert fleet.told("operation")[-2:] == ["operation.attention", "operation.needs_attention"]
    assert fleet.operation(op)[0].receipt == {"calls": 3}


def test_invariant_8_every_number_is_there_after_all_of_it(fleet: Fleet) -> None:
    fleet.write("", instance(fresh("i"), "launching"), instance("", "launching"))
    with fleet.sessions() as session:
        assert clients_with_missing_events(session) == []
        assert session.scalar(select(Server.id).where(Server.id == fleet.server_id)) is None
