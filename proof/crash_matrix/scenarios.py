"""The kinds of operation: how each is requested, and what its server has to be before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proof.harness.server_owner import AdoptedServer
from proof.harness.waiting import RequestFailed, until

if TYPE_CHECKING:
    from proof.crash_matrix.rig import Rig

_HEARD_S = 90.0
NOTICE_S = 120.0
AwaitOperationId = Callable[[], str]  # waits for the operation and returns its ID


@dataclass(frozen=True)
class TargetServer:
    """The server of an operation, and its primary before."""

    server_id: str
    before: str
    server: AdoptedServer | None = None  # None: it was launched for this run, and has no clients


StartOperation = Callable[["Rig", TargetServer, str], AwaitOperationId]
Body = Callable[["Rig", TargetServer], Mapping[str, Any]]


@dataclass(frozen=True)
class Scenario:
    name: str
    on: str  # the kind of server: volumes, snapshot, stateless, `fresh` (launched for it) or none
    ask: StartOperation
    needs: tuple[str, ...] = ()  # spot, replica, no-replica
    cancels: bool = True
    moves: bool = True  # committed means another primary
    ends: bool = False  # committed means that the server has ended


def post_request(what: str, body: Body = lambda rig, target: {}) -> StartOperation:
    """Through the API, with the same key until it answers."""

    def ask(rig: Rig, target: TargetServer, key: str) -> AwaitOperationId:
        given = body(rig, target)
        return lambda: ask_until_answered(rig, lambda: rig.site.api.ask(target.server_id, what, given, key))

    return ask


def delete_request(path: str) -> StartOperation:
    def ask(rig: Rig, target: TargetServer, key: str) -> AwaitOperationId:
        return lambda: ask_until_answered(
            rig, lambda: rig.call("DELETE", f"/api/servers/{target.server_id}{path}", key)
        )

    return ask


def interrupt_primary(rig: Rig, target: TargetServer, key: str) -> AwaitOperationId:
    """AWS interrupts the primary."""
    known = rig.site.api.operation_ids(target.server_id, "failover")
    server = target.server
    assert server is not None, "clients watch a server that is rescued"
    rig.site.interrupt(target.before, NOTICE_S)
    return lambda: rig.site.new_operation(server, "failover", known)


def launch_server(rig: Rig, target: TargetServer, key: str) -> AwaitOperationId:
    body = rig.launch_body(key)
    return lambda: ask_until_answered(rig, lambda: rig.call("POST", "/api/instances", key, body))


def terminate_server(rig: Rig, target: TargetServer, key: str) -> AwaitOperationId:
    body = {"confirm": rig.name_of(target)}
    return lambda: ask_until_answered(
        rig, lambda: rig.call("POST", f"/api/instances/{target.before}/terminate", key, body)
    )


def ask_until_answered(rig: Rig, ask: Callable[[], str]) -> str:
    """Repeat the request with the same key until it is answered. The API may not answer for a while."""
    refusals = ["never refused"]

    def once() -> str | None:
        try:
            return ask()
        except RequestFailed as error:
            refusals[0] = str(error)
            return None

    operation_id = until("the request is answered", _HEARD_S, once, every_s=0.2, last_seen=lambda: refusals[0])
    rig.site.requested_operations.add(operation_id)
    return operation_id


SCENARIOS = (
    Scenario("switch-volumes", "volumes", post_request("switch")),
    Scenario(
        "switch-snapshot", "snapshot", post_request("switch", lambda rig, target: {"pool": rig.elsewhere(target)})
    ),
    Scenario("switch-stateless", "stateless", post_request("switch")),
    Scenario("failover-volumes", "volumes", interrupt_primary, ("spot", "no-replica"), cancels=False),
    Scenario("failover-replica", "volumes", interrupt_primary, ("spot", "replica"), cancels=False),
    Scenario("failover-stateless", "stateless", interrupt_primary, ("spot", "no-replica"), cancels=False),
    Scenario("promote", "volumes", post_request("promote"), ("replica",)),
    Scenario("replica-create", "volumes", post_request("replica"), ("no-replica",), moves=False),
    Scenario("replica-drop", "volumes", delete_request("/replica"), ("replica",), moves=False),
    Scenario("launch", "none", launch_server, moves=False),
    Scenario("terminate", "fresh", terminate_server, moves=False, ends=True),
    Scenario("release", "fresh", delete_request(""), moves=False, ends=True),
)
