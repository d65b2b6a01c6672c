"""Reconciliation as its tests use it: one adopted server on the lab's EC2, its records, and its workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.activity import ReconciliationActivities
from db.engine.session import SessionFactory
from db.tables import Agent, DriftRow, Event, Instance, Operation, Resource, Server
from domain.host import Notice
from domain.names import ownership_tags
from domain.operations import ServerView
from domain.reconciliation import contract
from domain.reconciliation.drift import DriftFinding
from domain.reconciliation.facts import GracePeriods
from domain.servers import ServerShape
from tests.database_schemas import unique
from tests.integration.fake_temporal import FakeTemporal
from tests.integration.lab_cloud import REGION, A, Cloud

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
    patience: GracePeriods = GracePeriods(ours_s=100, gone_s=50, silent_s=10_000)  # noqa: RUF009
    workflows: FakeWorkflows = field(default_factory=FakeWorkflows)
    later: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.server_id = unique("srv")
        self.instance_id = self.cloud.original()
        tags = ownership_tags(self.client_id, self.server_id, f"adopt-{self.server_id}")
        self.volumes = self._volumes_of(self.instance_id)
        self.cloud.ec2.create_tags(Resources=[self.instance_id, *self.volumes], Tags=tag_list(tags))
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

    def orphan(self, operation_id: str, *, token: str = "", **changed: Any) -> str:
        """An instance that an operation of ours launched, and that the ledger counts as gone. `token`: another than a
        token of the ledger."""
        if not token:
            token = unique("t")
            self.record("instance", None, "gone", token=token, operation_id=operation_id)
        return self.tagged_instance(operation_id, ClientToken=token, **changed)

    def tagged_instance(self, operation_id: str, **changed: Any) -> str:
        """An instance whose tags say that an operation of ours made it."""
        tags = ownership_tags(self.client_id, self.server_id, operation_id)
        root = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}]
        specification = [{"ResourceType": "instance", "Tags": tag_list(tags)}]
        return self.cloud.original(BlockDeviceMappings=root, TagSpecifications=specification, **changed)

    def copy_of_data(self, operation_id: str) -> tuple[str, str]:
        """A snapshot of the server's data volume, and a volume made of it, both by that operation."""
        snapshot, volume = self.tagged_copy_of_data(operation_id)
        self.record("snapshot", snapshot, "gone", token=unique("t"), operation_id=operation_id)
        self.record("volume", volume, "gone", token=unique("t"), operation_id=operation_id)
        return snapshot, volume

    def tagged_copy_of_data(self, operation_id: str) -> tuple[str, str]:
        """The same, of which nothing but the tags says who made them."""
        tags = tag_list(ownership_tags(self.client_id, self.server_id, operation_id))
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


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
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
