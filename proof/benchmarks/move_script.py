"""The baseline: what a switch costs when it is written with boto3, one call after the other.

It moves a server with a data volume and an Elastic IP to a spot instance, in the product's order of steps,
and polls for each state as often as the product does. It plans nothing, records nothing and undoes nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

PAUSE_S = 0.1
LIMIT_S = 180.0
MOUNT = "/data"
USER_DATA = json.dumps({"workload": "volume", "mount": MOUNT})


@dataclass(frozen=True)
class ScriptedServer:
    """A server: its instance, its volume and its address."""

    instance_id: str
    volume_id: str
    allocation_id: str


@dataclass
class ScriptTimes:
    """Milliseconds of each step, in order, and of the hooks among them."""

    steps: dict[str, float] = field(default_factory=dict)
    hooks: dict[str, float] = field(default_factory=dict)  # by step

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.steps[name] = 1000 * (time.perf_counter() - began)


class MoveScript:
    """`hosts`: the directories of the lab's hosts. Their commands stand for a shell on each machine."""

    def __init__(self, ec2: EC2Client, hosts: Path, user_data: str) -> None:
        self._ec2 = ec2
        self._hosts = hosts
        self._user_data = user_data

    def move(self, server: ScriptedServer, instance_type: str) -> tuple[ScriptedServer, ScriptTimes]:
        ec2, times = self._ec2, ScriptTimes()
        with times.step("plan"):
            old = self._look(server.instance_id)
        with times.step("launch"):
            new = self._launch(old, instance_type)
            wait_until(lambda: self._state(new) == "running")
        with times.step("ready"):
            wait_until(lambda: self.agent_is_up(new))
        with times.step("fence"):
            filesystem = self._mounted(server.instance_id)
            times.hooks["fence"] = self._hook(server.instance_id, "stop")
            self._run(server.instance_id, "sync")
            self._run(server.instance_id, "umount", MOUNT)
        with times.step("move"):
            ec2.detach_volume(VolumeId=server.volume_id, InstanceId=server.instance_id)
            wait_until(lambda: self._volume(server.volume_id)["State"] == "available")
            ec2.attach_volume(VolumeId=server.volume_id, InstanceId=new, Device="/dev/sdf")
            wait_until(lambda: attached(self._volume(server.volume_id), new))
            ec2.associate_address(AllocationId=server.allocation_id, InstanceId=new, AllowReassociation=True)
        with times.step("serve"):
            self._run(new, "mount", "-o", "rw,X-mount.mkdir", f"UUID={filesystem}", MOUNT)
            times.hooks["serve"] = self._hook(new, "start") + self._until_healthy(new)
        with times.step("retire"):
            if request := old.get("SpotInstanceRequestId"):
                ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request])
            ec2.terminate_instances(InstanceIds=[server.instance_id])
            wait_until(lambda: self._state(server.instance_id) == "terminated")
        with times.step("receipt"):
            self._look(new)
        return ScriptedServer(new, server.volume_id, server.allocation_id), times

    # --- EC2

    def _look(self, instance_id: str) -> Any:
        return self._ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def _launch(self, old: Any, instance_type: str, *, spot: bool = True) -> str:
        market: Any = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
        answer = self._ec2.run_instances(
            ImageId=old["ImageId"],
            InstanceType=instance_type,  # type: ignore[arg-type]  # one of the market's
            MinCount=1,
            MaxCount=1,
            SubnetId=old["SubnetId"],
            SecurityGroupIds=[group["GroupId"] for group in old["SecurityGroups"]],
            KeyName=old["KeyName"],
            UserData=self._user_data,
            **({"InstanceMarketOptions": market} if spot else {}),
            TagSpecifications=[{"ResourceType": "instance", "Tags": old["Tags"]}],
        )
        return answer["Instances"][0]["InstanceId"]

    def _state(self, instance_id: str) -> str:
        """The instance's state; empty while EC2 does not know it."""
        filters: Any = [{"Name": "instance-id", "Values": [instance_id]}]
        found = self._ec2.describe_instances(Filters=filters)["Reservations"]
        return str(found[0]["Instances"][0]["State"]["Name"]) if found else ""

    def _volume(self, volume_id: str) -> Any:
        return self._ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]

    # --- the machines

    def _take_over(self, server: ScriptedServer, new: str, filesystem: str, times: ScriptTimes) -> None:
        """Move volume and address to the new instance, and start its service."""
        wait_until(lambda: self._volume(server.volume_id)["State"] == "available")
        self._ec2.attach_volume(VolumeId=server.volume_id, InstanceId=new, Device="/dev/sdf")
        wait_until(lambda: attached(self._volume(server.volume_id), new))
        self._ec2.associate_address(AllocationId=server.allocation_id, InstanceId=new, AllowReassociation=True)
        self._run(new, "mount", "-o", "rw,X-mount.mkdir", f"UUID={filesystem}", MOUNT)
        times.hooks["serve"] = self._hook(new, "start") + self._until_healthy(new)

    def agent_is_up(self, instance_id: str) -> bool:
        """Its agent has started. The product waits for the same, although nobody uses this agent."""
        log = self._hosts / instance_id / "log" / "agent.log"
        return log.exists() and "agent.registrar" in log.read_text()

    def _mounted(self, instance_id: str) -> str:
        """The UUID of the filesystem that is mounted at `MOUNT`."""
        said = self._run(instance_id, "findmnt", "-J", "-o", "TARGET,UUID", "--real", MOUNT)
        return str(json.loads(said)["filesystems"][0]["uuid"])

    def _hook(self, instance_id: str, name: str) -> float:
        """Run a hook; returns its milliseconds."""
        began = time.perf_counter()
        self._run(instance_id, name, folder="hooks")
        return 1000 * (time.perf_counter() - began)

    def _until_healthy(self, instance_id: str) -> float:
        """Repeat the health hook until it passes; returns the milliseconds of that run."""
        ends = time.monotonic() + LIMIT_S
        while True:
            try:
                return self._hook(instance_id, "health")
            except subprocess.CalledProcessError:
                if time.monotonic() > ends:
                    raise
            time.sleep(PAUSE_S)

    def _run(self, instance_id: str, command: str, *arguments: str, folder: str = "bin") -> str:
        host = self._hosts / instance_id
        environment = {"PATH": f"{host}/bin:{os.defpath}", "LC_ALL": "C"}
        argv = [str(host / folder / command), *arguments]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True)
        return done.stdout


def attached(volume: Any, instance_id: str) -> bool:
    return any(one["InstanceId"] == instance_id and one["State"] == "attached" for one in volume["Attachments"])


def wait_until(reached: Callable[[], bool]) -> None:
    ends = time.monotonic() + LIMIT_S
    while not reached():
        if time.monotonic() > ends:
            raise TimeoutError(f"a state was not reached within {LIMIT_S:g} s")
        time.sleep(PAUSE_S)
