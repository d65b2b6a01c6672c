"""Each list is an indexed query, and shows nobody what is another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text
from sqlalchemy.orm import Session

from db.autopilot import decisions
from db.clients import clients, sign_ins, tokens
from db.engine.session import SessionFactory
from db.event_log import reading
from db.event_log.writing import NewEvent, append_events
from db.fleet import fleet_page as fleet_rows
from db.fleet import instances, operations, servers, timeline
from db.market import pools
from db.status import summary
from db.status.overview import count_needing_attention, overview
from db.tables import (
    Agent,
    Audit,
    Client,
    DecisionRow,
    Instance,
    Notice,
    Operation,
    OperationStep,
    PoolRow,
    PriceObservation,
    Resource,
    Server,
)
from domain.instance_states import InstanceState
from tests.database_schemas import NOW

pytest_plugins = ["tests.database_fixtures"]

CLIENTS, SERVERS, INSTANCES, OPERATIONS = 10, 1000, 10_000, 4000
STATES = [state.value for state in InstanceState]
MINE = "cli-3"  # its servers: srv-3, srv-13, …


def minutes(n: int) -> dict[str, Any]:
    at = NOW + timedelta(minutes=n)
    return {"created_at": at, "updated_at": at}


def a_server(n: int) -> dict[str, Any]:
    state = "ended" if n % 4 == 0 else "active"
    plain = {"region": "us-east-1", "handoff": "stateless", "policy": {}, "state": state, "version": 1}
    return {"id": f"srv-{n}", "client_id": f"cli-{n % CLIENTS}", "name": f"n-{n}", **plain, **minutes(n)}


def an_instance(n: int) -> dict[str, Any]:
    """One in ten lives: the primary of its server."""
    server, primary = n % SERVERS, n < SERVERS
    state = "running_primary" if primary else "terminated"
    where = {"id": f"i-{n}", "server_id": f"srv-{server}", "client_id": f"cli-{server % CLIENTS}"}
    price = {"usd_per_hour": 0.05, "pool": "us-east-1a/m5.large/spot"}
    return {**where, "state": state, "role": "primary" if primary else None, **price, **minutes(n)}


def an_operation(n: int) -> dict[str, Any]:
    server = n % SERVERS
    what = {"kind": "switch", "status": "running" if n >= OPERATIONS - 50 else "committed", "attention": n % 500 == 0}
    where = {"id": f"op-{n}", "server_id": f"srv-{server}", "client_id": f"cli-{server % CLIENTS}"}
    return {**where, **what, "request_id": f"r-{n}", "requested_at": NOW + timedelta(minutes=n)}


def a_resource(n: int) -> dict[str, Any]:
    server = n % SERVERS
    where = {"server_id": f"srv-{server}", "client_id": f"cli-{server % CLIENTS}"}
    return {**where, "type": "volume", "resource_id": f"vol-{n}", "state": "live" if n % 7 == 0 else "gone"}


def a_notice(n: int) -> dict[str, Any]:
    where = {"server_id": f"srv-{n % SERVERS}", "client_id": f"cli-{n % CLIENTS}", "instance_id": f"i-{n}"}
    heard = {"kind": "rebalance", "source": "imds", "sources": ["imds"], "seen_at": NOW + timedelta(minutes=n)}
    return {"notice_id": f"i-{n}/rebalance", **where, **heard}


def an_agent(n: int) -> dict[str, Any]:
    seen = {"version": "1.0", "registered_at": NOW, "seen_at": NOW, "due_at": NOW}
    return {"client_id": f"cli-{n % CLIENTS}", "instance_id": f"i-{n}", **seen}


def a_step(n: int) -> dict[str, Any]:
    """Those of the operations that run are open."""
    open_ = n >= 2 * (OPERATIONS - 50) and n % 2 == 1
    which = {"operation_id": f"op-{n // 2}", "position": 1 + n % 2, "name": "launch", "started_at": NOW}
    return {**which, "ended_at": None if open_ else NOW, "calls": [], "hooks": [], "note": ""}


def a_decision(n: int) -> dict[str, Any]:
    """Each server has had three; the last is its latest."""
    server = n % SERVERS
    where = {"id": f"dec-{n}", "server_id": f"srv-{server}", "client_id": f"cli-{server % CLIENTS}"}
    what = {"kind": "stay", "reason": "best_already", "from_pool": "us-east-1a/m5.large/spot", "state": "recorded"}
    at = NOW + timedelta(minutes=n)
    latest = f"srv-{server}" if n >= 2 * SERVERS else None
    figures = {"here": {"pool": "us-east-1a/m5.large/spot", "losses_per_h": 0.001}, "on_demand_usd_per_h": 0.096}
    return {**where, **what, "figures": figures, "at": at, "last_at": at, "latest_server_id": latest}


def a_pool(n: int) -> dict[str, Any]:
    zone, kind = f"region-{n % 20}a", f"m{n}.large"
    end = NOW + timedelta(minutes=n - 950)
    place = {"region": f"region-{n % 20}", "zone": zone, "instance_type": kind, "lifecycle": "spot"}
    return {"id": f"{zone}/{kind}/spot", **place, "cool_down_until": end}


def an_observation(n: int) -> dict[str, Any]:
    place = {"region": "us-east-1", "zone": "us-east-1a", "instance_type": f"m{n % 30}.large"}
    return {**place, "at": NOW + timedelta(minutes=n), "source": "ec2", "usd_per_hour": 0.01}


@pytest.fixture(scope="module")
def fleet(sessions: SessionFactory) -> SessionFactory:
    """Enough rows that reading them all is the worse plan, with statistics that say so."""
    with sessions.begin() as session:
        for n in range(CLIENTS):
            clients.create_client(session, f"cli-{n}", f"client {n}", NOW)
            tokens.create_token(session, f"tok-{n}", "0" * 64, NOW, client_id=f"cli-{n}")
        session.execute(insert(Client), [_a_bystander(n) for n in range(1500)])
        session.execute(insert(Server), [a_server(n) for n in range(SERVERS)])
        session.execute(insert(Instance), [an_instance(n) for n in range(INSTANCES)])
        session.execute(insert(Operation), [an_operation(n) for n in range(OPERATIONS)])
        session.execute(insert(OperationStep), [a_step(n) for n in range(2 * OPERATIONS)])
        session.execute(insert(DecisionRow), [a_decision(n) for n in range(3 * SERVERS)])
        session.execute(insert(Resource), [a_resource(n) for n in range(1500)])
        session.execute(insert(Notice), [a_notice(n) for n in range(1500)])
        session.execute(insert(PoolRow), [a_pool(n) for n in range(1000)])
        session.execute(insert(PriceObservation), [an_observation(n) for n in range(1500)])
        many = [
            NewEvent(
                "server.policy" if n % 3 else "instance.changed",
                NOW,
                server_id=f"srv-{n % 50}",
                operation_id=f"op-{n % 100}",
            )
            for n in range(1500)
        ]
        for client in (MINE, "cli-4"):
            append_events(session, client, many)
        session.execute(insert(Agent), [an_agent(n) for n in range(1500)])
    with sessions() as session:
        for model in (Client, Server, Instance, Operation, Resource, Notice, PoolRow, PriceObservation, Audit, Agent):
            session.execute(text(f"ANALYZE TABLE {model.__tablename__}"))
        session.execute(text("ANALYZE TABLE events, tokens, operation_steps, decisions"))
    return sessions


def _a_bystander(n: int) -> dict[str, Any]:
    return {"id": f"other-{n}", "name": "other", "event_seq": 0, "created_at": NOW - timedelta(minutes=n)}


@contextmanager
def explained(session: Session) -> Iterator[list[str]]:
    """Every plan of what the session asks that reads a whole table."""
    scans: list[str] = []
    explaining = False

    def explain(connection: Connection, _: Any, statement: str, values: Any, __: Any, ___: bool) -> None:
        nonlocal explaining
        if explaining or not statement.startswith("SELECT"):
            return
        explaining = True
        for row in connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", values).mappings():
            # <derived2> is the result of a part of the query, read to be joined.
            if row["type"] == "ALL" and not str(row["table"]).startswith("<"):
                scans.append(f"{row['table']}: {statement}")
        explaining = False

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield scans
    finally:
        event.remove(engine, "before_cursor_execute", explain)


# Pages are short: for a long page of a table that has few blocks, reading it whole is in truth cheaper.
SINCE = NOW + timedelta(minutes=1450)
LATE = NOW + timedelta(minutes=3700)
LISTS: dict[str, Callable[[Session, str | None], Any]] = {
    "servers": lambda s, c: servers.list_servers(s, c, limit=5).items,
    "servers, ended too": lambda s, c: servers.list_servers(s, c, state=None, limit=5).items,
    "fleet": lambda s, c: fleet_rows.read_fleet_page(s, c, limit=5).servers,
    "fleet, the next page": lambda s, c: (
        fleet_rows.read_fleet_page(s, c, cursor=fleet_rows.read_fleet_page(s, c, limit=5).next_cursor, limit=5).servers
    ),
    "fleet, some of it": lambda s, c: fleet_rows.read_fleet_page(s, c, server_ids=["srv-993", "srv-13"]).steps,
    "server": lambda s, c: servers.get_server(s, c, "srv-3"),
    "instances": lambda s, c: instances.list_instances(s, c).items,
    "instances that live": lambda s, c: instances.list_instances(s, c, states=STATES[:5]).items,
    "instances of a server": lambda s, c: instances.list_instances(s, c, server_id="srv-3").items,
    "primaries": lambda s, c: instances.list_instances(s, c, role="primary", pool="us-east-1a/m5.large/spot").items,
    "instance": lambda s, c: instances.get_instance(s, c, "i-3"),
    "operations": lambda s, c: operations.list_operations(s, c).items,
    "operations that run": lambda s, c: operations.list_operations(s, c, status="running").items,
    "operations of a server": lambda s, c: operations.list_operations(s, c, server_id="srv-3").items,
    "operations to look at": lambda s, c: operations.list_operations(s, c, attention=True, kind="switch"),
    "operation": lambda s, c: operations.get_operation(s, c, "op-3"),
    "overview": overview,
    "servers by state": summary._servers,
    "agents online": lambda s, c: summary._agents(s, c, NOW),
    "what became of operations": lambda s, c: (
        summary.track_record_between(s, c, LATE, LATE + timedelta(days=30)).switches
    ),
    "operations in progress": summary._in_progress,
    "needs attention": lambda s, c: count_needing_attention(s, c) or c == MINE,
    "events": lambda s, c: reading.events_after(s, c or "cli-4", 700, 100).events,
    "events of an operation": lambda s, c: reading.events_after(s, c or MINE, 0, 100, "op-7").events,
    "newest events of a server": lambda s, c: reading.search_events(
        s, c or MINE, reading.EventSearch(server_id="srv-3", types=["instance."], newest_first=True), 20
    ),
    "events of a time": lambda s, c: reading.search_events(
        s, c or MINE, reading.EventSearch(since=NOW, until=datetime.now(UTC) + timedelta(days=1), before=900), 20
    ),
    "a server's life": lambda s, c: timeline.server_history(s, c or MINE, "srv-3").events,
    "foreseen": lambda s, c: decisions.pool_forecasts(s, MINE, "srv-3"),
    "a cookie": lambda s, c: sign_ins.find_sign_in(s, "sign-in-7", NOW, "") is None,
    "the latest of some clients": lambda s, c: s.execute(reading.heads_query(["cli-3", "cli-4"])).all(),
    "token": lambda s, c: tokens.find_token(s, "tok-3"),
    "tokens": lambda s, c: tokens.list_tokens(s, c) or c is None,
    "clients": lambda s, c: clients.list_clients(s, limit=5).items,
    "client": lambda s, c: clients.get_client(s, "cli-3"),
    "request": lambda s, c: operations.operation_by_request(s, MINE, "r-3"),
    "server by name": lambda s, c: servers.server_by_name(s, MINE, "n-3"),
    "pools": lambda s, c: pools.page_of_pools(s, region="region-3", limit=5).items,
    "cooling pools": lambda s, c: pools.cooling_pools(s, "region-3", NOW),
}


@pytest.mark.parametrize("who", [MINE, None], ids=["client", "admin"])
@pytest.mark.parametrize("name", LISTS)
def test_no_list_reads_a_whole_table(fleet: SessionFactory, name: str, who: str | None) -> None:
    with fleet() as session, explained(session) as scans:
        assert LISTS[name](session, who), "the query finds something, else its plan says nothing"
    assert scans == []


def test_the_watch_for_scans_sees_one(fleet: SessionFactory) -> None:
    with fleet() as session, explained(session) as scans:
        session.execute(text("SELECT * FROM instances WHERE private_ip = 'x'"))
    assert len(scans) == 1


def test_a_page_of_servers_takes_three_statements_whatever_its_length(fleet: SessionFactory) -> None:
    statements: list[str] = []
    with fleet() as session:
        engine = session.get_bind()
        count = event.listens_for(engine, "before_cursor_execute")
        listener = count(lambda *args: statements.append(args[2]))
        servers.list_servers(session, MINE, limit=50)
        event.remove(engine, "before_cursor_execute", listener)
    assert len([s for s in statements if s.startswith("SELECT")]) == 3


def test_pages_follow_each_other_without_a_gap_or_a_double(fleet: SessionFactory) -> None:
    seen: list[str] = []
    cursor = None
    with fleet() as session:
        while True:
            page = servers.list_servers(session, MINE, state=None, cursor=cursor, limit=30)
            seen += [row.server.id for row in page.items]
            if (cursor := page.next_cursor) is None:
                break
    assert seen == [f"srv-{n}" for n in range(993, 0, -10)]


def test_a_server_comes_with_who_plays_it_and_what_is_done_to_it(fleet: SessionFactory) -> None:
    with fleet() as session:
        row = servers.get_server(session, MINE, "srv-993")
        plain = servers.get_server(session, MINE, "srv-3")
    assert row is not None
    assert plain is not None
    assert row.primary is not None
    assert row.primary.id == "i-993"
    assert row.replica is None
    assert row.running is not None
    assert row.running.id == "op-3993"
    assert plain.running is None
    assert plain.primary is not None
    assert (plain.primary.agent_seen_at, plain.primary.agent_version) == (NOW, "1.0")


def test_what_is_anothers_is_not_there(fleet: SessionFactory) -> None:
    with fleet() as session:
        assert servers.get_server(session, "cli-4", "srv-3") is None
        assert instances.get_instance(session, "cli-4", "i-3") is None
        assert operations.get_operation(session, "cli-4", "op-3") is None
        assert instances.list_instances(session, "cli-4", server_id="srv-3").items == []
        assert operations.list_operations(session, "cli-4", server_id="srv-3").items == []
        assert operations.operation_by_request(session, "cli-4", "r-3") is None
        assert servers.server_by_name(session, "cli-4", "n-3") is None
        assert {row.server.client_id for row in servers.list_servers(session, "cli-4", limit=500).items} == {"cli-4"}


def test_the_overview_counts_what_is_there_now(fleet: SessionFactory) -> None:
    with fleet() as session:
        mine = overview(session, "cli-5")
        everybody = overview(session, None)
    assert mine.instances == {"running_primary": 100}
    assert mine.operations == {"running": 5}
    assert mine.usd_per_hour == pytest.approx(5.0)
    assert everybody.servers == 750
    assert everybody.attention == 8
    assert everybody.resources == {"volume": 215}


@contextmanager
def plans(session: Session, word: str) -> Iterator[list[dict[str, Any]]]:
    """The plan's rows of every query of the session that has this word in it."""
    found: list[dict[str, Any]] = []

    def explain(connection: Connection, _: Any, statement: str, values: Any, __: Any, ___: bool) -> None:
        if statement.startswith("SELECT") and word in statement:
            rows = connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", values).mappings()
            found.extend(dict(row) for row in rows)

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", explain)


