"""The kinds of operation, each with what it needs before and what is put right after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proof.harness.errors import Refused
from proof.harness.site import Server
from proof.harness.waiting import until

if TYPE_CHECKING:
    from proof.crash_matrix.rig import Rig

_HEARD_S = 90.0
NOTICE_S = 120.0
Find = Callable[[], str]  # waits for the operation and returns its ID


@dataclass(frozen=True)
class Target:
    """The server an operation is about, and who was its primary before."""

    server_id: str
    before: str
    server: Server | None = None  # None: one that was made for this run, with no clients


Ask = Callable[["Rig", Target, str], Find]
Body = Callable[["Rig", Target], Mapping[str, Any]]


@dataclass(frozen=True)
class Scenario:
    name: str
    on: str  # the kind of server: volumes, snapshot, stateless, or `fresh`: launched for it
    ask: Ask
    needs: tuple[str, ...] = ()  # spot, replica, no-replica
    cancels: bool = True
    moves: bool = True  # committed means another primary
    ends: bool = False  # committed means that the server is no more


def asked(what: str, body: Body = lambda rig, target: {}) -> Ask:
    """By the API, with the same key until it answers."""

    def ask(rig: Rig, target: Target, key: str) -> Find:
        given = body(rig, target)
        return lambda: heard(rig, lambda: rig.site.api.ask(target.server_id, what, given, key))

    return ask


def deleted(path: str) -> Ask:
    def ask(rig: Rig, target: Target, key: str) -> Find:
        return lambda: heard(rig, lambda: rig.call("DELETE", f"/api/servers/{target.server_id}{path}", key))

    return ask


def noticed(rig: Rig, target: Target, key: str) -> Find:
    """AWS takes the primary back."""
    known = rig.site.api.operation_ids(target.server_id, "failover")
    server = target.server
    assert server is not None, "clients watch a server that is rescued"
    rig.site.interrupt(target.before, NOTICE_S)
    return lambda: rig.site.new_operation(server, "failover", known)


def launched(rig: Rig, target: Target, key: str) -> Find:
    body = rig.launch_body(key)
    return lambda: heard(rig, lambda: rig.call("POST", "/api/instances", key, body))


def ended(rig: Rig, target: Target, key: str) -> Find:
    body = {"confirm": rig.name_of(target)}
    return lambda: heard(rig, lambda: rig.call("POST", f"/api/instances/{target.before}/terminate", key, body))


def heard(rig: Rig, ask: Callable[[], str]) -> str:
    """Ask until an answer comes: nobody may be there to give it for a while. The key is the same."""
    refusals = ["never refused"]

    def once() -> str | None:
        try:
            return ask()
        except Refused as error:
            refusals[0] = str(error)
            return None

    operation_id = until("the request is answered", _HEARD_S, once, every_s=0.2, last_seen=lambda: refusals[0])
    rig.site.asked.add(operation_id)
    return operation_id


SCENARIOS = (
    Scenario("switch-volumes", "volumes", asked("switch")),
    Scenario("switch-snapshot", "snapshot", asked("switch", lambda rig, target: {"pool": rig.elsewhere(target)})),
    Scenario("switch-stateless", "stateless", asked("switch")),
    Scenario("failover-volumes", "volumes", noticed, ("spot", "no-replica"), cancels=False),
    Scenario("failover-replica", "volumes", noticed, ("spot", "replica"), cancels=False),
    Scenario("failover-stateless", "stateless", noticed, ("spot", "no-replica"), cancels=False),
    Scenario("promote", "volumes", asked("promote"), ("replica",)),
    Scenario("replica-create", "volumes", asked("replica"), ("no-replica",), moves=False),
    Scenario("replica-drop", "volumes", deleted("/replica"), ("replica",), moves=False),
    Scenario("launch", "none", launched, moves=False),
    Scenario("terminate", "fresh", ended, moves=False, ends=True),
    Scenario("release", "fresh", deleted(""), moves=False, ends=True),
)
