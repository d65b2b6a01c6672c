"""A site: a whole stack on the lab, with servers that get requests all the time.

Tests, crash matrix, chaos and benchmarks launch and interrupt servers here, request operations, and wait for a step
or an end, also while processes of the stack are down.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal

from lab.stack.stack import Stack
from proof.harness import market, server_owner
from proof.harness.api_client import ControlPlaneClient, Operation
from proof.harness.observer import Observer
from proof.harness.outage import first_answer
from proof.harness.server_owner import AdoptedServer, LaunchedServer, ServerSpec
from proof.harness.waiting import RequestFailed, until

# Short, since everything in the lab takes a second or two. Long enough to start a process again.
POLICY: Mapping[str, Any] = {
    "launch_timeout_s": 60.0,
    "terminate_timeout_s": 60.0,
    "quiesce_timeout_s": 20.0,
    "resume_timeout_s": 30.0,
    "hook_timeout_s": 30.0,
    "drain_s": 5.0,
    "cool_down_s": 20.0,
}
STEPS = {
    "volumes": ("plan", "launch", "ready", "fence", "move", "serve", "commit", "retire"),
    "snapshot": ("plan", "launch", "ready", "copy", "fence", "move", "serve", "commit", "retire"),
    "stateless": ("plan", "launch", "ready", "serve", "fence", "commit", "retire"),
}
OPERATION_S = 180.0
_AGENT_S = 90.0
_ANSWER_S = 90.0


def duration_s(operation: Operation) -> float:
    """From the request to the end."""
    return (operation.finished_at or operation.requested_at) - operation.requested_at


class Site:
    """Servers are launched and adopted on request. From then on clients send each of them requests."""

    def __init__(self, stack: Stack, portal: BlockingPortal, seed: int, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.seed = seed
        self.say = say  # prints a line on the terminal, also when a test passes
        self.http = stack.api()
        self.lab = stack.lab()
        self.api = ControlPlaneClient(self.http)
        self.observer = Observer(portal)
        self.servers: dict[str, AdoptedServer] = {}
        self.requested_operations: set[str] = set()  # by a caller, or brought about by one
        self.market_choice = market.choose_market(self.ask_lab("GET", "/_lab/market")["pools"])
        self.world = self.ask_lab("GET", "/_lab/world")
        self.owner = server_owner.Owner(stack.aws, self.world, self.market_choice)
        self.ec2 = server_owner.ec2_client(stack.aws)

    def close(self) -> None:
        self.observer.stop()
        self.http.close()
        self.lab.close()

    def chance(self, purpose: str) -> random.Random:
        """Random numbers for one purpose. They depend on the seed alone, not on the tests that ran before."""
        return random.Random(f"{self.seed}/{purpose}")

    # --- servers

    def adopt_servers(self, *specs: ServerSpec) -> list[AdoptedServer]:
        """Launch servers on demand, send them requests from now on, and adopt them. Returns when each agent has
        reported.
        """
        return self.adopt(*self.launch(*specs))

    def launch(self, *specs: ServerSpec) -> list[LaunchedServer]:
        """Launch servers on demand, and send them requests from now on."""
        launched = self.owner.launch_all(specs)
        for server in launched:
            self.observer.watch(server.endpoint)
        return launched

    def adopt(self, *launched: LaunchedServer) -> list[AdoptedServer]:
        """Returns when each agent has reported."""
        adopted = [self._adopt(server) for server in launched]
        for server in adopted:
            until(f"the agent of {server.name} reports", _AGENT_S, lambda s=server: self.primary(s)["agent_seen_at"])  # type: ignore[misc]
        return adopted

    def _adopt(self, launched: LaunchedServer) -> AdoptedServer:
        body = {
            "name": launched.name,
            "region": self.stack.region,
            "instance_id": launched.first_instance_id,
            "policy": self._policy(launched.handoff),
        }
        server = AdoptedServer.of(launched, self.api.adopt(body, f"adopt-{launched.name}"))
        self.servers[server.name] = server
        return server

    def _policy(self, handoff: str) -> dict[str, Any]:
        """A snapshot server may not use its first zone, so that its first switch leaves it."""
        zones = self.market_choice.other_zones if handoff == "snapshot" else list(self.market_choice.zones)
        return {**POLICY, "handoff": handoff, "instance_types": list(self.market_choice.types), "zones": zones}

    @contextmanager
    def policy(self, server: AdoptedServer, **change: Any) -> Iterator[None]:
        """Change these fields of the server's policy while the block runs."""
        path, before = f"/api/servers/{server.id}", self.api.server(server.id)["policy"]
        self._change_policy(path, change)
        try:
            yield
        finally:
            self._change_policy(path, {name: before[name] for name in change})

    def _change_policy(self, path: str, change: Mapping[str, Any]) -> None:
        answer = self.http.patch(path, json={"policy": change})
        assert answer.is_success, f"PATCH {path}: HTTP {answer.status_code} {answer.text[:300]}"

    def primary(self, server: AdoptedServer) -> dict[str, Any]:
        found = self.api.server(server.id)["primary"]
        assert found is not None, f"{server.name} has no primary in the records (seed {self.seed})"
        return dict(found)

    # --- operations

    def ask(self, server: AdoptedServer, what: str, key: str, body: Mapping[str, Any] | None = None) -> str:
        """Request an operation; returns its ID."""
        operation_id = self.api.ask(server.id, what, body or {}, key)
        self.requested_operations.add(operation_id)
        return operation_id

    def commit_operation(
        self, server: AdoptedServer, what: str, key: str, body: Mapping[str, Any] | None = None
    ) -> Operation:
        """Request an operation and wait until it commits."""
        return self.committed(self.ask(server, what, key, body))

    def committed(self, operation_id: str) -> Operation:
        """The operation when it is over. It has to have committed."""
        found = self.end_of(operation_id)
        assert found.outcome == "committed", f"{found.kind} {operation_id}: {found.outcome}: {found.reason}"
        return found

    def end_of(self, operation_id: str, limit_s: float = OPERATION_S) -> Operation:
        """The operation when it is over. The API may be down for a while."""
        seen: list[str] = []

        def look() -> Operation | None:
            found = self.read_operation(operation_id)
            if found is None:
                return None
            seen[:] = [found.status, *(step.name for step in found.steps[-1:])]
            return found if found.final else None

        return until(f"{operation_id} ends (seed {self.seed})", limit_s, look, last_seen=lambda: " ".join(seen))

    def await_step(self, operation_id: str, step: str, limit_s: float = OPERATION_S) -> str:
        """Wait until the step has begun, or the operation is over, by the records; returns the latest step then."""

        def look() -> str | None:
            found = self.read_operation(operation_id)
            if found is None:
                return None
            names = [one.name for one in found.steps]
            return names[-1] if step in names or (found.final and names) else None

        return until(f"step {step} of {operation_id} (seed {self.seed})", limit_s, look, every_s=0.02)

    def new_operation(
        self, server: AdoptedServer, kind: str, known: Sequence[str], limit_s: float = OPERATION_S
    ) -> str:
        """The first operation of this kind that is not in `known`; it counts as requested."""

        def look() -> str | None:
            try:
                found = self.api.operation_ids(server.id, kind)
            except RequestFailed:
                return None
            return next((one for one in found if one not in known), None)

        operation_id = until(f"a {kind} of {server.name} (seed {self.seed})", limit_s, look)
        self.requested_operations.add(operation_id)
        return operation_id

    def read_operation(self, operation_id: str) -> Operation | None:
        """None: the API or its database is down, or the operation's record is still on its way."""
        try:
            return self.api.operation(operation_id)
        except RequestFailed:
            return None  # the API or its database is down

    # --- the lab

    def ask_lab(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self.lab.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}"
        found: dict[str, Any] = answer.json()
        return found

    def truth(self) -> dict[str, Any]:
        return self.ask_lab("GET", "/_lab/truth")

    def replacement_of(self, operation_id: str, limit_s: float = OPERATION_S) -> str:
        """The instance that this operation launched. Waits until it exists in EC2."""

        def look() -> str | None:
            rows = self.truth()["instances"]
            ours = [row["id"] for row in rows if row["tags"].get("spot-optimizer:operation") == operation_id]
            return str(ours[-1]) if ours else None

        return until(f"a replacement of {operation_id} (seed {self.seed})", limit_s, look, every_s=0.05)

    def interrupt(self, instance_id: str, notice_seconds: float = 120.0) -> float:
        """Interrupt the instance; returns when the notice was given."""
        noticed_at = time.time()
        self.ask_lab("POST", f"/_lab/instances/{instance_id}/interrupt", {"notice_seconds": notice_seconds})
        return noticed_at

    @contextmanager
    def faults(self, *wanted: Mapping[str, Any]) -> Iterator[None]:
        """Switch on these faults of the lab while the block runs."""
        for fault in wanted:
            self.ask_lab("POST", "/_lab/faults", fault)
        try:
            yield
        finally:
            self.ask_lab("DELETE", "/_lab/faults")

    # --- what clients see

    def serving_after(self, server: LaunchedServer, since: float, *, not_by: str, limit_s: float) -> float:
        """Seconds from `since` until an instance other than `not_by` answered a request."""

        def look() -> float | None:
            samples = self.observer.samples(server.name)
            return first_answer(samples, since, lambda instance: instance not in ("", not_by))

        what = f"{server.name} answers, and not from {not_by} (seed {self.seed})"
        return until(what, limit_s, look, every_s=0.02) - since

    def serving_instance(self, server: AdoptedServer) -> str:
        """The instance that answers at the server's address."""

        def look() -> str | None:
            try:
                answer = httpx.get(f"{server.endpoint.url}/health", timeout=1.0, trust_env=False)
            except httpx.HTTPError:
                return None  # not yet; the wait has a limit
            return str(answer.json()["instance"]) if answer.status_code == 200 else None

        return until(f"{server.name} answers at {server.endpoint.url} (seed {self.seed})", _ANSWER_S, look)