COUNTS: dict[str, Callable[[Session, str | None], int]] = {
    "overview": lambda s, c: overview(s, c).attention,
    "summary": lambda s, c: summary.summary(s, c, LATE).needs_attention,
}


@pytest.mark.parametrize("who", ["cli-0", None], ids=["client", "admin"])
@pytest.mark.parametrize("name", COUNTS)
def test_no_more_operations_are_read_than_need_attention(fleet: SessionFactory, name: str, who: str | None) -> None:
    """Their number grows for ever; each of those that need it is one row of an index."""
    with fleet() as session, plans(session, "operations.attention") as read:
        found = COUNTS[name](session, who)
    assert found == OPERATIONS // 500
    assert read
    assert sum(int(row["rows"] or 0) for row in read) <= 2 * found


@pytest.mark.parametrize("who", [MINE, None], ids=["client", "admin"])
def test_the_summary_counts_in_indexes_alone(fleet: SessionFactory, who: str | None) -> None:
    """Of operations above all: each row has a receipt of thousands of characters."""
    with fleet() as session, plans(session, "operations.") as read:
        found = summary.summary(session, who, LATE + timedelta(hours=1))
    assert found.record.switches
    assert len(read) == 3
    assert [row["table"] for row in read if "Using index" not in str(row["Extra"]).split("; ")] == []


def test_a_list_of_operations_reads_no_receipt(fleet: SessionFactory) -> None:
    with fleet() as session, plans(session, "operations.receipt") as read:
        assert operations.list_operations(session, MINE, limit=5).items
        assert read == []
        assert operations.get_operation(session, MINE, "op-3") is not None
        assert read
