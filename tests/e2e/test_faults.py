"""Any one process is killed in the middle of a switch, and invariants 1 to 5 hold afterwards.

The server, the step, and the time of the kill after the step began are drawn from the printed seed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from proof.harness.invariants import assert_invariants, assert_once, assert_outcome
from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import STEPS, Site, duration_s

OWN_SERVERS = True

PROCESSES = ("worker-1", "api", "agent", "temporal", "database")
FAULT_SERVERS = (
    ServerSpec("orders", "volumes", 8),
    ServerSpec("ledger", "snapshot", 8),
    ServerSpec("web", "stateless"),
)
LONGEST_DELAY_S = 0.3  # the moment of the kill is drawn: nothing is waited for


@pytest.fixture(scope="module")
def server_for(site: Site) -> Mapping[str, AdoptedServer]:
    """A server for each process to kill: `volumes` three times, the others once. The seed decides which."""
    orders, ledger, web = site.adopt_servers(*FAULT_SERVERS)
    servers = [orders, orders, orders, ledger, web]
    site.chance("handoffs").shuffle(servers)
    return dict(zip(PROCESSES, servers, strict=True))


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_killed_in_the_middle_of_a_switch_loses_nothing(
    site: Site, server_for: Mapping[str, AdoptedServer], process: str
) -> None:
    chance, server = site.chance(process), server_for[process]
    before = site.primary(server)["id"]
    step, delay_s = chance.choice(STEPS[server.handoff]), chance.uniform(0.0, LONGEST_DELAY_S)
    key = f"kill-{process}"

    operation_id = site.ask(server, "switch", key)
    reached = site.await_step(operation_id, step)
    time.sleep(delay_s)
    back_s = kill(site, process, before)
    operation = site.end_of(operation_id)

    site.say(
        f"{process} killed {1000 * delay_s:.0f} ms after {step} of a {server.handoff} switch began (it was at "
        f"{reached}), back after {back_s:.1f} s: "
        f"{operation.outcome} in {duration_s(operation):.1f} s {operation.reason}"
    )
    assert_outcome(site, server, operation, before)
    assert_invariants(site, server)
    assert_once(site, server, "switch", key, operation)


def kill(site: Site, process: str, old_host: str) -> float:
    """SIGKILL the process and start it again (an agent's host does that); returns the seconds until it is back."""
    began = time.monotonic()
    if process == "agent":
        site.ask_lab("POST", f"/_lab/instances/{old_host}/agent/kill")
    else:
        site.stack.kill(process)
        site.stack.restart(process)
    return time.monotonic() - began
