"""Reconciliation on the lab's EC2 and a real database: what is found, kept, told, and done about it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.ec2.errors import Ec2Failure
from activities.ec2.resources import ResourceListing
from activities.reconciliation.activity import ReconciliationActivities
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.tables import Agent, DriftRow, Event, Instance, Operation, Resource, Server
from domain.errors import Failure
from domain.host import Notice, NoticeSource
from domain.names import ownership_tags
from domain.operations import OperationKind, OperationStatus, OperationView, ServerView
from domain.reconciliation import contract
from domain.reconciliation.drift import DriftFinding
from domain.reconciliation.facts import FoundResource, GracePeriods, ResourceKind
from domain.servers import Placement, ServerShape
from tests.database_schemas import unique
from tests.integration.fake_temporal import FakeTemporal
from tests.integration.lab_cloud import REGION, A, Cloud, clean, cloud

__all__ = ["clean", "cloud"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]

POOL = f"{A}/m5.large/on-demand"


class FakeWorkflows(FakeTemporal):
    """The servers' workflows, as reconciliation asks them."""

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, ServerView] = {}
        self.absent: set[str] = set()
        self.mute: set[str] = set()
        self.told: list[tuple[str, Notice]] = []

    def get_workflow_handle(self, workflow_id: str) -> Any:
        return Handle(self, workflow_id.removeprefix("server/"))


@dataclass
class Handle:
    workflows: FakeWorkflows
    server_id: str

    def _fail(self) -> None:
        if self.server_id in self.workflows.absent:
            raise RPCError("none", RPCStatusCode.NOT_FOUND, b"")
        if self.server_id in self.workflows.mute:
            raise RPCError("late", RPCStatusCode.DEADLINE_EXCEEDED, b"")

    async def query(self, name: str, **_: Any) -> ServerView:
        self._fail()
        return self.workflows.views.get(self.server_id, ServerView(ServerShape()))

    async def signal(self, name: str, notice: Notice) -> None:
        self._fail()
        self.workflows.told.append((self.server_id, notice))


