"""What reconciliation does with servers: those that are lost, silent or busy, and what their workflows say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from activities.ec2.errors import Ec2Failure
from activities.ec2.resources import ResourceListing
from db.tables import Instance, Operation
from domain.errors import Failure
from domain.host import NoticeSource
from domain.operations import OperationKind, OperationStatus, OperationView, ServerView
from domain.reconciliation import contract
from domain.reconciliation.facts import FoundResource, GracePeriods, ResourceKind
from domain.servers import Placement, ServerShape
from tests.database_schemas import unique
from tests.integration.lab_cloud import clean, cloud
from tests.integration.reconciliation_site import POOL, Site, site

__all__ = ["clean", "cloud", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


def test_a_primary_that_somebody_terminated_is_a_failover_by_the_servers_workflow(site: Site) -> None:
    site.cloud.end(site.instance_id)
    for _ in range(3):
        site.one_pass(later=60)
    [(server, notice)] = site.workflows.told  # asked once, and open until it is whole again
    assert (server, notice.instance_id, notice.source) == (site.server_id, site.instance_id, NoticeSource.LOST)
    row = site.drift()[site.instance_id]
    assert (row.kind, row.state) == ("vanished_primary", "open")
    assert "UserInitiatedShutdown" in row.details["what_happened"]
    assert ("drift.asked", site.instance_id) in site.told()
    assert site.ledger(site.instance_id).state == "live", "its failover closes it"


def test_a_throttled_question_about_a_lost_primary_is_put_again_and_its_server_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(*_: object) -> None:
        raise Ec2Failure(Failure.THROTTLED, "EC2 asks to slow down")

    with site.sessions.begin() as session:  # a server on an instance that EC2 does not list
        session.execute(update(Instance).values(id="i-0123456789abcdef0"))
    site.one_pass()
    with monkeypatch.context() as now:
        now.setattr(ResourceListing, "knows", throttled)
        settled = site.one_pass(later=60)
    assert settled.left == {site.drift()["i-0123456789abcdef0"].finding_key: "EC2 asks to slow down"}
    assert site.workflows.told == []
    site.one_pass(later=60)
    assert [notice.instance_id for _, notice in site.workflows.told] == ["i-0123456789abcdef0"]


def test_a_server_that_stays_down_is_asked_for_again_and_ever_less_often(site: Site) -> None:
    site.cloud.end(site.instance_id)
    asked, before = list[int](), 0
    for minute in (0, 9, 11, 20, 24, 40, 50):
        site.one_pass(later=60 * (minute - before))
        asked += [minute] * (len(site.workflows.told) - len(asked))
        before = minute
    assert asked == [0, 11, 24, 50]


def test_where_not_all_can_be_told_a_server_that_is_down_is_told_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MOST_FINDINGS", 1)
    site.orphan("op-strange")
    site.orphan(site.operation("rolled_back"))
    site.cloud.end(site.instance_id)
    assert site.survey().left_out >= 2
    site.one_pass()
    assert [server for server, _ in site.workflows.told] == [site.server_id]


def test_a_silent_agent_is_told_and_resolved_when_it_speaks_again(site: Site) -> None:
    site.patience = GracePeriods(silent_s=-1)
    site.one_pass()
    row = site.drift()[site.instance_id]
    assert (row.kind, row.action, row.reason) == ("silent_agent", "report", "still_runs")
    site.patience = GracePeriods(silent_s=10_000)
    site.one_pass()
    assert site.drift()[site.instance_id].state == "resolved"
    assert [kind for kind, _ in site.told()] == ["drift.found", "drift.resolved"]


def test_a_silent_agent_on_an_impaired_host_is_a_rescue(site: Site) -> None:
    site.patience = GracePeriods(silent_s=-1, gone_s=0)
    site.cloud.post(f"/instances/{site.instance_id}/kill", outcome="impaired")
    site.one_pass()
    site.one_pass()
    assert [server for server, _ in site.workflows.told] == [site.server_id]


def test_while_an_operation_is_in_progress_its_server_is_left_alone(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.operation("running")
    site.one_pass()
    assert site.drift() == {}
    assert site.state_of("instances", orphan) == "running"


def test_a_finding_stays_as_it_is_while_its_server_is_busy(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.one_pass()
    before = site.drift()[orphan]
    running = site.operation("running")
    site.one_pass(later=5000)
    during = site.drift()[orphan]
    assert (during.state, during.times, during.due_at) == ("open", before.times, before.due_at)
    with site.sessions.begin() as session:
        session.execute(update(Operation).where(Operation.id == running).values(status="committed"))
    site.one_pass()
    assert site.drift()[orphan].state == "removed"
    assert [kind for kind, _ in site.told()] == ["drift.found", "drift.removed"]


def test_an_operation_that_ends_while_ec2_is_looked_at_is_in_progress(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What EC2 tells may be from before its end."""
    site.orphan(site.operation("rolled_back"))
    running = site.operation("running")
    tagged = ResourceListing.tagged

    def ends(listing: ResourceListing, region: str, kind: ResourceKind) -> list[FoundResource]:
        with site.sessions.begin() as session:
            session.execute(update(Operation).where(Operation.id == running).values(status="committed"))
        return tagged(listing, region, kind)

    monkeypatch.setattr(ResourceListing, "tagged", ends)
    assert [one for one in site.survey().findings if one.server_id == site.server_id] == []


