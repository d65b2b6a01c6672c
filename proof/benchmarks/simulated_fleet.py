"""A fleet whose instances are rows of the lab, and whose agents are one process. Two cores carry thousands."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lab.stack.processes import Process
from lab.stack.settings import REPOSITORY, inherited
from lab.stack.stack import Stack
from proof.benchmarks import counters
from proof.harness import market
from proof.harness.api_client import ControlPlaneClient
from proof.harness.server_owner import ec2_client
from proof.harness.waiting import until

LAUNCH_S = 120.0
WATCHED_S = 420.0  # in a large fleet a lost watch is noticed after 250 s
AT_ONCE = 16
BATCH = 50
NOTICE_S = 120.0
_GIVES_WAY = 15  # nice(2)


@dataclass(frozen=True)
class SimulatedServer:
    id: str
    name: str
    number: int


class SimulatedFleet:
    def __init__(self, stack: Stack, lab: httpx.Client, http: httpx.Client, agents: Process) -> None:
        self.stack = stack
        self.api = ControlPlaneClient(http)
        self.lab = lab
        self.agents = agents
        self.world: dict[str, Any] = lab.get("/_lab/world").raise_for_status().json()
        self.market_choice = market.choose_market(lab.get("/_lab/market").raise_for_status().json()["pools"])
        self._ec2 = ec2_client(stack.aws)
        lab.post("/_lab/quotas", json={"spot": 1e6, "on_demand": 1e6}).raise_for_status()

    def pids(self) -> dict[str, int]:
        named = {name: process.pid for name, process in self.stack.processes.items()}
        return {name: pid for name, pid in {**named, "agents": self.agents.pid}.items() if pid}

    def give_way(self, name: str) -> None:
        """Let this process have only the processor time that the others leave. Each thread has its own nice value
        (sched(7)), which later threads inherit."""
        for thread in Path(f"/proc/{self.pids()[name]}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), _GIVES_WAY)

    @contextmanager
    def cores_busy(self) -> Iterator[dict[str, float]]:
        """Cores that each process keeps busy; filled at the end of the block."""
        found: dict[str, float] = {}
        pids, began = self.pids(), time.monotonic()
        worked = counters.processor_ms(pids)
        yield found
        lasted = 1000 * (time.monotonic() - began)
        for name, ms in counters.between(worked, counters.processor_ms(pids)).items():
            found[name] = round(ms / lasted, 2)

    def adopt_servers(self, numbers: range) -> list[SimulatedServer]:
        """Launch on demand, each with a volume and an Elastic IP, and adopt. Returns when all are watched."""
        instances = self.launched(len(numbers), [self.market_choice.home], volume=True)
        self._await_running(instances)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(self._give_address, instances))
            made = list(threads.map(self._adopt, numbers, instances))
        self.await_watched(numbers.stop)
        return made

    def give_notice(self, instance_id: str) -> None:
        body = {"notice_seconds": NOTICE_S}
        self.lab.post(f"/_lab/instances/{instance_id}/interrupt", json=body).raise_for_status()

    @property
    def watched(self) -> int:
        """How many agents are being watched, as of the last second."""
        said = self.agents.log_tail(1).split()
        return int(said[1]) if said[:1] == ["watching"] and len(said) == 2 else 0

    def await_watched(self, count: int) -> None:
        def look() -> bool | None:
            return True if self.watched >= count else None

        until(f"{count} agents are watched", WATCHED_S, look, every_s=0.5, last_seen=lambda: self.agents.log_tail(1))

    def launched(self, count: int, zones: Sequence[str] = (), *, volume: bool = False) -> list[str]:
        """Launch instances on demand, in batches, in these zones by turns: a subnet has room for four thousand.
        They may not be running yet."""
        turns = itertools.cycle(zones or list(self.world["subnets"]))
        made: list[str] = []
        while len(made) < count:
            made += self._launch(min(BATCH, count - len(made)), next(turns), volume)
        return made

    def tag(self, instances: Sequence[str], tags: Sequence[Mapping[str, str]]) -> None:
        """Give each instance its own tags."""

        def one(instance_id: str, named: Mapping[str, str]) -> None:
            wanted = [{"Key": key, "Value": value} for key, value in named.items()]
            self._ec2.create_tags(Resources=[instance_id], Tags=wanted)  # type: ignore[arg-type]

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(one, instances, tags))

    def _launch(self, count: int, zone: str, volume: bool) -> Sequence[str]:
        data: Any = {
            "DeviceName": "/dev/sdf",
            "Ebs": {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": False},
        }
        answer = self._ec2.run_instances(
            ImageId=self.world["images"]["x86_64"],
            InstanceType=self.market_choice.kind,  # type: ignore[arg-type]  # one of the market's
            MinCount=count,
            MaxCount=count,
            SubnetId=self.world["subnets"][zone],
            SecurityGroupIds=[self.world["security_group_id"]],
            KeyName=self.world["key_name"],
            UserData="{}",
            BlockDeviceMappings=[data] if volume else [],
        )
        return [one["InstanceId"] for one in answer["Instances"]]

    def _await_running(self, instances: Sequence[str]) -> None:
        waiter = self._ec2.get_waiter("instance_running")
        for first in range(0, len(instances), BATCH):
            some = list(instances[first : first + BATCH])
            waiter.wait(InstanceIds=some, WaiterConfig={"Delay": 1, "MaxAttempts": int(LAUNCH_S)})

    def _give_address(self, instance_id: str) -> None:
        made = self._ec2.allocate_address(Domain="vpc")
        self._ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance_id)

    def _adopt(self, number: int, instance_id: str) -> SimulatedServer:
        policy: Mapping[str, Any] = {
            "handoff": "volumes",
            "instance_types": list(self.market_choice.types),
            "zones": [self.market_choice.home],
            "cool_down_s": 0.0,
            "failover_pools": 2,
        }
        name = f"server-{number}"
        body = {"name": name, "region": self.stack.region, "instance_id": instance_id, "policy": policy}
        return SimulatedServer(self.api.adopt(body, f"adopt-{name}"), name, number)


@contextmanager
def agent_process(stack: Stack, journal: Path) -> Iterator[Process]:
    environment = {**inherited(os.environ), "SPOT_TOKEN": stack.credentials.client_token}
    argv = [
        sys.executable,
        "-m",
        "proof.benchmarks.agent_fleet",
        str(journal),
        stack.temporal_address,
        stack.urls["api"],
    ]
    log = stack.settings.logs / "agents.log"
    process = Process("agents", argv, log, environment, folder=REPOSITORY)
    process.probe = lambda: None if "watching" in process.log_tail(1) else "it is not ready"
    process.start()
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@contextmanager
def simulated_fleet(stack: Stack) -> Iterator[SimulatedFleet]:
    """A fleet on a stack without hosts."""
    journal = stack.settings.var / "lab" / "hosts.jsonl"
    with stack.lab(timeout=120) as lab, stack.api(timeout=120) as http, agent_process(stack, journal) as process:
        yield SimulatedFleet(stack, lab, http, process)
