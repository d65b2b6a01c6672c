"""Any one process is killed in the middle of a switch: it ends in invariants 1 to 5.

The step is drawn from the seed; it is killed a drawn moment after the records say that the step began.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from demo.fleet import Wish
from tests.e2e.afterwards import assert_invariants, assert_once, assert_outcome
from tests.e2e.site import STEPS, Server, Site

pytestmark = pytest.mark.timeout(150)

KILLS = (
    ("worker-1", "volumes"),
    ("api", "volumes"),
    ("agent", "volumes"),
    ("temporal", "volumes"),
    ("database", "volumes"),
    ("worker-1", "snapshot"),
    ("worker-1", "stateless"),
)


@pytest.fixture(scope="module")
def servers(site: Site) -> Iterator[dict[str, Server]]:
    wishes = (Wish("orders", "volumes", 8), Wish("ledger", "snapshot", 8), Wish("web", "stateless"))
    yield {server.handoff: server for server in site.adopted(*wishes)}


@pytest.mark.parametrize(("process", "handoff"), KILLS, ids=lambda value: str(value))
def test_a_process_killed_in_the_middle_of_a_switch(
    site: Site, servers: dict[str, Server], process: str, handoff: str
) -> None:
    server = servers[handoff]
    before = site.primary(server)["id"]
    step, delay_s = site.chance.choice(STEPS[handoff]), site.chance.uniform(0.0, 0.3)
    key = f"kill-{process}-{handoff}"

    operation_id = site.ask(server, "switch", key)
    reached = site.await_step(operation_id, step)
    time.sleep(delay_s)
    began = time.monotonic()
    kill(site, process, before)
    back_s = time.monotonic() - began
    operation = site.end_of(operation_id)

    print(
        f"{process} killed {1000 * delay_s:.0f} ms after {step} began (at {reached}), back after {back_s:.1f} s; "
        f"{operation.outcome} in {(operation.finished_at or 0) - operation.requested_at:.1f} s {operation.reason}"
    )
    assert_outcome(site, server, operation, before)
    assert_invariants(site, server)
    assert_once(site, server, "switch", key, operation, {})


def kill(site: Site, process: str, old_host: str) -> None:
    """SIGKILL, and up again; an agent is started again by its host."""
    if process == "agent":
        site.ask_lab("POST", f"/_lab/instances/{old_host}/agent/kill")
        return
    site.stack.kill(process)
    site.stack.restart(process)
