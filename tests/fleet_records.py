"""What workflows write to the fleet's records, for tests of what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from activities.records import RecordActivities
from db.engine.session import SessionFactory
from db.fleet.operations import get_operation
from db.fleet.servers import ServerRow, get_server
from db.tables import Event, Instance, Operation, OperationStep, Resource
from domain.records import Record, RecordBatch, RecordKind
from tests.database_schemas import NOW, unique

K = RecordKind
POOL = "us-east-1a/m5.large/spot"
Step = tuple[RecordKind, dict[str, Any]]


class RecordedServer:
    """One server of one client, and what its workflows would write."""

    def __init__(self, sessions: SessionFactory, client_id: str) -> None:
        self.sessions = sessions
        self.client_id = client_id
        self.server_id = unique("srv")
        self.activities = RecordActivities(sessions)
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
            query = select(Resource).where(Resource.server_id == self.server_id).order_by(Resource.id)
            return list(session.scalars(query))


def instance(instance_id: str, state: str, **more: Any) -> Step:
    return K.INSTANCE, {"instance_id": instance_id, "state": state, **more}


def accepted(operation_id: str, request_id: str = "") -> Step:
    what = {"operation_id": operation_id, "kind": "switch", "priority": 75, "digest": "d", "pool": POOL}
    return K.OPERATION_ACCEPTED, {**what, "request_id": request_id or operation_id, "requested_by": "tok-1"}


def started(**more: Any) -> Step:
    return K.OPERATION_STARTED, {"kind": "switch", "handoff": "volumes", "from_pool": POOL, **more}


def finished(outcome: str = "committed", **receipt: Any) -> Step:
    return K.OPERATION_FINISHED, {"outcome": outcome, "reason": "", "receipt": receipt}


def switch_records(old: str, new: str) -> list[Step]:
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
