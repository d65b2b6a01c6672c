"""Servers on the lab whose clients never stop asking, switched and interrupted from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import boto3
import httpx

from lab.stack.stack import Stack
from proof.benchmarks.move_script import ScriptedServer
from proof.benchmarks.switch_times import LabDelaysMs
from proof.harness import market, server_owner
from proof.harness.api_client import ControlPlaneClient, Operation
from proof.harness.loop_thread import LoopThread
from proof.harness.observer import Endpoint, Observer
from proof.harness.outage import Window, first_answer, outage_ms
from proof.harness.server_owner import LaunchedServer, ServerSpec
from proof.harness.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

AGENT_S = 90.0
END_S = 180.0


@dataclass(frozen=True)
class BenchmarkServer:
    name: str
    id: str
    pools: Iterator[str]  # where it goes next, round and round
    endpoint: Endpoint


class BenchmarkSite:
    def __init__(self, stack: Stack, lab: httpx.Client, http: httpx.Client, loop: LoopThread) -> None:
        self.stack = stack
        self.http = http
        self.lab = lab
        self.api = ControlPlaneClient(http)
        self.observer = Observer(loop)
        self.world: dict[str, Any] = lab.get("/_lab/world").raise_for_status().json()
        self.delays = LabDelaysMs.of(self.world)
        self.market_choice = market.choose_market(lab.get("/_lab/market").raise_for_status().json()["pools"])
        self.owner = server_owner.Owner(stack.aws, self.world, self.market_choice)
        self.ec2 = ec2_client(stack)

    def launch(self, *specs: ServerSpec) -> list[LaunchedServer]:
        """Each is running, reachable and under requests when this returns."""
        made = self.owner.launch_all(specs)
        for one in made:
            self.observer.watch(one.endpoint)
        return made

    def adopt(self, original: LaunchedServer) -> BenchmarkServer:
        policy = {
            "handoff": original.handoff,
            "instance_types": list(self.market_choice.types),
            "zones": list(self.market_choice.zones) if original.handoff != "volumes" else [self.market_choice.home],
            "cool_down_s": 1.0,
            "drain_s": 5.0,
        }
        body = {"name": original.name, "region": self.stack.region, "instance_id": original.instance_id}
        server_id = self.api.adopt({**body, "policy": policy}, f"adopt-{original.name}")
        until("its agent reports", AGENT_S, lambda: self.api.server(server_id)["primary"]["agent_seen_at"])
        return BenchmarkServer(original.name, server_id, cycle(self._pools(original.handoff)), original.endpoint)

    def done(self, server: BenchmarkServer, what: str, key: str, body: Mapping[str, Any] | None = None) -> Operation:
        """Ask for it, wait for its end, and look that it committed."""
        return self.end_of(self.api.ask(server.id, what, body or {}, key))

    def end_of(self, operation_id: str) -> Operation:
        """The stream of an operation ends with it: asking again and again would cost what is measured."""
        with self.http.stream("GET", f"/api/operations/{operation_id}/stream", timeout=END_S) as answer:
            answer.raise_for_status()
            for _ in answer.iter_lines():
                continue
        operation = self.api.operation(operation_id)
        if operation.outcome != "committed":
            raise RuntimeError(f"{operation_id} {operation.outcome}: {operation.reason}")
        return operation

    def primary(self, server: BenchmarkServer) -> str:
        return str(self.api.server(server.id)["primary"]["id"])

    def outage_ms(self, name: str, since: float, until_at: float) -> float:
        """As the server's clients felt it; waits until they have seen all of the time."""
        window = Window.around(since, until_at)
        until(f"the clients of {name} have seen it", 20.0, lambda: self.observer.seen_until(name, window.until) or None)
        return float(outage_ms(self.observer.samples(name), window))

    def interrupt(self, instance_id: str, notice_s: float) -> float:
        """When notice was given."""
        noticed = time.time()
        self.lab.post(f"/_lab/instances/{instance_id}/interrupt", json={"notice_seconds": notice_s}).raise_for_status()
        return noticed

    def serving_after(self, name: str, since: float, not_by: str) -> float:
        """Milliseconds from `since` to the first answer by another instance."""

        def look() -> float | None:
            return first_answer(self.observer.samples(name), since, lambda one: one not in ("", not_by))

        return 1000 * (until(f"another instance of {name} answers", END_S, look, every_s=0.02) - since)

    def plain(self, original: LaunchedServer) -> ScriptedServer:
        """The same server as a script sees it."""
        mine: Any = [{"Name": "attachment.instance-id", "Values": [original.instance_id]}]
        volumes = self.ec2.describe_volumes(Filters=mine)["Volumes"]
        data = next(one["VolumeId"] for one in volumes if one["Attachments"][0]["Device"] == "/dev/sdf")
        at: Any = [{"Name": "instance-id", "Values": [original.instance_id]}]
        address = self.ec2.describe_addresses(Filters=at)["Addresses"][0]["AllocationId"]
        return ScriptedServer(original.instance_id, data, address)

    def _pools(self, handoff: str) -> list[str]:
        """Never the one before: for `snapshot` another zone each time, for others another type."""
        zones = self.market_choice.zones[:2] if handoff == "snapshot" else [self.market_choice.home] * 2
        return [f"{zone}/{kind}/spot" for kind in self.market_choice.types for zone in zones][
            :: 1 if zones[0] != zones[1] else 2
        ]


@contextmanager
def benchmark_site(stack: Stack) -> Iterator[BenchmarkSite]:
    with stack.lab() as lab, stack.api() as http, LoopThread("observer") as loop:
        made = BenchmarkSite(stack, lab, http, loop)
        try:
            yield made
        finally:
            made.observer.stop()


def ec2_client(stack: Stack) -> EC2Client:
    session = boto3.Session(
        aws_access_key_id=stack.aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack.aws["AWS_SECRET_ACCESS_KEY"],
        region_name=stack.region,
    )
    return session.client("ec2", endpoint_url=stack.aws["AWS_ENDPOINT_URL"])
