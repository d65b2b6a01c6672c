"""A site: a whole system on the lab, with servers whose clients never stop asking, to break things in.

What the demo uses to launch, to watch and to audit is used here too; this adds what a test of faults
needs: servers on demand, waiting for a step, and asking in spite of processes that are down.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import httpx

from lab.stack.stack import Stack
from proof.harness import market, server_owner
from proof.harness.api_client import ControlPlaneClient, Operation
from proof.harness.loop_thread import LoopThread
from proof.harness.observer import Endpoint, Observer
from proof.harness.outage import first_answer
from proof.harness.server_owner import ServerSpec
from proof.harness.waiting import RequestFailed, until

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

# Short, for a lab in which everything takes a second or two; long enough for a process to be started again.
POLICY: Mapping[str, Any] = {
    "launch_timeout_s": 40.0,
    "terminate_timeout_s": 40.0,
    "quiesce_timeout_s": 10.0,
    "resume_timeout_s": 15.0,
    "hook_timeout_s": 15.0,
    "drain_s": 5.0,
    "cool_down_s": 20.0,
}
STEPS = {
    "volumes": ("plan", "launch", "ready", "fence", "move", "serve", "commit", "retire"),
    "snapshot": ("plan", "launch", "ready", "copy", "fence", "move", "serve", "commit", "retire"),
    "stateless": ("plan", "launch", "ready", "serve", "fence", "commit", "retire"),
}
OPERATION_S = 90.0
_AGENT_S = 40.0
_ANSWER_S = 30.0


@dataclass(frozen=True)
class SiteServer:
    name: str
    id: str
    handoff: str
    first: str  # its first instance
    endpoint: Endpoint


def _ec2(aws: Mapping[str, str]) -> EC2Client:
    """The owner's own client of EC2, here the lab."""
    session = boto3.Session(
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        region_name=aws["AWS_DEFAULT_REGION"],
    )
    return session.client("ec2", endpoint_url=aws["AWS_ENDPOINT_URL"])


def duration_s(operation: Operation) -> float:
    """From the request to the end."""
    return (operation.finished_at or operation.requested_at) - operation.requested_at


