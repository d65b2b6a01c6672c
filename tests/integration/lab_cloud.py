"""The lab with our activities in front of it, as the tests of the EC2 activities use it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.ec2.clients import Clients
from activities.ec2.registry import ec2_activities
from domain import ec2 as contract
from domain.blueprint import Blueprint
from domain.names import ownership_tags
from lab.stack.ports import Leases
from lab.stack.processes import Process

REGION, A, B = "us-east-1", "us-east-1a", "us-east-1b"
TAGS = ownership_tags("client-1", "srv-1", "op-1")
UNKNOWN = "i-0123456789abcdef0"


@dataclass
class Cloud:
    """The lab, our activities by name, and a client for what the activities do not do."""

    url: str
    world: dict[str, Any]
    clients: Clients
    activities: dict[str, Callable[[Any], Any]]

    @property
    def ec2(self) -> Any:
        return self.clients.ec2(REGION)

    def run(self, name: str, given: Any, attempt: int = 1) -> Any:
        """One attempt of an activity, as a worker makes it."""
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt)
        return environment.run(self.activities[name], given)

    def wait(self, name: str, given: Any, seconds: float = 10.0) -> Any:
        """Attempts until it is no longer NotYet, as a retry policy makes them."""
        ends = time.monotonic() + seconds
        while True:
            try:
                return self.run(name, given)
            except ApplicationError as error:
                if error.type != "NotYet" or time.monotonic() > ends:
                    raise

    def fails(self, kind: str, name: str, given: Any, attempt: int = 1) -> str:
        with pytest.raises(ApplicationError) as caught:
            self.run(name, given, attempt)
        assert caught.value.type == kind, caught.value
        assert caught.value.non_retryable == (kind not in ("NotYet", "Throttled", "Unavailable"))
        assert len(str(caught.value)) < 2_000
        return str(caught.value)

    def post(self, path: str, **body: Any) -> Any:
        answer = httpx.post(f"{self.url}/_lab{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def truth(self) -> dict[str, Any]:
        """Everything that exists in the lab, as it is."""
        found: dict[str, Any] = httpx.get(f"{self.url}/_lab/truth").raise_for_status().json()
        return found

    def calls(self, action: str) -> list[dict[str, Any]]:
        """Those that the lab has received, the oldest first."""
        answer = httpx.get(f"{self.url}/_lab/calls").raise_for_status().json()
        return [one for one in answer["calls"] if one["action"] == action]

    def original(self, **changed: Any) -> str:
        """An instance as its owner once launched it, with much that a replacement could lose."""
        return self.originals(1, **changed)[0]

    def originals(self, count: int, **changed: Any) -> list[str]:
        """So many of them at once. They run."""
        asked: dict[str, Any] = {
            "ImageId": self.world["images"]["x86_64"],
            "InstanceType": "m5.large",
            "MinCount": count,
            "MaxCount": count,
            "SubnetId": self.world["subnets"][A],
            "SecurityGroupIds": [self.world["security_group_id"]],
            "KeyName": self.world["key_name"],
            "IamInstanceProfile": {"Arn": self.world["instance_profile_arn"]},
            "UserData": '{"workload": "volume"}',
            "Monitoring": {"Enabled": True},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 3},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Iops": 3500}},
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10, "VolumeType": "gp3", "DeleteOnTermination": True}},
            ],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "orders"}]},
                {"ResourceType": "volume", "Tags": [{"Key": "team", "Value": "a"}]},
            ],
            **changed,
        }
        made = self.ec2.run_instances(**{k: v for k, v in asked.items() if v is not None})
        instance_ids = [str(one["InstanceId"]) for one in made["Instances"]]
        for instance_id in instance_ids:
            self.confirmed(instance_id)
        return instance_ids

    def confirmed(self, instance_id: str) -> contract.ConfirmResult:
        found: contract.ConfirmResult = self.wait(contract.CONFIRM_RUNNING, contract.InstanceInput(REGION, instance_id))
        return found

    def blueprint(self, instance_id: str) -> Blueprint:
        found: contract.InspectResult = self.run(contract.INSPECT, contract.InspectInput(REGION, instance_id))
        return found.blueprint

    def launch_input(self, old: Blueprint, pool: str = f"{A}/m6a.large/spot", **changed: Any) -> contract.LaunchInput:
        zone = pool.split("/")[0]
        given = contract.LaunchInput(REGION, old, pool, self.world["subnets"][zone], uuid.uuid4().hex, TAGS)
        return replace(given, **changed)

    def plain(self) -> Blueprint:
        """A new server's blueprint, which knows little more than its image."""
        return Blueprint(
            instance_id="", state="", region=REGION, account_id="", pool=f"{A}/m5.large/spot",
            image_id=self.world["images"]["x86_64"], architecture="", virtualization_type="",
            root_device_type="ebs", root_device_name="", vpc_id="", subnet_id=self.world["subnets"][A],
            zone=A, private_ip="", public_ip="", network_interface_id="",
            security_group_ids=[self.world["security_group_id"]],
        )  # fmt: skip

    def end(self, *instance_ids: str) -> None:
        for instance_id in instance_ids:
            self.run(contract.TERMINATE, contract.TerminateInput(REGION, instance_id))
        for instance_id in instance_ids:
            self.wait(contract.CONFIRM_TERMINATED, contract.InstanceInput(REGION, instance_id))


@pytest.fixture(scope="module")
def cloud(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A lab of the module's own, as a process: two in one would share moto's state."""
    folder, port = tmp_path_factory.mktemp("lab"), leases.port()
    url = f"http://127.0.0.1:{port}"
    lab = _lab(folder, url, port, leases.port())
    lab.start()
    try:
        lab.wait_ready()
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "tester", "SECRET_ACCESS_KEY": "none"}.items():
                environment.setenv(f"AWS_{name}", value)
            clients = Clients()
            clients.warm([REGION])
            yield Cloud(url, httpx.get(f"{url}/_lab/world").json(), clients, named_activities(clients))
    finally:
        lab.stop()


def _lab(folder: Path, url: str, port: int, imds_port: int) -> Process:
    def unhealthy() -> str | None:
        answer = httpx.get(f"{url}/_lab/health", timeout=2)
        return None if answer.is_success else answer.text

    argv = [sys.executable, "-m", "lab", "--no-hosts", "--port", str(port), "--imds-port", str(imds_port)]
    argv += ["--region", REGION, "--state-dir", str(folder / "state")]
    root = Path(__file__).parents[2]
    return Process("lab", argv, folder / "lab.log", dict(os.environ), unhealthy, folder=root)


def named_activities(clients: Clients) -> dict[str, Callable[[Any], Any]]:
    """A fresh set, which remembers nothing, by the names of the contract."""
    return {activity._Definition.must_from_callable(one).name or "": one for one in ec2_activities(clients)}


@pytest.fixture
def clean(cloud: Cloud) -> Iterator[Cloud]:
    """The lab without faults, also after a test that failed."""
    yield cloud
    httpx.delete(f"{cloud.url}/_lab/faults")
    cloud.post("/permissions", deny=[])