@dataclass
class Site:
    """One client with one adopted server, as its records leave it, and reconciliation over it."""

    sessions: SessionFactory
    client_id: str
    cloud: Cloud
    patience: GracePeriods = GracePeriods(ours_s=100, unexplained_s=1000, gone_s=50, silent_s=10_000)  # noqa: RUF009
    workflows: FakeWorkflows = field(default_factory=FakeWorkflows)
    later: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.server_id = unique("srv")
        self.instance_id = self.cloud.original()
        tags = ownership_tags(self.client_id, self.server_id, f"adopt-{self.server_id}")
        self.volumes = self._volumes_of(self.instance_id)
        self.cloud.ec2.create_tags(Resources=[self.instance_id, *self.volumes], Tags=_tags(tags))
        now = datetime.now(UTC)
        named: dict[str, Any] = {"client_id": self.client_id, "created_at": now, "updated_at": now}
        self.add(
            Server(id=self.server_id, name=self.server_id, region=REGION, handoff="volumes", policy={}, **named),
            Instance(
                id=self.instance_id, server_id=self.server_id, state="running_primary", role="primary", pool=POOL,
                region=REGION, **named,
            ),
            Agent(client_id=self.client_id, instance_id=self.instance_id, registered_at=now, seen_at=now, due_at=now),
        )  # fmt: skip
        for kind, resource_id in [("instance", self.instance_id), *(("volume", one) for one in self.volumes)]:
            self.record(kind, resource_id)

    # --- the world

    def _volumes_of(self, instance_id: str) -> list[str]:
        found = self.cloud.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])
        return [one["VolumeId"] for one in found["Volumes"]]

    @property
    def data_volume(self) -> str:
        found = self.cloud.ec2.describe_volumes(VolumeIds=self.volumes)["Volumes"]
        return next(str(one["VolumeId"]) for one in found if one["Attachments"][0]["Device"] == "/dev/sdf")

    def orphan(self, operation_id: str, **changed: Any) -> str:
        """An instance behind our back, with tags that say that an operation of ours made it."""
        tags = ownership_tags(self.client_id, self.server_id, operation_id)
        root = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}]
        specification = [{"ResourceType": "instance", "Tags": _tags(tags)}]
        return self.cloud.original(BlockDeviceMappings=root, TagSpecifications=specification, **changed)

    def copy_of_data(self, operation_id: str) -> tuple[str, str]:
        """A snapshot of the server's data volume, and a volume made of it, both of that operation."""
        tags = _tags(ownership_tags(self.client_id, self.server_id, operation_id))
        ec2 = self.cloud.ec2
        snapshot: str = ec2.create_snapshot(
            VolumeId=self.data_volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}]
        )["SnapshotId"]
        self.cloud.snapshot_completed(snapshot)
        volume: str = ec2.create_volume(
            AvailabilityZone=A, SnapshotId=snapshot, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
        )["VolumeId"]
        self.cloud.volume_available(volume)
        return snapshot, volume

    def state_of(self, kind: str, resource_id: str) -> str:
        truth = self.cloud.truth()[kind]
        return next((str(one["state"]) for one in truth if one["id"] == resource_id), "none")

    # --- the records

    def add(self, *rows: Any) -> None:
        with self.sessions.begin() as session:
            session.add_all(rows)

    def record(self, kind: str, resource_id: str | None, state: str = "live", **more: Any) -> None:
        now = datetime.now(UTC)
        fixed = {"client_id": self.client_id, "server_id": self.server_id, "type": kind, "live_at": now}
        self.add(Resource(**fixed, resource_id=resource_id, state=state, **more))

    def operation(self, status: str) -> str:
        name = unique("op")
        self.add(
            Operation(
                id=name, server_id=self.server_id, client_id=self.client_id, kind="switch", status=status,
                request_id=name, requested_at=datetime.now(UTC),
            )
        )  # fmt: skip
        return name

    def ledger(self, resource_id: str) -> Resource:
        with self.sessions() as session:
            return session.scalars(select(Resource).where(Resource.resource_id == resource_id)).one()

    def drift(self) -> dict[str, DriftRow]:
        """By resource, of this client's."""
        with self.sessions() as session:
            rows = session.scalars(select(DriftRow).where(DriftRow.client_id == self.client_id)).all()
        return {row.resource_id: row for row in rows}

    def told(self) -> list[tuple[str, str]]:
        with self.sessions() as session:
            query = select(Event).where(Event.client_id == self.client_id).order_by(Event.seq)
            events = session.scalars(query).all()
        return [(one.type, str(one.payload.get("resource_id", ""))) for one in events if one.seq > 1]

    # --- a pass

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.later

    def reconciliation(self) -> ReconciliationActivities:
        return ReconciliationActivities(
            self.sessions, self.cloud.clients, self.workflows, [REGION], self.patience, self.clock
        )

    def run(self, activity: Any, given: object) -> Any:
        return ActivityEnvironment().run(activity, given)

    def survey(self) -> contract.DriftSurvey:
        found: contract.DriftSurvey = self.run(self.reconciliation().survey, contract.ReconcileInput())
        return found

    def one_pass(self, later: float = 0.0, meanwhile: Any = None) -> contract.SettleResult:
        """As the workflow makes it; `meanwhile` happens between the look and what follows."""
        self.later += timedelta(seconds=later)
        work = self.reconciliation()
        surveyed = self.survey()
        resting = self._at_rest(surveyed.findings)
        reported = self.run(work.report, contract.ReportInput(surveyed, resting))
        if meanwhile:
            meanwhile()
        settled: contract.SettleResult = self.run(
            work.settle, contract.SettleInput(reported.due, self._at_rest(reported.due))
        )
        for lost in settled.lost:
            asyncio.run(self.run(work.ask, lost))
        return settled

    def _at_rest(self, findings: list[DriftFinding]) -> contract.AtRestResult:
        servers = sorted({one.server_id for one in findings if one.server_id})
        found: contract.AtRestResult = asyncio.run(
            self.run(self.reconciliation().at_rest, contract.AtRestInput(servers))
        )
        return found


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.fixture
def site(sessions: SessionFactory, client_id: str, clean: Cloud) -> Iterator[Site]:
    made = Site(sessions, client_id, clean)
    yield made
    with sessions.begin() as session:
        session.execute(delete(DriftRow))
        session.execute(delete(Resource))
        session.execute(delete(Instance))
        session.execute(delete(Server))


