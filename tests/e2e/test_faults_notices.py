"""A notice is acted on with MySQL, the API or any one worker down (invariant 6), and the records catch up."""

from __future__ import annotations

import pytest

from demo.fleet import Wish
from tests.e2e.afterwards import assert_invariants
from tests.e2e.site import Server, Site

pytestmark = pytest.mark.timeout(150)

WORKERS = 2
# The promise is 5 s on a machine of its own; this machine may be busy with other tests.
SERVING_S = 15.0


@pytest.fixture(scope="module")
def orders(site: Site) -> Server:
    """On spot capacity: nothing else is interrupted."""
    (server,) = site.adopted(Wish("orders", "volumes", 8))
    site.done(server, "switch", "to-spot")
    return server


@pytest.mark.parametrize("away", ["database", "api", "worker"])
def test_a_notice_with_a_process_down_is_a_failover_to_the_replica(site: Site, orders: Server, away: str) -> None:
    site.done(orders, "replica", f"replica-{away}")
    doomed = site.primary(orders)["id"]
    known = site.api.operation_ids(orders.id, "failover")
    process = f"worker-{site.chance(away).choice([1, 2])}" if away == "worker" else away
    site.stack.kill(process)

    noticed_at = site.interrupt(doomed)
    serving_s = site.serving_after(orders, noticed_at, not_by=doomed, limit_s=60.0)
    site.stack.restart(process)
    operation = site.end_of(site.new_operation(orders, "failover", known))

    site.say(f"a notice with {process} down: served by the replica after {serving_s:.2f} s, then {operation.outcome}")
    assert operation.outcome == "committed", f"seed {site.seed}: {operation.reason}"
    assert serving_s <= SERVING_S
    assert_invariants(site, orders)


def test_a_notice_with_the_database_down_and_no_replica(site: Site, orders: Server) -> None:
    """Replacements are launched before the ledger can say so; afterwards it says so of every one."""
    doomed = site.primary(orders)["id"]
    known = site.api.operation_ids(orders.id, "failover")
    site.stack.kill("database")

    noticed_at = site.interrupt(doomed)
    serving_s = site.serving_after(orders, noticed_at, not_by=doomed, limit_s=60.0)
    site.stack.restart("database")
    operation = site.end_of(site.new_operation(orders, "failover", known))

    site.say(f"a notice with the database down: served by a new instance after {serving_s:.2f} s")
    assert operation.outcome == "committed", f"seed {site.seed}: {operation.reason}"
    assert_invariants(site, orders)
