"""What the database itself refuses, whoever writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from db.engine.session import SessionFactory
from db.tables import Instance, Operation, Server
from tests.database_schemas import NOW, unique

pytest_plugins = ["tests.database_fixtures"]


def instance(server_id: str, **more: Any) -> dict[str, Any]:
    base = {"id": unique("i"), "server_id": server_id, "client_id": "c", "state": "running_replica"}
    return {**base, "created_at": NOW, "updated_at": NOW, **more}


def server(name: str, **more: Any) -> Server:
    plain: dict[str, Any] = {"client_id": "c", "region": "us-east-1", "handoff": "stateless", "policy": {}}
    return Server(id=unique("srv"), name=name, created_at=NOW, updated_at=NOW, **{**plain, **more})


def test_invariant_1_a_second_primary_is_refused_by_the_database(session: Session) -> None:
    server_id = unique("srv")
    session.execute(insert(Instance), [instance(server_id, role="primary"), instance(server_id, role="replica")])
    raw = "INSERT INTO instances (id, server_id, client_id, state, role, pool, region, zone, instance_type, lifecycle,"
    raw += " private_ip, spot_request_id, reason, created_at, updated_at)"
    raw += " VALUES ('i-raw', :server, 'c', 'running_primary', 'primary', '', '', '', '', '', '', '', '', NOW(), NOW())"
    with pytest.raises(IntegrityError, match="uq_instances_primary_of"):
        session.execute(text(raw), {"server": server_id})


def test_invariant_1_a_replica_cannot_be_made_a_second_primary(session: Session) -> None:
    server_id, replica = unique("srv"), unique("i")
    session.execute(insert(Instance), [instance(server_id, role="primary"), instance(server_id, id=replica)])
    with pytest.raises(IntegrityError, match="uq_instances_primary_of"):
        session.execute(update(Instance).where(Instance.id == replica).values(role="primary"))


def test_a_live_instance_plays_one_server_and_once_released_another(session: Session) -> None:
    one = instance(unique("srv"))
    session.execute(insert(Instance), [one])
    with session.begin_nested(), pytest.raises(IntegrityError, match="uq_instances_live_id"):
        session.execute(insert(Instance), [{**one, "server_id": unique("srv")}])
    session.execute(update(Instance).where(Instance.id == one["id"]).values(state="released"))
    session.execute(insert(Instance), [{**one, "server_id": unique("srv")}])


def test_a_name_is_taken_while_its_server_is_active(sessions: SessionFactory) -> None:
    first = server("orders-db")
    with sessions.begin() as session:
        session.add(first)
    with pytest.raises(IntegrityError, match="uq_servers_active_name"), sessions.begin() as session:
        session.add(server("orders-db"))
    with sessions.begin() as session:
        session.add_all([server("Orders-DB"), server("orders-db", client_id="another")])
        session.merge(first).state = "ended"
    with sessions.begin() as session:
        session.add(server("orders-db"))


def test_a_stale_write_to_a_server_fails(sessions: SessionFactory) -> None:
    kept = server(unique("name"))
    with sessions.begin() as session:
        session.add(kept)
    with sessions() as mine, sessions() as other:
        a, b = mine.get_one(Server, kept.id), other.get_one(Server, kept.id)
        a.handoff, b.handoff = "volumes", "snapshot"
        mine.commit()
        with pytest.raises(StaleDataError):
            other.commit()


def test_durations_come_from_the_database_to_the_microsecond(session: Session) -> None:
    row = instance(
        unique("srv"),
        launch_requested_at=NOW,
        launch_confirmed_at=NOW + timedelta(seconds=83, microseconds=1),
        terminate_requested_at=NOW,
        terminate_confirmed_at=NOW + timedelta(days=40, microseconds=250),
    )
    session.execute(insert(Instance), [row])
    found = session.scalars(select(Instance).where(Instance.id == row["id"])).one()
    assert found.launch_duration_seconds == pytest.approx(83.000001, abs=1e-9)
    assert found.termination_duration_seconds == pytest.approx(40 * 86400 + 0.00025, abs=1e-9)


def test_an_operation_lasts_from_its_start_to_its_end(session: Session) -> None:
    session.add(
        Operation(
            id=unique("op"),
            server_id="s",
            client_id="c",
            kind="switch",
            status="committed",
            requested_at=NOW - timedelta(hours=1),
            started_at=NOW,
            finished_at=NOW + timedelta(milliseconds=1500),
        )
    )
    session.flush()
    assert session.scalars(select(Operation.duration_seconds).where(Operation.started_at == NOW)).one() == 1.5


def test_a_request_id_is_one_operation_of_a_client(session: Session) -> None:
    def asked(client: str) -> Operation:
        common = {"server_id": "s", "kind": "switch", "status": "queued", "requested_at": NOW}
        return Operation(id=unique("op"), client_id=client, request_id="same", **common)

    session.add_all([asked("one"), asked("two")])
    session.flush()
    session.add(asked("one"))
    with pytest.raises(IntegrityError, match="uq_operations_request"):
        session.flush()


def test_an_identifier_that_is_not_ascii_is_just_not_there(session: Session) -> None:
    assert session.get(Server, "srv-ü€") is None
