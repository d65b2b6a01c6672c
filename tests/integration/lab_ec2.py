"""The lab's EC2 alone, without hosts, spoken to with boto3, as its tests use it."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.moto_api._internal.models import moto_api_backend

from lab.__main__ import build
from lab.app import App, Server
from lab.contracts import FAST, LabSettings
from lab.ec2.clock import Clock
from proof.harness.waiting import until

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})
QUICK = replace(
    FAST,
    launch_s=0.5,
    boot_s=0.1,
    terminate_s=0.2,
    stop_s=0.2,
    attach_s=0.15,
    detach_s=0.15,
    volume_s=0.15,
    snapshot_s=0.8,
    describe_lag_s=0.05,
)
PATIENCE_S = 90.0
ZONE_A, ZONE_B = "us-east-1a", "us-east-1b"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client_at(url: str, service: str, key: str = "tester") -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="none",
        config=ONCE,
    )


class PausableClock(Clock):
    """The lab's clock. While it is paused nothing new comes due: what is pending stays pending."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[float, Callable[[], None]]] | None = None

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        if self._kept is None:
            super().after(seconds, work)
        else:
            self._kept.append((seconds, work))

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._kept = []
        try:
            yield
        finally:
            kept, self._kept = self._kept, None
            for seconds, work in kept:
                super().after(seconds, work)


@dataclass
class Lab:
    app: App
    clock: PausableClock
    url: str
    world: dict[str, Any]
    http: httpx.Client
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, key: str = "tester") -> Any:
        if (service, key) not in self.clients:
            self.clients[(service, key)] = client_at(self.url, service, key)
        return self.clients[(service, key)]

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.http.post(f"/_lab{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def get(self, path: str) -> dict[str, Any]:
        return dict(self.http.get(f"/_lab{path}").json())

    def launch(self, **changed: Any) -> str:
        asked: dict[str, Any] = {
            "ImageId": self.world["images"]["x86_64"],
            "InstanceType": "m5.large",
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": uuid.uuid4().hex,
            "SubnetId": self.world["subnets"][ZONE_A],
            **changed,
        }
        return str(self.client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"])

    def instance(self, instance_id: str) -> dict[str, Any]:
        answer = self.client("ec2").describe_instances(InstanceIds=[instance_id])
        return dict(answer["Reservations"][0]["Instances"][0])

    def wait_state(self, instance_id: str, state: str) -> dict[str, Any]:
        def reached() -> bool:
            try:
                return bool(self.instance(instance_id)["State"]["Name"] == state)
            except ClientError:
                return False

        wait_for(reached)
        return self.instance(instance_id)

    def running(self, **changed: Any) -> str:
        instance_id = self.launch(**changed)
        self.wait_state(instance_id, "running")
        return instance_id

    def volume(self, zone: str = ZONE_A) -> str:
        made = self.client("ec2").create_volume(AvailabilityZone=zone, Size=1, VolumeType="gp3")
        wait_for(lambda: self.volume_state(made["VolumeId"]) == "available")
        return str(made["VolumeId"])

    def volume_state(self, volume_id: str) -> str:
        return str(self.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"])


def wait_for(condition: Callable[[], bool]) -> None:
    until("the lab's EC2 gets there", PATIENCE_S, lambda: condition() or None, every_s=0.03)


def refused(code: str, call: Callable[..., Any], **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    return str(error["Message"])


SPOT: dict[str, Any] = {"InstanceMarketOptions": {"MarketType": "spot"}}
PERSISTENT: dict[str, Any] = {
    "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}}
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    settings = LabSettings(tmp_path_factory.mktemp("lab"), free_port(), free_port(), 8080, profile=QUICK)
    clock = PausableClock()
    app = build(settings, with_hosts=False, clock=clock)
    server = Server(app, settings.port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{settings.port}"
    with httpx.Client(base_url=url) as http:
        yield Lab(app, clock, url, http.get("/_lab/world").json(), http)
    server.shutdown()
    moto_api_backend.reset()  # its state is the process's: the next module begins with none
    clock.close()


@pytest.fixture(scope="module")
def ec2(lab: Lab) -> Any:
    return lab.client("ec2")