class Site:
    """Servers are launched and adopted when they are asked for; clients watch each from then on."""

    def __init__(self, stack: Stack, loop: LoopThread, seed: int, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.seed = seed
        self.say = say  # a line on the terminal, whether the test passes or not
        self.http = stack.api()
        self.lab = stack.lab()
        self.api = ControlPlaneClient(self.http)
        self.observer = Observer(loop)
        self.servers: dict[str, SiteServer] = {}
        self.asked: set[str] = set()  # every operation that a test asked for or brought about
        self.market_choice = market.choose_market(self.ask_lab("GET", "/_lab/market")["pools"])
        self.world = self.ask_lab("GET", "/_lab/world")
        self._owner = server_owner.Owner(stack.aws, self.world, self.market_choice)
        self.ec2 = _ec2(stack.aws)

    def close(self) -> None:
        self.observer.stop()
        self.http.close()
        self.lab.close()

    def chance(self, purpose: str) -> random.Random:
        """What is drawn for a purpose depends on the seed alone, not on which tests ran before."""
        return random.Random(f"{self.seed}/{purpose}")

    # --- servers

    def adopted(self, *specs: ServerSpec) -> list[SiteServer]:
        """Launched on demand, adopted, and under requests; each agent has reported."""
        made = []
        for original in self._owner.launch_all(specs):
            body = {
                "name": original.name,
                "region": self.stack.region,
                "instance_id": original.instance_id,
                "policy": self._policy(original.handoff),
            }
            server_id = self.api.adopt(body, f"adopt-{original.name}")
            server = SiteServer(original.name, server_id, original.handoff, original.instance_id, original.endpoint)
            self.servers[server.name] = server
            self.observer.watch(server.endpoint)
            made.append(server)
        for server in made:
            until(f"the agent of {server.name} reports", _AGENT_S, lambda s=server: self.primary(s)["agent_seen_at"])  # type: ignore[misc]
        return made

    def _policy(self, handoff: str) -> dict[str, Any]:
        """The snapshot server may not stay in its first zone, so that its first switch leaves it."""
        zones = self.market_choice.away if handoff == "snapshot" else list(self.market_choice.zones)
        return {**POLICY, "handoff": handoff, "instance_types": list(self.market_choice.types), "zones": zones}

    @contextmanager
    def policy(self, server: SiteServer, **change: Any) -> Iterator[None]:
        """The server's policy with these fields changed, for as long as it lasts."""
        path, before = f"/api/servers/{server.id}", self.api.server(server.id)["policy"]
        self._change_policy(path, change)
        try:
            yield
        finally:
            self._change_policy(path, {name: before[name] for name in change})

    def _change_policy(self, path: str, change: Mapping[str, Any]) -> None:
        answer = self.http.patch(path, json={"policy": change})
        assert answer.is_success, f"PATCH {path}: HTTP {answer.status_code} {answer.text[:300]}"

    def primary(self, server: SiteServer) -> dict[str, Any]:
        found = self.api.server(server.id)["primary"]
        assert found is not None, f"{server.name} has no primary in the records (seed {self.seed})"
        return dict(found)

    # --- operations

    def ask(self, server: SiteServer, what: str, key: str, body: Mapping[str, Any] | None = None) -> str:
        """The new operation's ID; it counts as asked for."""
        operation_id = self.api.ask(server.id, what, body or {}, key)
        self.asked.add(operation_id)
        return operation_id

    def done(self, server: SiteServer, what: str, key: str, body: Mapping[str, Any] | None = None) -> Operation:
        """Ask for it and watch it commit: what a test needs before it begins."""
        found = self.end_of(self.ask(server, what, key, body))
        assert found.outcome == "committed", f"{what} of {server.name}: {found.outcome}: {found.reason}"
        return found

    def end_of(self, operation_id: str, limit_s: float = OPERATION_S) -> Operation:
        """The operation when it is over; the API may be away meanwhile."""
        seen: list[str] = []

        def look() -> Operation | None:
            found = self._look_at(operation_id)
            if found is None:
                return None
            seen[:] = [found.status, *(step.name for step in found.steps[-1:])]
            return found if found.final else None

        return until(f"{operation_id} ends (seed {self.seed})", limit_s, look, last_seen=lambda: " ".join(seen))

    def await_step(self, operation_id: str, step: str, limit_s: float = OPERATION_S) -> str:
        """Return when the records say that the step has begun, or that the operation is over; where it is then."""

        def look() -> str | None:
            found = self._look_at(operation_id)
            if found is None:
                return None
            names = [one.name for one in found.steps]
            return names[-1] if step in names or (found.final and names) else None

        return until(f"step {step} of {operation_id} (seed {self.seed})", limit_s, look, every_s=0.02)

    def new_operation(self, server: SiteServer, kind: str, known: Sequence[str], limit_s: float = OPERATION_S) -> str:
        """The first operation of this kind that is not known; it counts as brought about."""

        def look() -> str | None:
            try:
                found = self.api.operation_ids(server.id, kind)
            except RequestFailed:
                return None  # the API or its database is away
            return next((one for one in found if one not in known), None)

        operation_id = until(f"a {kind} of {server.name} (seed {self.seed})", limit_s, look)
        self.asked.add(operation_id)
        return operation_id

    def _look_at(self, operation_id: str) -> Operation | None:
        try:
            return self.api.operation(operation_id)
        except RequestFailed:
            return None  # the API or its database is away

    # --- the lab

    def ask_lab(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self.lab.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}"
        found: dict[str, Any] = answer.json()
        return found

    def truth(self) -> dict[str, Any]:
        return self.ask_lab("GET", "/_lab/truth")

    def replacement_of(self, operation_id: str, limit_s: float = OPERATION_S) -> str:
        """The instance that this operation launched, as soon as EC2 has it."""

        def look() -> str | None:
            rows = self.truth()["instances"]
            ours = [row["id"] for row in rows if row["tags"].get("spot-optimizer:operation") == operation_id]
            return str(ours[-1]) if ours else None

        return until(f"a replacement of {operation_id} (seed {self.seed})", limit_s, look, every_s=0.05)

    def interrupt(self, instance_id: str, notice_seconds: float = 120.0) -> float:
        """When notice was given."""
        noticed_at = time.time()
        self.ask_lab("POST", f"/_lab/instances/{instance_id}/interrupt", {"notice_seconds": notice_seconds})
        return noticed_at

    @contextmanager
    def faults(self, *asked: Mapping[str, Any]) -> Iterator[None]:
        """These faults of the lab, for as long as it lasts."""
        for fault in asked:
            self.ask_lab("POST", "/_lab/faults", fault)
        try:
            yield
        finally:
            self.ask_lab("DELETE", "/_lab/faults")

    # --- what clients see

    def serving_after(self, server: SiteServer, since: float, *, not_by: str, limit_s: float) -> float:
        """Seconds from `since` until a request was answered by another instance than `not_by`."""

        def look() -> float | None:
            samples = self.observer.samples(server.name)
            return first_answer(samples, since, lambda instance: instance not in ("", not_by))

        what = f"{server.name} answers, and not from {not_by} (seed {self.seed})"
        return until(what, limit_s, look, every_s=0.02) - since

    def answers(self, server: SiteServer) -> str:
        """The instance that answers through the server's address."""

        def look() -> str | None:
            try:
                answer = httpx.get(f"{server.endpoint.url}/health", timeout=1.0, trust_env=False)
            except httpx.HTTPError:
                return None  # not yet: whoever waits says so when it takes too long
            return str(answer.json()["instance"]) if answer.status_code == 200 else None

        return until(f"{server.name} answers at {server.endpoint.url} (seed {self.seed})", _ANSWER_S, look)
