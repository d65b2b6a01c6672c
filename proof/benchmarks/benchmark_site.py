"""A site for measurements: its servers are switched and interrupted, while clients time each outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

from anyio.from_thread import BlockingPortal

from lab.loop_thread import loop_thread
from lab.stack.stack import Stack
from proof.benchmarks.move_script import ScriptedServer
from proof.harness.api_client import Operation
from proof.harness.lab_delays import LabDelays
from proof.harness.outage import Window, outage_ms
from proof.harness.server_owner import AdoptedServer, LaunchedServer
from proof.harness.site import Site
from proof.harness.waiting import until

END_S = 180.0
HOST_UP_S = 90.0
_SEED = 1


class BenchmarkSite(Site):
    def __init__(self, stack: Stack, portal: BlockingPortal) -> None:
        super().__init__(stack, portal, _SEED, print)
        self.delays = LabDelays.of(self.world)
        self._next_pools: dict[str, Iterator[str]] = {}

    def end_of(self, operation_id: str, limit_s: float = END_S) -> Operation:
        self.await_end(operation_id, limit_s)
        return self.api.operation(operation_id)

    def await_end(self, operation_id: str, limit_s: float = END_S) -> None:
        """Read the operation's stream, which ends with it: polling would cost what is measured."""
        with self.http.stream("GET", f"/api/operations/{operation_id}/stream", timeout=limit_s) as answer:
            answer.raise_for_status()
            for _ in answer.iter_lines():
                continue

    def next_pool(self, server: AdoptedServer) -> str:
        """Where the server goes next, round and round."""
        if server.name not in self._next_pools:
            self._next_pools[server.name] = cycle(self._pools(server.handoff))
        return next(self._next_pools[server.name])

    def outage_ms(self, name: str, since: float, until_at: float) -> float:
        """As the server's clients measured it. Waits until they have seen the whole time."""
        window = Window.around(since, until_at)
        until(f"the clients of {name} have seen it", 60.0, lambda: self.observer.seen_until(name, window.until) or None)
        return float(outage_ms(self.observer.samples(name), window))

    def scripted(self, launched: LaunchedServer) -> ScriptedServer:
        """The same server as a script sees it."""
        mine: Any = [{"Name": "attachment.instance-id", "Values": [launched.first_instance_id]}]
        volumes = self.ec2.describe_volumes(Filters=mine)["Volumes"]
        data = next(one["VolumeId"] for one in volumes if one["Attachments"][0]["Device"] == "/dev/sdf")
        at: Any = [{"Name": "instance-id", "Values": [launched.first_instance_id]}]
        address = self.ec2.describe_addresses(Filters=at)["Addresses"][0]["AllocationId"]
        return ScriptedServer(launched.first_instance_id, data, address)

    def _policy(self, handoff: str) -> dict[str, Any]:
        """The product's own limits, not the short ones of tests. A server with volumes stays in its zone."""
        zones = [self.market_choice.home] if handoff == "volumes" else list(self.market_choice.zones)
        types = list(self.market_choice.types)
        return {"handoff": handoff, "instance_types": types, "zones": zones, "cool_down_s": 1.0, "drain_s": 5.0}

    def _pools(self, handoff: str) -> list[str]:
        """Each differs from the one before: in its zone for `snapshot`, else in its type."""
        zones = self.market_choice.zones[:2] if handoff == "snapshot" else [self.market_choice.home]
        return [f"{zone}/{kind}/spot" for kind in self.market_choice.types for zone in zones]


@contextmanager
def benchmark_site(stack: Stack) -> Iterator[BenchmarkSite]:
    with loop_thread("observer") as portal:
        made = BenchmarkSite(stack, portal)
        try:
            yield made
        finally:
            made.close()
