"""What the tables know of a server whose workflow is lost, and the fence between it and the one that follows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.ec2.clients import Clients
from activities.records.activity import RecordActivities
from activities.resuming.activity import ResumeActivities
from activities.resuming.record_fence import FENCE_GAP
from activities.resuming.recorded_state import read_recorded_state
from db.engine.session import SessionFactory
from db.tables import Instance, RecordStream, Server
from domain.errors import Failure
from domain.names import operation_workflow_id, ownership_tags, server_workflow_id
from domain.operations import OperationStatus
from domain.resumption import MEMO_DIGEST, MEMO_REQUEST, ResumeFenceInput, ResumeInput, ResumeSurvey, ServerRecords
from domain.servers import Handoff, Placement, ServerRef
from tests.database_schemas import NOW, unique
from tests.fleet_records import POOL, K, RecordedServer, accepted, finished, instance, started
from tests.integration.fake_temporal import FakeTemporal
from tests.integration.lab_cloud import Cloud, clean, cloud
from workflows import recorder

__all__ = ["clean", "cloud"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


@pytest.fixture
def temporal() -> FakeTemporal:
    return FakeTemporal()


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> Iterator[RecordedServer]:
    """A server with a primary, a replica, one switch that has ended and one that has not."""
    made = RecordedServer(sessions, client_id)
    made.adopt()
    placed = {"pool": POOL, "usd_per_hour": 0.03, "spot_request_id": "sir-1"}
    made.write("", instance("i-1", "running_primary", role="primary", **placed))
    made.write("", instance("i-2", "running_replica", role="replica", pool=POOL))
    yield made
    with sessions.begin() as session:  # an instance is live once
        session.execute(delete(Instance).where(Instance.server_id == made.server_id))


def operation(fleet: RecordedServer, *then: Any, request_id: str = "") -> str:
    name = unique("op")
    fleet.write("", accepted(name, request_id or name))
    fleet.write(name, started(), *then)
    return name


def ref(fleet: RecordedServer) -> ServerRef:
    return ServerRef(fleet.server_id, fleet.client_id, fleet.server_id, "us-east-1")


def recorded(fleet: RecordedServer) -> ServerRecords:
    with fleet.sessions() as session:
        return read_recorded_state(session, ref(fleet))


def resuming(fleet: RecordedServer, temporal: FakeTemporal) -> ResumeActivities:
    return ResumeActivities(fleet.sessions, Clients(), temporal)


def asked(fleet: RecordedServer) -> ResumeInput:
    return ResumeInput(ref(fleet), "resume-1", "digest", "tok-1")


def look(fleet: RecordedServer, temporal: FakeTemporal) -> ResumeSurvey:
    return asyncio.run(ActivityEnvironment().run(resuming(fleet, temporal).look, asked(fleet)))


def fence(fleet: RecordedServer, seq: int, unfinished: list[str]) -> int:
    given = ResumeFenceInput(asked(fleet), seq, unfinished, "it is gone")
    fenced = ActivityEnvironment().run(resuming(fleet, FakeTemporal()).fence, given)
    return fenced.record_seq


def applied(fleet: RecordedServer) -> int:
    with fleet.sessions() as session:
        stream = server_workflow_id(fleet.server_id)
        return session.scalars(select(RecordStream.applied_seq).where(RecordStream.stream == stream)).one()


# --- what is recorded


def test_everything_that_the_workflow_knew_and_the_tables_know_is_read(fleet: RecordedServer) -> None:
    ended = operation(fleet, finished())
    under_way = operation(fleet)
    fleet.write(
        "", (K.POOL_COOL_DOWN, {"pool": POOL, "until": (NOW + timedelta(days=9999)).isoformat(), "reason": "x"})
    )
    found = recorded(fleet)
    assert (found.active, found.account_id, found.policy.handoff) == (True, "1", Handoff.VOLUMES)
    assert found.record_seq == fleet.seqs[server_workflow_id(fleet.server_id)] == applied(fleet)
    assert found.primary == Placement("i-1", POOL, "sir-1", 0.03)
    assert found.replica == Placement("i-2", POOL)
    assert found.requests == {ended: "d", under_way: "d"}
    assert found.outcomes == {ended: OperationStatus.COMMITTED, under_way: OperationStatus.NEEDS_ATTENTION}
    assert found.unfinished == [under_way]
    assert POOL in found.cool_downs


def test_snapshots_are_kept_of_the_last_handoff_that_committed_and_of_no_other(fleet: RecordedServer) -> None:
    """What the next handoff deletes: what an operation left that needs attention may be the only copy."""

    def snapshot(name: str) -> list[Any]:
        told = {"token": unique("token"), "type": "snapshot"}
        return [(K.RESOURCE_INTENDED, {**told, "step": "move"}), (K.RESOURCE_MADE, {**told, "resource_id": name})]

    operation(fleet, *snapshot("snap-old"), finished())
    operation(fleet, *snapshot("snap-1"), *snapshot("snap-2"), finished())
    operation(fleet, *snapshot("snap-only-copy"), finished("needs_attention"))
    operation(fleet, *snapshot("snap-under-way"))
    assert recorded(fleet).kept_snapshots == ["snap-1", "snap-2"]


def test_a_notice_is_known_only_if_its_rescue_came_to_an_end(fleet: RecordedServer) -> None:
    operation(fleet, finished(), request_id="notice/i-0/interruption")
    operation(fleet, finished("cancelled"), request_id="notice/i-8/interruption")
    operation(fleet, finished("needs_attention"), request_id="notice/i-9/interruption")
    operation(fleet, request_id="notice/i-1/interruption")
    operation(fleet, finished(), request_id="notice/i-1/interruption/2026")
    assert recorded(fleet).notices == ["i-0/interruption", "i-8/interruption"]


def test_a_server_of_another_client_is_not_read(fleet: RecordedServer) -> None:
    other = ServerRef(fleet.server_id, "cli-other", "x", "us-east-1")
    with fleet.sessions() as session:
        assert read_recorded_state(session, other) == ServerRecords()


# --- what Temporal says


def test_the_server_and_its_unfinished_operations_are_asked_for(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    under_way = operation(fleet)
    assert look(fleet, temporal).running == []
    assert set(temporal.described) == {server_workflow_id(fleet.server_id), operation_workflow_id(under_way)}
    temporal.runs = {operation_workflow_id(under_way)}
    assert look(fleet, temporal).running == [operation_workflow_id(under_way)]


def test_who_resumed_the_workflow_that_runs_is_read_of_it(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    own = server_workflow_id(fleet.server_id)
    temporal.runs, temporal.memos = {own}, {own: {MEMO_REQUEST: "resume-1", MEMO_DIGEST: "digest"}}
    found = look(fleet, temporal)
    assert (found.running, found.resumed_by, found.resumed_digest) == ([own], "resume-1", "digest")


def test_temporal_that_does_not_answer_is_asked_again(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    temporal.away = True
    with pytest.raises(ApplicationError, match="connection refused") as failed:
        look(fleet, temporal)
    assert (failed.value.type, failed.value.non_retryable) == (Failure.UNAVAILABLE, False)


# --- the fence


def test_what_was_unfinished_needs_attention_with_the_reason(fleet: RecordedServer) -> None:
    under_way = operation(fleet)
    before = applied(fleet)
    assert fence(fleet, before, [under_way]) == before + FENCE_GAP
    row, _ = fleet.operation(under_way)
    assert (row.status, row.reason, row.attention) == ("needs_attention", "it is gone", True)
    [ended, resumed] = fleet.events()[-2:]
    assert (ended.type, ended.operation_id) == ("operation.needs_attention", under_way)
    assert (resumed.type, resumed.server_id, resumed.payload["requested_by"]) == (
        "server.resumed",
        fleet.server_id,
        "tok-1",
    )


def test_done_twice_it_is_done_once(fleet: RecordedServer) -> None:
    under_way = operation(fleet)
    before = applied(fleet)
    first = fence(fleet, before, [under_way])
    told = fleet.told()
    assert fence(fleet, before, [under_way]) == first == applied(fleet)
    assert fleet.told() == told


def test_a_late_batch_of_the_lost_workflow_takes_no_number_of_the_new_ones(fleet: RecordedServer) -> None:
    before = applied(fleet)
    late = fleet.batch("", *[(K.SERVER_POLICY, {"policy": {"handoff": "snapshot"}})] * recorder._BATCH)
    fenced = fence(fleet, before, [])
    assert fleet.activities.record(late) == fenced
    assert fleet.server().server.handoff == "volumes"
    fleet.seqs[server_workflow_id(fleet.server_id)] = fenced
    RecordActivities(fleet.sessions).record(fleet.batch("", (K.SERVER_POLICY, {"policy": {"handoff": "stateless"}})))
    assert fleet.server().server.handoff == "stateless"


@pytest.mark.parametrize("what", ["a record", "an operation", "its end"])
def test_records_that_have_come_in_since_the_look_refuse_it(fleet: RecordedServer, what: str) -> None:
    under_way, before = operation(fleet), applied(fleet)
    match what:
        case "a record":
            fleet.write("", instance("i-2", "terminating"))
        case "an operation":
            fleet.write(unique("op"), started())
        case "its end":
            fleet.write(under_way, finished())
    now = applied(fleet)
    with pytest.raises(ApplicationError, match="ask again") as refused:
        fence(fleet, before, [under_way])
    assert (refused.value.type, refused.value.non_retryable) == (Failure.REFUSED, True)
    assert (applied(fleet), fleet.told("server.resumed")) == (now, [])


def test_a_server_that_has_ended_is_refused(fleet: RecordedServer) -> None:
    with fleet.sessions.begin() as session:
        session.execute(update(Instance).where(Instance.server_id == fleet.server_id).values(role=None))
        session.execute(update(Server).where(Server.id == fleet.server_id).values(state="ended"))
    with pytest.raises(ApplicationError, match="has ended"):
        fence(fleet, applied(fleet), [])


# --- let go


def let_go(fleet: RecordedServer, unfinished: list[str]) -> None:
    start = replace(asked(fleet), let_go=True)
    given = ResumeFenceInput(start, applied(fleet), unfinished, "it is gone")
    ActivityEnvironment().run(resuming(fleet, FakeTemporal()).fence, given)


def test_a_server_that_is_let_go_ends_with_its_instances_and_what_was_unfinished(fleet: RecordedServer) -> None:
    under_way = operation(fleet)
    let_go(fleet, [under_way])
    server = fleet.server().server
    assert (server.state, server.ended_how) == ("ended", "let go")
    assert server.ended_at is not None
    assert {(one.state, one.role, one.live_id) for one in map(fleet.instance, ("i-1", "i-2"))} == {
        ("terminated", None, None)
    }
    assert fleet.operation(under_way)[0].status == "needs_attention"
    last = fleet.events()[-1]
    assert (last.type, last.payload["how"], last.payload["requested_by"]) == ("server.ended", "let go", "tok-1")
    assert fleet.told("server.resumed") == []


def test_who_let_it_go_is_known_afterwards(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    let_go(fleet, [])
    found = look(fleet, temporal)
    assert (found.recorded.active, found.resumed_by, found.resumed_digest) == (False, "resume-1", "digest")


def test_a_server_that_was_released_was_let_go_by_nobody(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    fleet.write("", instance("i-1", "released"), instance("i-2", "released"), (K.SERVER_ENDED, {"how": "released"}))
    assert (look(fleet, temporal).resumed_by, look(fleet, temporal).resumed_digest) == ("", "")


# --- what EC2 has


def test_what_remains_at_ec2_is_named_with_what_holds_it(fleet: RecordedServer, clean: Cloud) -> None:
    """Of this server alone, and nothing that has ended."""
    original, other = clean.original(), clean.original()
    [volume] = [one["VolumeId"] for one in clean.ec2.describe_volumes(Filters=_data_of(original))["Volumes"]]
    tags = ownership_tags(fleet.client_id, fleet.server_id, "op-1")
    clean.ec2.create_tags(Resources=[original, volume], Tags=[{"Key": key, "Value": tags[key]} for key in tags])
    work = ResumeActivities(fleet.sessions, clean.clients, FakeTemporal())
    remains = ActivityEnvironment().run(work.remains, ref(fleet))
    assert remains.found == [f"instance {original} (running)", f"volume {volume} (in-use, attached to {original})"]
    assert remains.instances == [original]
    assert other not in str(remains)


def _data_of(instance_id: str) -> list[dict[str, Any]]:
    attached = {"Name": "attachment.instance-id", "Values": [instance_id]}
    return [attached, {"Name": "attachment.device", "Values": ["/dev/sdf"]}]
