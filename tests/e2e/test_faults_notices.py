"""A notice is acted on with MySQL, the API or any one worker down (invariant 6), and the records catch up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from sqlalchemy import select

from db.engine.session import make_engine, make_session_factory
from db.tables import Event
from domain.pools import Pool
from proof.harness.invariants import assert_invariants
from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import Site

OWN_SERVERS = True

WORKERS = 2
PATIENCE_S = 120.0  # how fast a rescue is, the demo and the benchmarks measure
COOL_DOWN_S = 5.0
ALONE = ("database", "api", "worker")
PAIRS = (("database", "api"), ("database", "worker"), ("api", "worker"))


@pytest.fixture(scope="module")
def orders(site: Site) -> AdoptedServer:
    """A server on spot capacity: only that is interrupted. Short cool-downs, so that spot pools are left."""
    (server,) = site.adopt_servers(ServerSpec("orders", "volumes", 8))
    site.api.change_policy(server.id, {"cool_down_s": COOL_DOWN_S})
    site.commit_operation(server, "switch", "to-spot")
    return server


@pytest.fixture
def on_spot(site: Site, orders: AdoptedServer, request: pytest.FixtureRequest) -> AdoptedServer:
    """Back on spot: the last rescue may have ended on demand, which is never interrupted."""
    if not Pool.parse(site.primary(orders)["pool"]).spot:
        site.commit_operation(orders, "switch", f"to-spot-{abs(hash(request.node.name)):x}")
    return orders


@pytest.mark.parametrize("away", [*ALONE, "two of them", "all of them"])
def test_a_notice_with_processes_down_is_a_failover_to_the_replica(
    site: Site, on_spot: AdoptedServer, away: str
) -> None:
    site.commit_operation(on_spot, "replica", f"replica-{away.replace(' ', '-')}")
    replica = site.api.server(on_spot.id)["replica"]["id"]
    assert _rescued(site, on_spot, _processes(site, away), "the replica") == replica


@pytest.mark.parametrize("away", ["database", "all of them"])
def test_a_notice_with_processes_down_and_no_replica(site: Site, on_spot: AdoptedServer, away: str) -> None:
    """Replacements are launched before the ledger can record them. Afterwards it has every one."""
    known = {row["id"] for row in site.api.instances()}
    assert _rescued(site, on_spot, _processes(site, away), "a new instance") not in known


def _processes(site: Site, away: str) -> list[str]:
    chance = site.chance(away)
    kinds = {"two of them": chance.choice(PAIRS), "all of them": ALONE}.get(away, (away,))
    return [f"worker-{chance.choice([1, 2])}" if kind == "worker" else kind for kind in kinds]


def _rescued(site: Site, orders: AdoptedServer, processes: list[str], by: str) -> str:
    """The instance that serves afterwards. The processes come back once another instance has answered."""
    doomed = site.primary(orders)["id"]
    known = site.api.operation_ids(orders.id, "failover")
    for process in processes:
        site.stack.kill(process)

    noticed_at = site.interrupt(doomed)
    serving_s = site.serving_after(orders, noticed_at, not_by=doomed, limit_s=PATIENCE_S)
    for process in processes:
        site.stack.restart(process)
    operation = site.end_of(site.new_operation(orders, "failover", known))

    words = ", ".join(processes)
    site.say(f"a notice with {words} down: served by {by} after {serving_s:.2f} s, then {operation.outcome}")
    assert operation.outcome == "committed", f"seed {site.seed}: {operation.reason}"
    assert_invariants(site, orders)
    assert _out_of_order(site, operation.id) == []
    return str(site.primary(orders)["id"])


def _out_of_order(site: Site, operation_id: str) -> list[str]:
    """Events of the operation that are not in the order in which things happened."""
    told = [event for event in _events(site) if event.operation_id == operation_id]
    own = [
        event for event in told if event.type in ("operation.running", "operation.step") or "outcome" in event.payload
    ]
    assert own[0].type == "operation.running"
    assert own[-1].payload.get("outcome") == "committed"
    assert sum(event.type == "operation.step" for event in own) >= 10, "the steps are told"
    return [f"{b.type} {b.payload} after {a.type}" for a, b in pairwise(own) if b.at < a.at]


def _events(site: Site) -> list[Event]:
    assert site.stack.database is not None, "a stack with a database has one"
    engine = make_engine(site.stack.database.url, pool_size=1, max_overflow=0)
    try:
        with make_session_factory(engine)() as session:
            mine = Event.client_id == site.stack.credentials.client_id
            return list(session.scalars(select(Event).where(mine).order_by(Event.seq)))
    finally:
        engine.dispose()
