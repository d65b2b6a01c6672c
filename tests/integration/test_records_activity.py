"""The activities as Temporal runs them: many at once, and while the database is away."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.records import RecordActivities, record_activities
from db.engine.session import SessionFactory, in_transaction, make_engine, make_session_factory
from db.status.invariants import clients_with_missing_events
from db.tables import Event, Operation, OperationStep
from domain.records import COOL_DOWNS, RECORD, CoolDowns, CoolDownsInput, Record, RecordBatch, RecordKind
from tests.database_schemas import NOW, unique

pytest_plugins = ["tests.database_fixtures"]


def batch(client_id: str, stream: str, server_id: str, operation_id: str, *steps: tuple[Any, ...]) -> RecordBatch:
    records = [Record(n, NOW, RecordKind(kind), payload) for n, (kind, payload) in enumerate(steps, start=1)]
    return RecordBatch(stream, client_id, server_id, operation_id, records)


def test_a_worker_registers_them_under_their_names(sessions: SessionFactory) -> None:
    named = [activity._Definition.must_from_callable(function).name for function in record_activities(sessions)]
    assert named == [RECORD, COOL_DOWNS]


def test_they_run_where_activities_run(sessions: SessionFactory) -> None:
    found = ActivityEnvironment().run(RecordActivities(sessions).cool_downs, CoolDownsInput("c", "sa-east-1"))
    assert found == CoolDowns({})


def test_records_of_a_client_without_a_row_wait_for_it(sessions: SessionFactory) -> None:
    lost = batch("cli-none", unique("server/"), "srv", "", ("server_policy", {"policy": {}}))
    with pytest.raises(ApplicationError, match="cli-none") as raised:
        RecordActivities(sessions).record(lost)
    assert (raised.value.type, raised.value.non_retryable) == ("NotYet", False)


def test_a_database_that_is_away_is_worth_another_try() -> None:
    engine = make_engine("mysql://spot@127.0.0.1:1/spot")
    with pytest.raises(ApplicationError, match="cool-downs of us-east-1") as raised:
        RecordActivities(make_session_factory(engine)).cool_downs(CoolDownsInput("c", "us-east-1"))
    assert (raised.value.type, raised.value.non_retryable) == ("Unavailable", False)


def test_a_connection_lost_in_the_middle_leaves_nothing(sessions: SessionFactory, client_id: str) -> None:
    operation_id = unique("op")

    def write(session: Session) -> None:
        plain = {"server_id": "s", "client_id": client_id, "kind": "switch", "status": "queued", "requested_at": NOW}
        with session.begin_nested():
            session.add(Operation(id=operation_id, **plain))
            session.flush()
            _kill_connection(sessions, session)
            session.execute(text("SELECT 1"))

    with pytest.raises(ApplicationError) as raised:
        RecordActivities(sessions)._done(write, "a test")
    assert raised.value.type == "Unavailable"
    with sessions() as session:
        assert session.get(Operation, operation_id) is None


def _kill_connection(sessions: SessionFactory, session: Session) -> None:
    victim = session.scalar(text("SELECT CONNECTION_ID()"))
    with sessions() as other:
        other.execute(text(f"KILL {victim}"))


def test_two_that_lock_each_other_out_both_pass(sessions: SessionFactory, client_id: str) -> None:
    """A real deadlock, inside savepoints as records are applied: the victim is done again."""
    ids = [unique("op"), unique("op")]
    plain = {"server_id": "s", "client_id": client_id, "kind": "switch", "status": "queued", "requested_at": NOW}
    with sessions.begin() as session:
        session.add_all([Operation(id=one, **plain) for one in ids])
    both_hold_one = _Meeting(2)
    attempts: list[str] = []

    def write(order: list[str]) -> None:
        def work(session: Session) -> None:
            attempts.append(order[0])
            for n, operation_id in enumerate(order):
                with session.begin_nested():
                    session.get_one(Operation, operation_id, with_for_update=True).priority += 1
                if n == 0:
                    both_hold_one.wait_once(order[0])

        in_transaction(sessions, work)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, [ids, ids[::-1]]))
    with sessions() as session:
        assert session.scalars(select(Operation.priority).where(Operation.id.in_(ids))).all() == [2, 2]
    assert len(attempts) == 3


class _Meeting:
    """A barrier that a second attempt walks past."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties, timeout=60)
        self._met: set[str] = set()

    def wait_once(self, who: str) -> None:
        if who not in self._met:
            self._met.add(who)
            self._barrier.wait()


def test_a_lock_held_too_long_is_worth_another_try(sessions: SessionFactory) -> None:
    def locked_out(session: Session) -> None:
        raise OperationalError("UPDATE", None, Exception(1205, "Lock wait timeout exceeded"))

    with pytest.raises(ApplicationError, match="1205") as raised:
        RecordActivities(sessions)._done(locked_out, "records")
    assert raised.value.type == "Unavailable"


def test_many_streams_of_one_client_at_once(sessions: SessionFactory, client_id: str) -> None:
    """Each operation's two streams, each batch sent twice at the same time, as a retry might be."""
    fleet = RecordActivities(sessions)
    server_id, operations = unique("srv"), [unique("op") for _ in range(12)]
    steps = [(kind, {"step": "launch"}) for kind in ("step_started", "step_ended")]
    batches = []
    for op in operations:
        asked = {"operation_id": op, "kind": "switch", "request_id": op}
        batches += [batch(client_id, unique("server/"), server_id, "", ("operation_accepted", asked))] * 2
        run = [("operation_started", {"kind": "switch"}), *steps, ("operation_finished", {"outcome": "committed"})]
        batches += [batch(client_id, f"operation/{op}", server_id, op, *run)] * 2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fleet.record, batches))
    with sessions() as session:
        done = session.scalars(select(Operation).where(Operation.server_id == server_id)).all()
        rows = session.scalars(select(OperationStep).where(OperationStep.operation_id.in_(operations))).all()
        told = session.scalars(select(Event.type).where(Event.client_id == client_id)).all()
        assert clients_with_missing_events(session) == []
    assert {(op.status, op.request_id) for op in done} == {("committed", op.id) for op in done}
    assert len(done) == len(rows) == 12
    assert len(told) == 1 + 12 * 5
