"""A switch with faults of AWS: lost answers, throttling, and interruptions of either instance."""

from __future__ import annotations

import time

import pytest

from proof.harness.invariants import assert_invariants, assert_outcome
from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import Site, duration_s
from proof.harness.waiting import until

# Lost once, botocore repeats the call. Lost four times, botocore gives up and the product has to.
LOST = {
    "ledger": ("RunInstances", "CreateSnapshot", "CreateVolume", "AttachVolume", "AssociateAddress"),
    "orders": ("RunInstances", "DetachVolume", "AttachVolume", "AssociateAddress", "TerminateInstances"),
}
STARTED = ("ready", "fence", "move", "serve")  # steps in which there is a replacement, and no commit yet
CALLS_A_SECOND = 2.0


@pytest.fixture(scope="module")
def servers(site: Site) -> dict[str, AdoptedServer]:
    """`orders` is on spot capacity: nothing else is interrupted."""
    made = site.adopt_servers(ServerSpec("orders", "volumes", 8), ServerSpec("ledger", "snapshot", 8))
    servers = {server.name: server for server in made}
    site.commit_operation(servers["orders"], "switch", "to-spot")
    return servers


@pytest.mark.parametrize(("name", "times"), [("ledger", 1), ("orders", 4)])
def test_lost_answers_make_nothing_twice(site: Site, servers: dict[str, AdoptedServer], name: str, times: int) -> None:
    server = servers[name]
    before = site.primary(server)["id"]
    faults = [{"action": action, "kind": "lose", "times": times} for action in LOST[name]]

    with site.faults(*faults):
        operation = site.end_of(site.ask(server, "switch", f"lost-answers-{times}"))
        met = {one["action"]: one["seen"] for one in site.ask_lab("GET", "/_lab/faults")["faults"]}

    site.say(f"answers lost {met}: {operation.outcome} in {duration_s(operation):.1f} s {operation.reason}")
    assert all(met.values()), f"not every call was made: {met}"
    assert_outcome(site, server, operation, before)
    assert_invariants(site, server)


def test_throttling_makes_a_switch_slower_and_nothing_else(site: Site, servers: dict[str, AdoptedServer]) -> None:
    server = servers["orders"]
    operation_id = site.ask(server, "switch", "throttled")
    site.ask_lab("POST", "/_lab/throttle", {"rate": CALLS_A_SECOND, "burst": CALLS_A_SECOND})
    try:
        until("calls are throttled", 90.0, lambda: True if _throttled(site) >= 5 else None)
    finally:
        site.ask_lab("POST", "/_lab/throttle", {"rate": None})
    operation = site.end_of(operation_id)

    site.say(f"throttled {_throttled(site)} times: {operation.outcome} in {duration_s(operation):.1f} s")
    assert operation.outcome == "committed", f"seed {site.seed}: {operation.reason}"
    assert_invariants(site, server)


def test_the_replacement_is_interrupted_in_the_middle_of_a_switch(
    site: Site, servers: dict[str, AdoptedServer]
) -> None:
    """The switch gives it up. If it had committed by then, a failover follows."""
    server = servers["orders"]
    before, known = site.primary(server)["id"], site.api.operation_ids(server.id, "failover")
    step = site.chance("replacement").choice(STARTED)

    operation_id = site.ask(server, "switch", "replacement-interrupted")
    site.await_step(operation_id, step)
    replacement = site.replacement_of(operation_id)
    site.interrupt(replacement)
    operation = site.end_of(operation_id)

    site.say(f"replacement interrupted at {step}: {operation.outcome} {operation.reason}")
    if operation.outcome == "committed" and site.primary(server)["id"] == replacement:
        rescue = site.end_of(site.new_operation(server, "failover", known))
        assert rescue.outcome == "committed", f"seed {site.seed}: {rescue.reason}"
    else:
        assert_outcome(site, server, operation, before)
    assert site.primary(server)["id"] != replacement
    assert_invariants(site, server)


def test_the_old_instance_is_interrupted_in_the_middle_of_a_switch(
    site: Site, servers: dict[str, AdoptedServer]
) -> None:
    """The switch itself is the rescue: it goes on, and no failover starts."""
    server = servers["orders"]
    before, known = site.primary(server)["id"], site.api.operation_ids(server.id, "failover")
    step = site.chance("old").choice(("launch", *STARTED))

    operation_id = site.ask(server, "switch", "old-interrupted")
    site.await_step(operation_id, step)
    site.interrupt(before)
    operation = site.end_of(operation_id)

    site.say(f"old instance interrupted at {step}: {operation.outcome} {operation.reason}")
    assert operation.outcome == "committed", f"seed {site.seed}: {operation.reason}"
    assert site.primary(server)["id"] != before
    assert site.api.operation_ids(server.id, "failover") == known
    assert_invariants(site, server)


@pytest.mark.parametrize("outcome", ["terminated", "impaired"])
def test_an_instance_that_dies_without_notice_is_replaced(
    site: Site, servers: dict[str, AdoptedServer], outcome: str
) -> None:
    """It is found by the agent's missing heartbeat. `impaired`: EC2 still lists it as running."""
    server = servers["orders"]
    before, known = site.primary(server)["id"], site.api.operation_ids(server.id, "failover")

    died_at = time.time()
    site.ask_lab("POST", f"/_lab/instances/{before}/kill", {"outcome": outcome})
    rescue = site.end_of(site.new_operation(server, "failover", known))

    found_s = rescue.requested_at - died_at
    site.say(f"{outcome} without notice, found after {found_s:.1f} s: {rescue.outcome} in {duration_s(rescue):.1f} s")
    assert rescue.outcome == "committed", f"seed {site.seed}: {rescue.reason}"
    assert_invariants(site, server)


def _throttled(site: Site) -> int:
    calls = site.ask_lab("GET", "/_lab/calls")["calls"]
    return sum(1 for call in calls if call["code"] == "RequestLimitExceeded")
