"""The ledger, notices and cool-downs, as records make them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db.engine.session import SessionFactory
from db.tables import Notice, PoolRow
from domain.records import CoolDownsInput
from tests.database_schemas import NOW, unique
from tests.fleet_records import POOL, K, RecordedServer

pytest_plugins = ["tests.database_fixtures"]


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> RecordedServer:
    return RecordedServer(sessions, client_id)


def test_a_notice_heard_twice_is_one(fleet: RecordedServer) -> None:
    heard = {"notice_id": f"{unique('i')}/interruption", "instance_id": "i-1", "kind": "interruption"}
    imds = {**heard, "source": "imds", "action": "terminate", "deadline": "2026-03-01T12:02:00Z"}
    fleet.write("", (K.NOTICE, {**imds, "seen_at": NOW.isoformat()}))
    fleet.write("", (K.NOTICE, {**heard, "source": "eventbridge", "operation_id": "op-1", "handled": "failover"}))
    fleet.write("", (K.NOTICE, {**heard, "source": "imds", "handled": "failover"}))
    with fleet.sessions() as session:
        row = session.get_one(Notice, (heard["notice_id"], fleet.server_id))
    assert (row.source, row.sources, row.operation_id) == ("imds", ["imds", "eventbridge"], "op-1")
    assert (row.deadline, row.seen_at) == (NOW + timedelta(minutes=2), NOW)
    assert fleet.told() == ["notice.interruption", "notice.handled"]


def test_invariant_10_cool_downs_are_shared_and_never_cut_short(fleet: RecordedServer) -> None:
    pool = f"eu-north-1a/m5.{unique('x')}/spot"
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


def test_the_ledger_follows_what_is_intended_made_and_gone(fleet: RecordedServer) -> None:
    lost, made = unique("t"), unique("t")
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


def test_an_answer_that_came_after_all_opens_the_ledger_again(fleet: RecordedServer) -> None:
    token = unique("t")
    fleet.write("", (K.RESOURCE_INTENDED, {"token": token, "type": "instance"}))
    fleet.write("", (K.RESOURCE_GONE, {"token": token, "how": "never_made"}))
    fleet.write("", (K.RESOURCE_MADE, {"token": token, "type": "instance", "resource_id": "i-late"}))
    assert [(r.resource_id, r.state, r.gone_at) for r in fleet.resources()] == [("i-late", "live", None)]