def test_a_server_at_rest_has_no_drift(site: Site) -> None:
    site.one_pass()
    assert site.drift() == {}
    assert site.survey().resources >= 3


def test_an_orphan_is_told_first_and_removed_after_its_grace(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.one_pass()
    row = site.drift()[orphan]
    assert (row.kind, row.action, row.state, row.times) == ("unknown_resource", "remove", "open", 1)
    assert row.due_at == row.first_seen_at + timedelta(seconds=1000)
    site.one_pass(later=900)  # a slow pass takes of what is left
    assert site.state_of("instances", orphan) == "running"
    site.one_pass(later=101)
    assert site.state_of("instances", orphan) in ("shutting-down", "terminated")
    assert site.drift()[orphan].state == "removed"
    assert site.told() == [("drift.found", orphan), ("drift.removed", orphan)]
    assert site.state_of("instances", site.instance_id) == "running"


def test_what_the_ledger_says_we_made_goes_sooner_and_its_row_is_closed(site: Site) -> None:
    operation = site.operation("rolled_back")
    orphan = site.orphan(operation, ClientToken="t-lost-answer")
    site.record("instance", None, "intended", token="t-lost-answer", operation_id=operation)
    site.one_pass()
    site.one_pass(later=101)
    assert site.drift()[orphan].state == "removed"
    with site.sessions() as session:
        row = session.scalars(select(Resource).where(Resource.token == "t-lost-answer")).one()
    assert (row.state, row.how) == ("gone", "reconciled")


def test_a_copy_of_an_undone_operation_goes_and_a_volume_without_lineage_stays(site: Site) -> None:
    operation = site.operation("rolled_back")
    snapshot, copy = site.copy_of_data(operation)
    tags = _tags(ownership_tags(site.client_id, site.server_id, operation))
    lonely: str = site.cloud.ec2.create_volume(
        AvailabilityZone=A, Size=4, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )["VolumeId"]
    site.cloud.volume_available(lonely)
    for later in (0, 1001, 100_000):
        site.one_pass(later=later)
    assert site.state_of("volumes", copy) == "none"
    assert site.state_of("snapshots", snapshot) == "none"
    assert site.state_of("volumes", lonely) == "available"
    assert (site.drift()[lonely].action, site.drift()[lonely].reason) == ("report", "only_copy")
    assert site.drift()[lonely].due_at is None


def test_a_snapshot_that_is_due_waits_for_the_copy_that_only_it_explains(site: Site) -> None:
    """Removed first, it would leave a volume of which nothing says any more that its data is elsewhere."""
    snapshot, copy = site.copy_of_data(site.operation("rolled_back"))
    now = site.survey()
    alone = [one for one in now.findings if one.resource_id == snapshot]
    site.run(site.reconciliation().report, contract.ReportInput(replace(now, findings=alone), site._at_rest(alone)))
    settled = site.one_pass(later=1001)
    assert f"{copy} was made of it" in next(iter(settled.left.values()))
    assert (site.state_of("snapshots", snapshot), site.drift()[copy].state) == ("completed", "open")
    for later in (1001, 1):
        site.one_pass(later=later)
    assert (site.drift()[copy].state, site.drift()[snapshot].state) == ("removed", "removed")


def test_resources_with_strange_tags_are_told_to_admins_and_stay(site: Site) -> None:
    tags = ownership_tags("cli-strange", "srv-strange", "op-strange")
    strange = site.cloud.original(TagSpecifications=[{"ResourceType": "instance", "Tags": _tags(tags)}])
    for later in (0, 5_000):
        site.one_pass(later=later)
    with site.sessions() as session:
        row = session.scalars(select(DriftRow).where(DriftRow.resource_id == strange)).one()
    assert (row.client_id, row.action, row.reason, row.state) == ("", "report", "strange_tags", "open")
    assert site.state_of("instances", strange) == "running"
    assert site.told() == []
    site.cloud.end(strange)


def test_what_serves_and_is_in_no_record_is_adopted(site: Site) -> None:
    volume = site.data_volume
    with site.sessions.begin() as session:
        session.execute(delete(Resource).where(Resource.resource_id == volume))
    for later in (0, 51):
        site.one_pass(later=later)
    assert (site.ledger(volume).state, site.ledger(volume).how) == ("live", "adopted")
    assert site.told()[-2:] == [("drift.adopted", volume), ("resource.adopted", volume)]


def test_a_record_whose_resource_is_gone_is_closed_with_what_happened(site: Site) -> None:
    gone = site.orphan(site.operation("committed"))
    site.record("instance", gone, token="t-gone")
    site.cloud.end(gone)
    site.record("volume", "vol-0123456789abcdef0")
    site.one_pass()
    assert site.ledger(gone).state == "live"  # one look may be wrong
    site.one_pass(later=51)
    assert (site.ledger(gone).state, site.ledger(gone).how) == ("gone", "vanished")
    assert "UserInitiatedShutdown" in site.ledger(gone).details["what_happened"]
    assert site.ledger("vol-0123456789abcdef0").details["what_happened"] == "EC2 no longer lists it"


def test_an_intention_that_came_to_nothing_is_closed(site: Site) -> None:
    site.record("instance", None, "intended", token="t-never", operation_id=site.operation("cancelled"))
    site.record("instance", None, "intended", token="t-running", operation_id="op-not-written-yet")
    for later in (0, 101):
        site.one_pass(later=later)
    with site.sessions() as session:
        states = {one.token: (one.state, one.how) for one in session.scalars(select(Resource)) if one.token}
    assert states == {"t-never": ("gone", "never_made"), "t-running": ("intended", "")}


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


def test_what_went_away_is_resolved_though_findings_of_another_kind_were_left_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.patience = GracePeriods(silent_s=-1)
    first, other = site.orphan("op-strange"), site.orphan("op-strange")
    site.one_pass()
    site.patience = GracePeriods(silent_s=10_000)
    monkeypatch.setattr(contract, "MOST_FINDINGS", 1)
    assert site.survey().cut == [f"{REGION}/unknown_resource"]
    site.one_pass()
    assert site.drift()[site.instance_id].state == "resolved"
    assert {site.drift()[one].state for one in (first, other)} == {"open"}


def test_a_silent_agent_is_told_and_resolved_when_it_speaks_again(site: Site) -> None:
    site.patience = GracePeriods(silent_s=-1)
    site.one_pass()
    row = site.drift()[site.instance_id]
    assert (row.kind, row.action, row.reason) == ("silent_agent", "report", "still_runs")
    site.patience = GracePeriods(silent_s=10_000)
    site.one_pass()
    assert site.drift()[site.instance_id].state == "resolved"
    assert [kind for kind, _ in site.told()] == ["drift.found", "drift.resolved"]


def test_what_was_settled_is_forgotten_in_the_end_and_what_is_open_is_not(site: Site) -> None:
    site.patience = GracePeriods(silent_s=-1)
    site.one_pass()
    site.patience = GracePeriods(silent_s=10**9)
    site.one_pass()
    site.record("volume", "vol-0123456789abcdef0")
    site.workflows.mute.add(site.server_id)
    site.one_pass(later=89 * 86_400)
    assert site.drift()[site.instance_id].state == "resolved"
    site.one_pass(later=2 * 86_400)
    assert site.drift() == {}


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


def test_what_ec2_lists_in_many_pages_is_seen_whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = site.operation("rolled_back")
    orphans = {site.orphan(operation) for _ in range(3)}
    client = site.cloud.ec2
    real = client.get_paginator
    paginator = real("describe_instances")
    monkeypatch.setattr(paginator, "paginate", functools.partial(paginator.paginate, PaginationConfig={"PageSize": 5}))
    monkeypatch.setattr(client, "get_paginator", lambda name: paginator if name == "describe_instances" else real(name))
    found = {one.resource_id for one in site.survey().findings if one.server_id == site.server_id}
    assert found == orphans


def test_ec2_that_asks_to_slow_down_is_left_alone_until_the_next_pass(site: Site) -> None:
    site.orphan(site.operation("rolled_back"))
    site.cloud.post("/faults", action="DescribeVolumes", kind="fail", code="RequestLimitExceeded", times=50)
    surveyed = site.survey()
    assert (surveyed.findings, surveyed.looked) == ([], [])
    assert "RequestLimitExceeded" in surveyed.problems[0]


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


def test_two_reconciliations_at_once_make_one_finding_and_one_removal(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    surveyed = site.survey()
    resting = site._at_rest(surveyed.findings)
    work = site.reconciliation()
    for _ in range(2):
        site.run(work.report, contract.ReportInput(surveyed, resting))
    site.later = timedelta(seconds=1001)
    due = site.run(work.report, contract.ReportInput(surveyed, resting)).due
    for _ in range(2):
        site.run(work.settle, contract.SettleInput(due, resting))
    assert site.told() == [("drift.found", orphan), ("drift.removed", orphan)]


def test_a_permission_that_is_missing_is_named_and_nothing_of_that_kind_is_judged(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.record("volume", "vol-0123456789abcdef0")
    site.cloud.post("/permissions", deny=["ec2:DescribeVolumes"])
    surveyed = site.survey()
    assert "ec2:DescribeVolumes is denied" in surveyed.problems[0]
    assert f"{REGION}/volume" not in surveyed.looked
    assert {one.resource_id for one in surveyed.findings if one.server_id == site.server_id} == {orphan}


def test_without_the_permission_to_remove_it_stays_open_and_says_why(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.one_pass()
    site.cloud.post("/permissions", deny=["ec2:TerminateInstances"])
    site.one_pass(later=1001)
    row = site.drift()[orphan]
    assert row.state == "open"
    assert "ec2:TerminateInstances is denied" in row.outcome


@pytest.mark.parametrize("how", ["removed", "closed"])
def test_an_instance_that_reconciliation_ends_is_ended_in_the_records(site: Site, how: str) -> None:
    operation = site.operation("committed")
    retired = site.orphan(operation)
    site.record("instance", retired, token=unique("t"), operation_id=operation)
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


def test_removals_that_always_fail_keep_no_other_from_its_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    orphans = {site.orphan(site.operation("rolled_back")) for _ in range(2)}
    site.one_pass()
    monkeypatch.setattr(contract, "MOST_REMOVALS", 1)
    site.cloud.post("/permissions", deny=["ec2:TerminateInstances"])
    tried: set[str] = set()
    for _ in range(2):
        tried |= site.one_pass(later=1001).left.keys()
    assert {key.rsplit("/", 1)[1] for key in tried} == orphans


def test_ec2_that_is_away_changes_nothing(site: Site) -> None:
    site.orphan(site.operation("rolled_back"))
    site.one_pass()
    before = {key: row.state for key, row in site.drift().items()}
    site.cloud.post("/faults", action="DescribeInstances", kind="fail", code="InternalError", times=50)
    surveyed = site.survey()
    assert (surveyed.findings, surveyed.looked) == ([], [])
    assert "listing what carries our tags" in surveyed.problems[0]
    site.one_pass(later=5000)
    assert {key: row.state for key, row in site.drift().items()} == before
    assert site.workflows.told == []


def test_a_large_account_is_listed_page_by_page(clean: Cloud) -> None:
    """EC2 may throttle what asks for everything at once."""
    for kind in ResourceKind:
        ResourceListing(clean.clients).tagged(REGION, kind)
    for action in ("Instances", "Volumes", "Snapshots", "Images", "SpotInstanceRequests"):
        assert clean.calls(f"Describe{action}")[-1]["params"]["MaxResults"] == "500", action


def test_records_that_are_away_are_worth_another_try(clean: Cloud) -> None:
    engine = make_engine("mysql+pymysql://nobody@127.0.0.1:1/none")
    away = ReconciliationActivities(make_session_factory(engine), clean.clients, FakeWorkflows(), [REGION])
    with pytest.raises(ApplicationError) as caught:
        ActivityEnvironment().run(away.survey, contract.ReconcileInput())
    assert caught.value.type == "Unavailable"