def test_an_operation_that_begins_while_ec2_is_looked_at_is_in_progress(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    tagged = ResourceListing.tagged

    def begins(listing: ResourceListing, region: str, kind: ResourceKind) -> list[FoundResource]:
        found = tagged(listing, region, kind)
        if kind is ResourceKind.SPOT_REQUEST:  # the last
            site.operation("running")
        return found

    monkeypatch.setattr(ResourceListing, "tagged", begins)
    assert orphan not in {one.resource_id for one in site.survey().findings}


def test_an_operation_that_the_records_do_not_know_yet_is_asked_of_the_workflow(site: Site) -> None:
    """The database was away: the records of a rescue lag behind, its workflow does not."""
    orphan = site.orphan(site.operation("rolled_back"))
    running = OperationView("op-new", OperationKind.FAILOVER, 100, OperationStatus.RUNNING)
    site.workflows.views[site.server_id] = ServerView(ServerShape(), running)
    site.one_pass()
    assert site.drift() == {}
    site.workflows.views.clear()
    site.one_pass()

    def begins() -> None:
        site.workflows.views[site.server_id] = ServerView(ServerShape(), running)

    settled = site.one_pass(later=1001, meanwhile=begins)
    assert "under way" in next(iter(settled.left.values()))
    assert site.state_of("instances", orphan) == "running"


@pytest.mark.parametrize("how", ["mute", "absent"])
def test_a_server_whose_workflow_does_not_answer_is_told_of_and_not_touched(site: Site, how: str) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    getattr(site.workflows, how).add(site.server_id)
    for later in (0, 1001):
        site.one_pass(later=later)
    assert site.state_of("instances", orphan) == "running"
    assert (orphan in site.drift()) == (how == "absent")


def test_what_a_workflow_says_its_server_runs_on_is_never_removed(site: Site) -> None:
    """The records were restored from before the last switch."""
    orphan = site.orphan(site.operation("committed"))
    site.workflows.views[site.server_id] = ServerView(ServerShape(primary=Placement(orphan, POOL)))
    for later in (0, 1001):
        settled = site.one_pass(later=later)
    assert "runs on it" in next(iter(settled.left.values()))
    assert site.state_of("instances", orphan) == "running"


@pytest.mark.parametrize("how", ["removed", "closed"])
def test_an_instance_that_reconciliation_ends_is_ended_in_the_records(site: Site, how: str) -> None:
    operation = site.operation("committed")
    token = unique("t")
    retired = site.orphan(operation, token=token)
    site.record("instance", retired, token=token, operation_id=operation)
    now = datetime.now(UTC)
    named: dict[str, Any] = {"client_id": site.client_id, "created_at": now, "updated_at": now}
    site.add(Instance(id=retired, server_id=site.server_id, state="running_primary", pool=POOL, roles=[], **named))
    if how == "closed":
        site.cloud.end(retired)
    for later in (0, 3601):
        site.one_pass(later=later)
    assert site.drift()[retired].state == how
    with site.sessions() as session:
        row = session.get_one(Instance, (retired, site.server_id))
        serving = session.get_one(Instance, (site.instance_id, site.server_id))
    assert (row.state, row.role, row.live_id) == ("terminated", None, None)
    assert row.terminate_confirmed_at is not None
    assert "instance.terminated" in [kind for kind, _ in site.told()]
    assert (serving.state, serving.role) == ("running_primary", "primary")
