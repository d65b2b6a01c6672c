"""Two servers on one lab, alike: one is switched by the product, the other moved by the script."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client

from lab.stack.stack import Stack
from proof.benchmarks import processor_time, workflow_history
from proof.benchmarks.benchmark_site import ec2_client
from proof.benchmarks.move_script import USER_DATA, MoveScript, ScriptedServer
from proof.benchmarks.switch_times import LabDelaysMs, SwitchTimes, agent_start_ms, times_of_script, times_of_switch
from proof.benchmarks.workflow_history import ActivityTimes
from proof.harness import market, server_owner
from proof.harness.api_client import ControlPlaneClient
from proof.harness.server_owner import LaunchedServer, ServerSpec
from proof.harness.waiting import until

_AGENT_S = 40.0
_SWITCH_S = 60.0


class ServerPair:
    def __init__(self, stack: Stack, lab: httpx.Client, http: httpx.Client) -> None:
        self._stack = stack
        self._http = http
        self._api = ControlPlaneClient(http)
        self._ec2 = ec2_client(stack)
        self._lab_folder = stack.settings.var / "lab"
        world: dict[str, Any] = lab.get("/_lab/world").raise_for_status().json()
        self.delays = LabDelaysMs.of(world)
        market_choice = market.choose_market(lab.get("/_lab/market").raise_for_status().json()["pools"])
        self._types = list(market_choice.types)
        self._zone = market_choice.home
        orders, plain = server_owner.Owner(stack.aws, world, market_choice).launch_all(
            [ServerSpec("orders", "volumes", 8), ServerSpec("plain", "volumes", 8)]
        )
        self._script = MoveScript(self._ec2, self._hosts, USER_DATA)
        self._server_id = self._adopt(orders)
        self._plain = self._look_at(plain)
        up = self._script.agent_is_up
        until("the script's host is up", _AGENT_S, lambda: True if up(plain.instance_id) else None)

    def switch(self, number: int) -> SwitchTimes:
        """By the product, to the best pool."""
        pids = {name: process.pid for name, process in self._stack.processes.items() if process.pid}
        worked, began = processor_time.milliseconds(pids), time.perf_counter()
        operation_id = self._api.ask(self._server_id, "switch", {}, f"bench-{number}")
        self._await_end(operation_id)
        outside = 1000 * (time.perf_counter() - began)
        worked = processor_time.between(worked, processor_time.milliseconds(pids))
        operation = self._api.operation(operation_id)
        if operation.outcome != "committed":
            raise RuntimeError(f"{operation_id} {operation.outcome}: {operation.reason}")
        started = self._agent_start(self._primary(), "polling")
        done = self._history(operation.workflow_id)
        return times_of_switch(operation, self.delays, started, outside, done, worked)

    def script(self, number: int) -> SwitchTimes:
        """The same by the script, to a spot instance of another type each time."""
        self._plain, times = self._script.move(self._plain, self._types[number % len(self._types)])
        return times_of_script(times, self.delays, self._agent_start(self._plain.instance_id, "agent.registrar"))

    # --- inside

    @property
    def _hosts(self) -> Path:
        return self._lab_folder / "hosts"

    def _adopt(self, original: LaunchedServer) -> str:
        policy = {"handoff": "volumes", "instance_types": self._types, "zones": [self._zone], "cool_down_s": 5.0}
        body = {
            "name": original.name,
            "region": self._stack.region,
            "instance_id": original.instance_id,
            "policy": policy,
        }
        server_id = self._api.adopt(body, "bench-adopt")
        until("its agent reports", _AGENT_S, lambda: self._api.server(server_id)["primary"]["agent_seen_at"])
        return server_id

    def _look_at(self, original: LaunchedServer) -> ScriptedServer:
        mine: Any = [{"Name": "attachment.instance-id", "Values": [original.instance_id]}]
        volumes = self._ec2.describe_volumes(Filters=mine)["Volumes"]
        data = next(one["VolumeId"] for one in volumes if one["Attachments"][0]["Device"] == "/dev/sdf")
        at: Any = [{"Name": "instance-id", "Values": [original.instance_id]}]
        address = self._ec2.describe_addresses(Filters=at)["Addresses"][0]["AllocationId"]
        return ScriptedServer(original.instance_id, data, address)

    def _await_end(self, operation_id: str) -> None:
        """The stream of an operation ends with it: asking again and again would cost what is measured."""
        with self._http.stream("GET", f"/api/operations/{operation_id}/stream", timeout=_SWITCH_S) as answer:
            answer.raise_for_status()
            for _ in answer.iter_lines():
                continue

    def _primary(self) -> str:
        return str(self._api.server(self._server_id)["primary"]["id"])

    def _agent_start(self, instance_id: str, word: str) -> float:
        log = self._stack.settings.logs / "lab.log"
        return agent_start_ms(self._hosts, log, instance_id, self.delays.boot, word)

    def _history(self, workflow_id: str) -> list[ActivityTimes]:
        async def fetch() -> list[ActivityTimes]:
            return await workflow_history.activities(await Client.connect(self._stack.temporal_address), workflow_id)

        return asyncio.run(fetch())
