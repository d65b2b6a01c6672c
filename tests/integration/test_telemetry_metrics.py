"""What is measured, scraped as Prometheus does: of an API process, of a worker, and of what a fleet did."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from activities.ec2.clients import Clients
from activities.records import RecordActivities
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.fleet.agents import silent_after
from db.savings.booking import mark_accrued
from db.status.control_plane import read_control_plane_status
from db.tables import Agent, DriftRow, PriceCollection, SavingsHour
from domain.heartbeats import HEARTBEAT_S
from domain.records import RecordKind
from telemetry.metrics.fleet import FleetCollector as FleetState
from telemetry.metrics.registries import measure_process
from telemetry.metrics.serving import UnsafeAddress, check_address, serve
from telemetry.metrics.worker import MOST_POOLS, WorkerMetrics
from tests.api_world import World
from tests.database_schemas import NOW, unique
from tests.fleet_records import POOL, RecordedServer, accepted, finished, instance, started, switch_records
from tests.integration.lab_cloud import REGION, Cloud, clean, cloud

__all__ = ["clean", "cloud"]  # fixtures
pytest_plugins = ["tests.api_fixtures"]
K = RecordKind
TOKEN = "metrics-token-for-tests"


def samples(text: str) -> dict[str, float]:
    """`name{label=value,…}` -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@contextmanager
def served(registry: CollectorRegistry, token: str = "") -> Iterator[str]:
    server = serve(registry, "127.0.0.1", 0, token)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scraped(registry: CollectorRegistry) -> dict[str, float]:
    with served(registry) as url:
        return samples(httpx.get(f"{url}/metrics").text)


@pytest.fixture
def work() -> tuple[WorkerMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    return WorkerMetrics(registry), registry


# --- the API


async def test_the_api_tells_its_metrics_to_admins_and_to_the_metrics_token_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await world.http.get("/metrics")).status_code == 401
    wrong = {"Authorization": "Bearer wrong"}
    assert (await world.http.get("/metrics", headers=wrong)).status_code == 401
    assert (await world.http.get("/metrics", headers=world.tenant.headers)).status_code == 403
    assert (await world.http.get("/metrics", headers=world.admin)).status_code == 200
    monkeypatch.setattr(world.services.settings, "metrics_token", SecretStr(TOKEN))
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert (await world.http.get("/metrics", headers=own)).status_code == 200
    assert (await world.http.get("/api/servers", headers=own)).status_code == 401


async def test_requests_are_timed_by_route_and_made_up_paths_are_one(world: World) -> None:
    server = world.server()
    await world.call("GET", f"/api/servers/{server.id}")
    await world.http.get("/made/up/path")
    text = (await world.http.get("/metrics", headers=world.admin)).text
    found = samples(text)
    name = "spot_optimizer_api_request_duration_seconds_count"
    assert found[f"{name}{{method=GET,route=/servers/{{server_id}},status=2xx}}"] >= 1
    assert found[f"{name}{{method=unknown,route=unknown,status=4xx}}"] >= 1
    assert found["spot_optimizer_event_readers"] == 0
    assert server.id not in text
    assert world.tenant.client_id not in text


