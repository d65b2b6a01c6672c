"""The servers before they are adopted: on-demand instances, which their owner launches with boto3."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from proof.harness.market import MarketChoice
from proof.harness.observer import Endpoint
from proof.harness.waiting import WaitTimedOut, until

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_elbv2.client import ElasticLoadBalancingv2Client

_LAUNCH_S = 90.0
_HEALTHY_S = 90.0
_DRAIN_S = 5


@dataclass(frozen=True)
class LaunchedServer:
    """A server that its owner has launched, and the address where its clients find it."""

    name: str
    handoff: str
    first_instance_id: str
    endpoint: Endpoint


@dataclass(frozen=True)
class AdoptedServer(LaunchedServer):
    """The same server once the control plane knows it by an ID."""

    id: str

    @classmethod
    def of(cls, launched: LaunchedServer, server_id: str) -> AdoptedServer:
        return cls(launched.name, launched.handoff, launched.first_instance_id, launched.endpoint, server_id)


@dataclass(frozen=True)
class ServerSpec:
    """A server to launch. `volume_gib` 0: it keeps no data on the machine."""

    name: str
    handoff: str
    volume_gib: int = 0


DEMO_SERVERS = (ServerSpec("web", "stateless"), ServerSpec("orders", "volumes", 8), ServerSpec("ledger", "snapshot", 8))


def ec2_client(aws: Mapping[str, str]) -> EC2Client:
    """A client of EC2 with the owner's credentials; EC2 is the lab here."""
    return _session(aws).client("ec2", endpoint_url=aws["AWS_ENDPOINT_URL"])


def _session(aws: Mapping[str, str]) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        region_name=aws["AWS_DEFAULT_REGION"],
    )


class Owner:
    """The owner's AWS account, used through boto3."""

    def __init__(self, aws: Mapping[str, str], world: Mapping[str, Any], market_choice: MarketChoice) -> None:
        self._ec2 = ec2_client(aws)
        self._elb: ElasticLoadBalancingv2Client = _session(aws).client("elbv2", endpoint_url=aws["AWS_ENDPOINT_URL"])
        self._world = world
        self._market_choice = market_choice

    def launch_all(self, specs: Sequence[ServerSpec] = DEMO_SERVERS) -> list[LaunchedServer]:
        """Launch all at once. Each is running and reachable when this returns."""
        with ThreadPoolExecutor(len(specs)) as pool:
            return list(pool.map(self._launch, specs))

    def _launch(self, spec: ServerSpec) -> LaunchedServer:
        instance_id = self._run(spec)
        until(f"{spec.name}'s first instance runs", _LAUNCH_S, lambda: self._running(instance_id))
        reach = self._elastic_address if spec.volume_gib else self._target_group
        address = reach(spec, instance_id)
        endpoint = Endpoint(spec.name, address, int(self._world["service_port"]), writes=spec.volume_gib > 0)
        return LaunchedServer(spec.name, spec.handoff, instance_id, endpoint)

    def _run(self, spec: ServerSpec) -> str:
        user_data = {"workload": "volume", "mount": "/data"} if spec.volume_gib else {"workload": "stateless"}
        answer = self._ec2.run_instances(
            ImageId=self._world["images"]["x86_64"],
            InstanceType=self._market_choice.kind,  # type: ignore[arg-type]  # one of the market's
            MinCount=1,
            MaxCount=1,
            SubnetId=self._world["subnets"][self._market_choice.home],
            SecurityGroupIds=[self._world["security_group_id"]],
            KeyName=self._world["key_name"],
            UserData=json.dumps(user_data),
            BlockDeviceMappings=_data_volume(spec.volume_gib),  # type: ignore[arg-type]  # plain dicts
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": spec.name}]},
                {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": spec.name}]},
            ],
        )
        return answer["Instances"][0]["InstanceId"]

    def _running(self, instance_id: str) -> bool | None:
        try:
            answer = self._ec2.describe_instances(InstanceIds=[instance_id])
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidInstanceID.NotFound":
                return None  # EC2 may not know a new instance yet
            raise
        state = answer["Reservations"][0]["Instances"][0]["State"]["Name"]
        if state not in ("pending", "running"):
            raise WaitTimedOut(f"{instance_id} is {state} instead of running")
        return True if state == "running" else None

    def _elastic_address(self, spec: ServerSpec, instance_id: str) -> str:
        made = self._ec2.allocate_address(
            Domain="vpc",
            TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": [{"Key": "Name", "Value": spec.name}]}],
        )
        self._ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=instance_id)
        return made["PublicIp"]

    def _target_group(self, spec: ServerSpec, instance_id: str) -> str:
        """A network load balancer in front of the server; its address is where clients go."""
        port = int(self._world["service_port"])
        group = self._elb.create_target_group(
            Name=spec.name,
            Protocol="TCP",
            Port=port,
            VpcId=self._world["vpc_id"],
            HealthCheckProtocol="HTTP",
            HealthCheckPath="/health",
            TargetType="instance",
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(_DRAIN_S)}
        self._elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])  # type: ignore[list-item]
        balancer = self._elb.create_load_balancer(
            Name=spec.name, Type="network", Subnets=list(self._world["subnets"].values())
        )["LoadBalancers"][0]
        self._elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="TCP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        self._elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance_id, "Port": port}])
        until(f"{spec.name} is healthy behind its load balancer", _HEALTHY_S, lambda: self._healthy(group))
        return balancer["DNSName"]

    def _healthy(self, group: str) -> bool | None:
        found = self._elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return True if found and all(one["TargetHealth"]["State"] == "healthy" for one in found) else None


def _data_volume(gib: int) -> list[dict[str, Any]]:
    """The volume outlives its instance, as one with data should."""
    if not gib:
        return []
    return [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": gib, "VolumeType": "gp3", "DeleteOnTermination": False}}]
