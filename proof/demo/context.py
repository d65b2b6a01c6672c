"""What the steps of the scenario share: the stack, its clients, and the servers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from lab.stack.stack import Stack
from proof.demo.screen import Screen
from proof.harness.api_client import ControlPlaneClient, Operation
from proof.harness.follower import Event, EventFollower
from proof.harness.market import MarketChoice
from proof.harness.observer import Observer
from proof.harness.server_owner import AdoptedServer
from proof.harness.waiting import RequestFailed, ScenarioFailed, until

_OPERATION_S = 180.0
_LOOK_S = 0.25
_ASK_S = 1.0  # how often the API is asked, beside the stream
_FAILOVER_STARTS_S = 90.0


@dataclass(frozen=True)
class ScenarioOperation:
    """One operation of the scenario: its ID, the expected outcome, and notes for the checks."""

    operation_id: str
    expected: str = "committed"
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class DemoContext:
    stack: Stack
    api: ControlPlaneClient
    lab: httpx.Client
    observer: Observer
    follower: EventFollower
    screen: Screen
    world: Mapping[str, Any]  # what a client has to know to launch in the lab
    market_choice: MarketChoice
    chance: random.Random
    untimed: bool = False  # limits of time are shown, and do not decide
    servers: dict[str, AdoptedServer] = field(default_factory=dict)
    scenario_operations: dict[str, ScenarioOperation] = field(default_factory=dict)

    # --- what the steps do

    def ask(self, name: str, what: str, key: str, body: Mapping[str, Any] | None = None) -> str:
        """Request an operation on a server; returns its ID."""
        return self.api.ask(self.servers[name].id, what, body or {}, f"demo-{key}")

    def watch_as(
        self, label: str, name: str, operation_id: str, *, expected: str = "committed", **notes: Any
    ) -> Operation:
        """Watch an operation to its end, and keep it under this label."""
        self.scenario_operations[label] = ScenarioOperation(operation_id, expected, notes)
        return self.watch(name, operation_id)

    def watch(self, name: str, operation_id: str, *, since: int = 0, limit_s: float = _OPERATION_S) -> Operation:
        """Show the steps as they end, by the event stream; return the operation when it is over."""
        shown = _Steps(self, name, operation_id, since)
        found = until(f"{name}'s {operation_id} ends", limit_s, shown.ended, every_s=0, last_seen=shown.last_seen)
        shown.show_rest()
        words = f" — {found.reason}" if found.reason else ""
        self.screen.say(f"{name}: {found.kind} {found.outcome} {_route(found)}{words}")
        return found

    def interrupt(self, name: str, notice_seconds: float) -> tuple[str, float, str]:
        """Interrupt the primary; returns the failover that follows, when notice was given, and to which instance."""
        instance_id = self.primary(name)["id"]
        before = set(self.api.operation_ids(self.servers[name].id, "failover"))
        noticed_at = time.time()
        self.tell_lab(f"/_lab/instances/{instance_id}/interrupt", {"notice_seconds": notice_seconds})
        self.screen.say(f"{name}: AWS gives {instance_id} {notice_seconds:g} s of notice")

        def look() -> str | None:
            found = self.api.operation_ids(self.servers[name].id, "failover")
            return next((one for one in found if one not in before), None)

        operation_id = until(f"a failover of {name} begins", _FAILOVER_STARTS_S, look, every_s=0.05)
        return operation_id, noticed_at, str(instance_id)

    def await_step(self, operation_id: str, step: str, since: int, limit_s: float = _OPERATION_S) -> None:
        """Return once the stream says that this step has begun. Raises ScenarioFailed if the operation ends before."""
        place = since
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for event in self.follower.wait(place, _LOOK_S):
                place += 1
                if event.operation_id != operation_id:
                    continue
                if event.type == "operation.step" and event.payload.get("step") == step:
                    return
                if event.payload.get("outcome"):
                    raise ScenarioFailed(f"{operation_id} ended {event.payload['outcome']} before its step {step}")
        raise ScenarioFailed(f"{operation_id} did not begin its step {step} within {limit_s:g} s")

    def primary(self, name: str) -> dict[str, Any]:
        """The server's primary now, by the records."""
        found = self.api.server(self.servers[name].id)["primary"]
        if found is None:
            raise ScenarioFailed(f"{name} has no primary in the records")
        return dict(found)

    def tell_lab(self, path: str, body: Mapping[str, Any]) -> None:
        answer = self.lab.post(path, json=body)
        if not answer.is_success:
            raise RequestFailed(f"the lab: POST {path}: HTTP {answer.status_code} {answer.text[:300]}")


class _Steps:
    """Prints one operation's steps as the event stream tells them. The API tells when it is over.

    Asking the API too lets an operation be watched while the reader is disconnected.
    """

    def __init__(self, context: DemoContext, name: str, operation_id: str, since: int) -> None:
        self._context = context
        self._name = name
        self._operation_id = operation_id
        self._place = since
        self._asked_at = 0.0
        self._step = "no step seen"

    def ended(self) -> Operation | None:
        events = self._context.follower.wait(self._place, _LOOK_S)
        over = self._show(events)
        if not over and time.monotonic() - self._asked_at < _ASK_S:
            return None
        self._asked_at = time.monotonic()
        try:
            found = self._context.api.operation(self._operation_id)
        except RequestFailed as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None  # it was accepted a moment ago, and its record is still on its way
        return found if found.final else None

    def show_rest(self) -> None:
        """Print what came while the operation was looked up."""
        self._show(self._context.follower.since(self._place))

    def last_seen(self) -> str:
        return self._step

    def _show(self, events: Sequence[Event]) -> bool:
        over = False
        self._place += len(events)
        for event in events:
            if event.operation_id != self._operation_id:
                continue
            if event.type == "operation.step":
                self._step = f"step {event.payload.get('step')} {event.payload.get('state')}"
                if event.payload.get("state") == "ended":
                    self._context.screen.step(self._name, event)
            over = over or bool(event.payload.get("outcome"))
        return over


def _route(operation: Operation) -> str:
    places = [place for place in (operation.from_pool, operation.to_pool) if place]
    return " → ".join(places)


ScenarioStep = Callable[[DemoContext], None]