async def test_without_its_database_an_api_process_still_tells_its_metrics(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    engine = make_engine("mysql+pymysql://nobody@127.0.0.1:1/none")
    measure_process(registry, engine, make_session_factory(engine))
    found = scraped(registry)
    assert found["spot_optimizer_records_up"] == 0
    assert "spot_optimizer_servers" not in found
    assert found["spot_optimizer_database_pool_connections{state=in_use}"] == 0


# --- a worker


def test_a_workers_metrics_need_its_token(work: tuple[WorkerMetrics, CollectorRegistry]) -> None:
    with served(work[1], TOKEN) as url:
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert httpx.get(f"{url}/").status_code == 404


def test_metrics_are_not_offered_to_a_network_without_a_token() -> None:
    with pytest.raises(UnsafeAddress):
        check_address("0.0.0.0", "")
    check_address("0.0.0.0", TOKEN)
    check_address("127.0.0.1", "")


def test_what_a_switch_records_is_measured_once(
    sessions: SessionFactory, client_id: str, work: tuple[WorkerMetrics, CollectorRegistry]
) -> None:
    fleet = RecordedServer(sessions, client_id)
    fleet.activities = RecordActivities(sessions, work[0].observe)
    fleet.adopt()
    fleet.write("", instance("i-old", "running_primary", role="primary", pool=POOL), accepted("op-1", unique("r")))
    batch = fleet.batch("op-1", *switch_records("i-old", "i-new"))
    for _ in range(2):  # sent again after its answer was lost
        fleet.activities.record(batch)
    found = scraped(work[1])
    assert found["spot_optimizer_launch_duration_seconds_count{lifecycle=spot}"] == 1
    assert found["spot_optimizer_launch_duration_seconds_sum{lifecycle=spot}"] == pytest.approx(2.5)
    assert found["spot_optimizer_termination_duration_seconds_count{lifecycle=spot}"] == 1
    assert found["spot_optimizer_operation_duration_seconds_count{kind=switch,outcome=committed}"] == 1
    assert found["spot_optimizer_switch_duration_seconds_count{handoff=volumes}"] == 1
    assert found["spot_optimizer_outage_duration_seconds_sum{handoff=volumes,kind=switch}"] == pytest.approx(0.7)
    assert found["spot_optimizer_transition_duration_seconds_sum{kind=switch,step=launch}"] == pytest.approx(2.5)


def test_what_was_left_of_a_notice_is_measured_at_the_commit(
    sessions: SessionFactory, client_id: str, work: tuple[WorkerMetrics, CollectorRegistry]
) -> None:
    fleet = RecordedServer(sessions, client_id)
    fleet.activities = RecordActivities(sessions, work[0].observe)
    fleet.adopt()
    old, new = unique("i"), unique("i")
    notice = {
        "notice_id": f"{old}/interruption", "instance_id": old, "kind": "interruption", "source": "imds",
        "deadline": (NOW + timedelta(seconds=93)).isoformat(), "seen_at": NOW.isoformat(),
    }  # fmt: skip
    fleet.write("", instance(old, "running_primary", role="primary", pool=POOL), (K.NOTICE, notice))
    kind = {"kind": "failover"}
    op = unique("op")
    fleet.write(op, started(**kind), (K.PRIMARY, {"instance_id": new, "former_instance_id": old}), finished())
    found = scraped(work[1])
    assert found["spot_optimizer_notices_total{kind=interruption,source=imds}"] == 1
    assert found["spot_optimizer_notice_time_left_seconds_sum"] == pytest.approx(91)
    assert found["spot_optimizer_failover_duration_seconds_count{handoff=volumes}"] == 1


def test_capacity_failures_are_counted_by_pool_up_to_a_bound(work: tuple[WorkerMetrics, CollectorRegistry]) -> None:
    from domain.records import MeasureKind, Measurement

    pools = [f"us-east-1a/type-{n}/spot" for n in range(MOST_POOLS + 50)]
    labels = [{"pool": pool, "reason": "NoCapacity"} for pool in pools]
    work[0].observe([Measurement(MeasureKind.CAPACITY, labels=one) for one in labels])
    found = {k: v for k, v in scraped(work[1]).items() if k.startswith("spot_optimizer_capacity_failures_total")}
    assert len(found) == MOST_POOLS + 1
    assert found["spot_optimizer_capacity_failures_total{pool=other,reason=NoCapacity}"] == 50


def test_calls_to_ec2_are_counted_by_action_and_code(
    clean: Cloud, work: tuple[WorkerMetrics, CollectorRegistry]
) -> None:
    clients = Clients(on_call=work[0].count_call)
    clients.ec2(REGION).describe_volumes()
    clean.post("/permissions", deny=["ec2:DescribeVolumes"])
    with pytest.raises(ClientError):
        clients.ec2(REGION).describe_volumes()
    found = scraped(work[1])
    calls = {key: value for key, value in found.items() if key.startswith("spot_optimizer_ec2_calls_total")}
    assert calls == {
        "spot_optimizer_ec2_calls_total{action=DescribeVolumes,code=ok}": 1,
        "spot_optimizer_ec2_calls_total{action=DescribeVolumes,code=UnauthorizedOperation}": 1,
    }


# --- the state of the fleet


def test_the_state_of_the_fleet_is_told_in_counts(sessions: SessionFactory, client_id: str) -> None:
    now = datetime.now(UTC)
    fleet = RecordedServer(sessions, client_id)
    fleet.adopt()
    op = unique("op")
    fleet.write("", instance("i-1", "running_primary", role="primary"), accepted(op, unique("r")))
    fleet.write(op, started(kind="failover"), (K.OPERATION_ATTENTION, {"reason": "look"}))
    row: dict[str, Any] = {"region": REGION, "first_seen_at": now, "last_seen_at": now, "state": "open"}
    with sessions.begin() as session:
        session.add(
            Agent(
                client_id=client_id,
                instance_id="i-1",
                registered_at=now,
                seen_at=now,
                due_at=silent_after(now, HEARTBEAT_S),
            )
        )
        session.add(PriceCollection(name="spot/test", until_at=now - timedelta(minutes=7)))
        session.add(DriftRow(id=unique("d"), kind="silent_agent", action="report", reason="r", finding_key="k", **row))
    with sessions() as session:
        told = read_control_plane_status(session, now)
    assert told.overview.attention >= 1
    assert told.stuck["failover"] == 1, "it began in March"
    assert told.uncommitted_s["failover"] > 600
    assert told.agents_online == 1
    assert told.price_age_s["spot/test"] == pytest.approx(420, abs=1)
    assert told.drift[("silent_agent", "report")] == 1
    with sessions() as session:
        later = read_control_plane_status(session, now + timedelta(minutes=3))
    assert (later.agents_online, later.agents_silent) == (0, told.agents_silent + 1)


def test_what_was_saved_is_told_by_part(sessions: SessionFactory, client_id: str) -> None:
    now = datetime(2031, 5, 4, 12, 30, tzinfo=UTC)  # a day that no other test books
    booked: dict[str, Any] = {"client_id": client_id, "unpriced_s": 0, "filled_s": 0, "snapshot_micro": 10_000}
    booked |= {"primary_micro": 300_000, "replica_micro": 50_000, "overlap_micro": 40_000, "on_demand_micro": 900_000}
    registry = CollectorRegistry()
    with sessions() as session:  # rolled back: other tests' accruals go on where they were
        for hours in (0, 1, 24, 25):  # the first is not over, the last is too old
            hour = now.replace(minute=0) - timedelta(hours=hours)
            session.add(SavingsHour(hour=hour, **booked))
        mark_accrued(session, now - timedelta(minutes=20))
        session.flush()
        FleetState(lambda: read_control_plane_status(session, now)).register(registry)
        told = samples(generate_latest(registry).decode())
    parts = {"primary": 0.6, "replica": 0.1, "overlap": 0.08, "snapshot": 0.02, "on_demand": 1.8}
    for part, usd in parts.items():
        assert told[f"spot_optimizer_day_cost_usd{{part={part}}}"] == pytest.approx(usd)
    assert told["spot_optimizer_day_savings_usd"] == pytest.approx(1.0)
    assert told["spot_optimizer_savings_age_seconds"] == pytest.approx(1200)


def test_a_second_primary_would_be_counted(monkeypatch: pytest.MonkeyPatch, sessions: SessionFactory) -> None:
    """The database refuses it, so the count is asked of rows that it would refuse."""
    monkeypatch.setattr("db.status.control_plane.servers_with_several_primaries", lambda _: {"srv-1": 2})
    with sessions() as session:
        assert read_control_plane_status(session, datetime.now(UTC)).several_primaries == 1
