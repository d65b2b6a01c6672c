"""What refuses a resumption, and what a resumed server remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import resumption
from domain.blueprint import Blueprint
from domain.names import ownership_tags
from domain.operations import OperationStatus
from domain.resumption import ResumeSurvey, ServerRecords
from domain.servers import Handoff, Placement, ServerPolicy, ServerRef
from tests.workflows.ec2_state import ACCOUNT, HOME, OLD, FakeEc2State

REF = ServerRef("srv-1", "cli-1", "orders", "us-east-1")
RECORDED = ServerRecords(active=True, account_id=ACCOUNT, primary=Placement(OLD, HOME))


def blueprint(*, volumes: bool = False) -> Blueprint:
    seen = FakeEc2State(volumes=volumes, targets=False, elastic=False).blueprint(OLD)
    return replace(seen, own_tags=ownership_tags("cli-1", "srv-1", "op-1"))


def by_records(looked: ResumeSurvey) -> list[str]:
    return [one.code for one in resumption.findings_from_records(REF, looked)]


def by_ec2(recorded: ServerRecords, seen: Blueprint, account: str = ACCOUNT) -> list[str]:
    return [one.code for one in resumption.findings_from_ec2(REF, recorded, seen, account)]


def test_a_server_that_nobody_holds_is_refused_by_nothing() -> None:
    assert by_records(ResumeSurvey(RECORDED)) == []
    assert by_ec2(RECORDED, blueprint()) == []


def test_each_thing_in_the_way_is_named() -> None:
    running = ["operation/op-1", "operation/op-2", "server/srv-1"]
    assert by_records(ResumeSurvey(ServerRecords(), running)) == [
        "server_ended",
        "workflow_runs",
        "operation_runs",
        "operation_runs",
    ]
    assert by_records(ResumeSurvey(replace(RECORDED, primary=None))) == ["no_primary"]


@pytest.mark.parametrize("tags", [{}, ownership_tags("cli-2", "srv-1", ""), ownership_tags("cli-1", "srv-2", "")])
def test_tags_of_nobody_or_of_somebody_else_refuse_it(tags: dict[str, str]) -> None:
    assert by_ec2(RECORDED, replace(blueprint(), own_tags=tags)) == ["strange_tags"]


def test_an_account_that_is_not_the_recorded_one_refuses_it_and_one_that_was_not_recorded_does_not() -> None:
    assert by_ec2(replace(RECORDED, account_id="2"), blueprint()) == ["another_account"]
    assert by_ec2(RECORDED, blueprint(), "2") == ["another_account"]
    assert by_ec2(replace(RECORDED, account_id=""), blueprint()) == []


def test_only_a_server_with_state_lacks_its_volumes() -> None:
    stateful = replace(RECORDED, policy=ServerPolicy(handoff=Handoff.VOLUMES))
    assert resumption.lacks_data(stateful, blueprint())
    assert not resumption.lacks_data(stateful, blueprint(volumes=True))
    assert not resumption.lacks_data(RECORDED, blueprint())


def test_what_to_do_about_a_primary_depends_on_whether_it_can_be_started() -> None:
    stopped = resumption.not_running("i-1", "stopped", ["volume vol-1 (in-use, attached to i-1)"])
    assert "start-instances" in stopped.mend
    assert "vol-1" in stopped.what
    gone = resumption.not_running("i-1", "", [])
    assert "start-instances" not in gone.mend
    assert "nothing else" in gone.what


def test_only_a_silent_agent_and_missing_volumes_can_be_accepted() -> None:
    found = [
        resumption.agent_silent("i-1"),
        resumption.no_data_volume("i-1", []),
        *resumption.findings_from_records(REF, ResumeSurvey(ServerRecords())),
    ]
    accepted = [one.code for one in found]
    assert [one.code for one in resumption.blocking_resumption(found, accepted)] == ["server_ended"]
    assert resumption.blocking_resumption(found, []) == found


def test_a_notice_is_known_when_every_rescue_for_it_came_to_an_end() -> None:
    over, broken = OperationStatus.COMMITTED, OperationStatus.NEEDS_ATTENTION
    asked = {
        "notice/i-1/interruption": over,
        "notice/i-2/interruption": broken,
        "notice/i-3/interruption": over,
        "notice/i-3/interruption/op-9": OperationStatus.RUNNING,
        "notice/i-4/interruption/replica_drop": OperationStatus.ROLLED_BACK,
        "my-own-key": over,
    }
    assert resumption.finished_notices(asked) == ["i-1/interruption", "i-4/interruption"]
