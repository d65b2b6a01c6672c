"""The lab's EC2 refuses what EC2 refuses, and takes its time as EC2 does. Spoken to with boto3."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from lab.__main__ import build
from lab.app import App, Server
from lab.contracts import FAST, LabSettings
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
ZONE_A, ZONE_B = "us-east-1a", "us-east-1b"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Lab:
    app: App
    url: str
    world: dict[str, Any]
    http: httpx.Client
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, key: str = "tester") -> Any:
        if (service, key) not in self.clients:
            self.clients[(service, key)] = boto3.client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=key,
                aws_secret_access_key="none",
                config=ONCE,
            )
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


def wait_for(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.03)


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
    app = build(settings, with_hosts=False)
    server = Server(app, settings.port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{settings.port}"
    with httpx.Client(base_url=url) as http:
        yield Lab(app, url, http.get("/_lab/world").json(), http)
    server.shutdown()
    app.world.clock.close()


@pytest.fixture(scope="module")
def ec2(lab: Lab) -> Any:
    return lab.client("ec2")


# Launching


def test_a_launch_is_idempotent_by_its_token_even_after_the_instance_has_ended(lab: Lab, ec2: Any) -> None:
    asked: dict[str, Any] = {"ClientToken": uuid.uuid4().hex, "InstanceType": "c5.large"}
    first = lab.running(**asked)
    assert lab.launch(**asked) == first
    refused("IdempotentParameterMismatch", lab.launch, **{**asked, "InstanceType": "c5.xlarge"})
    refused("InvalidParameterValue", lab.launch, ClientToken="x" * 65)
    ec2.terminate_instances(InstanceIds=[first])
    lab.wait_state(first, "terminated")
    assert lab.launch(**asked) == first
    found = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [asked["ClientToken"]]}])
    assert [i["ClientToken"] for r in found["Reservations"] for i in r["Instances"]] == [asked["ClientToken"]]


def test_one_token_used_at_the_same_time_launches_once(lab: Lab) -> None:
    token, found = uuid.uuid4().hex, []
    threads = [threading.Thread(target=lambda: found.append(lab.launch(ClientToken=token))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


@pytest.fixture
def slow_launches(lab: Lab) -> Iterator[None]:
    lab.app.world.profile = replace(QUICK, describe_lag_s=1.0, launch_s=2.5)
    yield
    lab.app.world.profile = QUICK


@pytest.mark.usefixtures("slow_launches")
def test_a_new_instance_is_unknown_for_a_moment_then_pending_then_running(lab: Lab, ec2: Any) -> None:
    instance_id = lab.launch()
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[instance_id])
    assert lab.wait_state(instance_id, "pending")["State"]["Code"] == 0
    lab.wait_state(instance_id, "running")

    def status() -> str:
        rows = ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"]
        return str(rows[0]["InstanceStatus"]["Status"])

    wait_for(lambda: status() == "ok")


def test_a_pool_without_capacity_says_so(lab: Lab) -> None:
    lab.post(f"/pools/{ZONE_A}/c5a.large/on-demand/capacity", capacity=1)
    lab.launch(InstanceType="c5a.large")
    refused("InsufficientInstanceCapacity", lab.launch, InstanceType="c5a.large")
    lab.launch(InstanceType="c5a.large", **SPOT)
    lab.launch(InstanceType="c5a.large", SubnetId=lab.world["subnets"][ZONE_B])
    lab.post(f"/pools/{ZONE_A}/c5a.large/on-demand/capacity", capacity=None)
    lab.launch(InstanceType="c5a.large")


def test_quotas_are_told_and_enforced(lab: Lab) -> None:
    quotas = lab.client("service-quotas")
    lab.post("/quotas", spot=1, on_demand=1)
    try:
        assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-34B43A08")["Quota"]["Value"] == 1
        refused("MaxSpotInstanceCountExceeded", lab.launch, **SPOT)
        refused("VcpuLimitExceeded", lab.launch)
    finally:
        lab.post("/quotas", spot=100000, on_demand=100000)


def test_what_does_not_fit_together_is_refused(lab: Lab) -> None:
    refused("InvalidParameterValue", lab.launch, Placement={"AvailabilityZone": ZONE_B})
    refused("InvalidParameterValue", lab.launch, InstanceType="m99.large")
    refused("InvalidParameterValue", lab.launch, InstanceType="m6g.large")
    refused("InvalidAMIID.NotFound", lab.launch, ImageId="ami-00000000000000000")
    refused(
        "SpotMaxPriceTooLow",
        lab.launch,
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.0001"}},
    )
    lab.launch(InstanceType="m6g.large", ImageId=lab.world["images"]["arm64"])


def test_every_attribute_of_a_launch_is_kept(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running(
        InstanceType="t3.large",
        UserData="#!/bin/sh\necho hello",
        CreditSpecification={"CpuCredits": "standard"},
        InstanceInitiatedShutdownBehavior="terminate",
        DisableApiStop=True,
        EbsOptimized=True,
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        IamInstanceProfile={"Arn": lab.world["instance_profile_arn"]},
        KeyName="lab",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9, "VolumeType": "gp3", "Throughput": 300, "Iops": 4000}}
        ],
        TagSpecifications=[
            {"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]}
            for kind in ("instance", "volume", "network-interface")
        ],
    )
    shown = lab.instance(instance_id)
    assert shown["MetadataOptions"]["HttpTokens"] == "required"
    assert shown["IamInstanceProfile"]["Arn"] == lab.world["instance_profile_arn"]
    assert shown["Tags"] == [{"Key": "of", "Value": "instance"}]
    assert shown["NetworkInterfaces"][0]["PrivateIpAddress"].startswith("127.20.")
    attribute = ec2.describe_instance_attribute
    assert "UserData" in attribute(InstanceId=instance_id, Attribute="userData")
    behaviour = attribute(InstanceId=instance_id, Attribute="instanceInitiatedShutdownBehavior")
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert attribute(InstanceId=instance_id, Attribute="disableApiStop")["DisableApiStop"]["Value"] is True
    credits = ec2.describe_instance_credit_specifications(InstanceIds=[instance_id])
    assert credits["InstanceCreditSpecifications"][0]["CpuCredits"] == "standard"
    volumes = ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}, {"Name": "tag:of", "Values": ["vol*"]}]
    )["Volumes"]
    assert sorted((v["Attachments"][0]["Device"], v["Size"]) for v in volumes) == [("/dev/sdf", 9), ("/dev/xvda", 8)]
    data = next(v for v in volumes if v["Size"] == 9)
    assert (data["Throughput"], data["Iops"]) == (300, 4000)


# Ending


def test_termination_takes_time_and_repeats_safely(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running()
    for _ in range(2):
        change = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
        assert change["CurrentState"]["Name"] == "shutting-down"
    ended = lab.wait_state(instance_id, "terminated")
    assert ended["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert ended["NetworkInterfaces"] == []


def test_termination_protection_holds_until_it_is_lifted(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running(DisableApiTermination=True)
    refused("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[instance_id])
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_type_changes_only_while_stopped_and_never_for_spot(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running()
    change = {"InstanceId": instance_id, "InstanceType": {"Value": "m5.xlarge"}}
    refused("IncorrectInstanceState", ec2.modify_instance_attribute, **change)
    ec2.stop_instances(InstanceIds=[instance_id])
    lab.wait_state(instance_id, "stopped")
    ec2.modify_instance_attribute(**change)
    ec2.start_instances(InstanceIds=[instance_id])
    assert lab.wait_state(instance_id, "running")["InstanceType"] == "m5.xlarge"
    spot = lab.running(**SPOT)
    refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=[spot])


# Spot


def request(ec2: Any, request_id: str) -> dict[str, Any]:
    found = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request_id])
    return dict(found["SpotInstanceRequests"][0])


def test_a_one_time_request_lives_and_closes_with_its_instance(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running(**SPOT)
    shown = lab.instance(instance_id)
    assert shown["InstanceLifecycle"] == "spot"
    found = request(ec2, shown["SpotInstanceRequestId"])
    assert (found["State"], found["Status"]["Code"], found["InstanceId"]) == ("active", "fulfilled", instance_id)
    ec2.terminate_instances(InstanceIds=[instance_id])
    lab.wait_state(instance_id, "terminated")
    assert request(ec2, shown["SpotInstanceRequestId"])["State"] == "closed"


def test_a_persistent_request_launches_again_until_it_is_cancelled(lab: Lab, ec2: Any) -> None:
    first = lab.running(InstanceType="c6i.large", **PERSISTENT)
    request_id = lab.instance(first)["SpotInstanceRequestId"]
    ec2.terminate_instances(InstanceIds=[first])
    wait_for(lambda: request(ec2, request_id).get("InstanceId") not in (None, first), 12)
    second = str(request(ec2, request_id)["InstanceId"])
    lab.wait_state(second, "running")
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
    ec2.terminate_instances(InstanceIds=[second])
    lab.wait_state(second, "terminated")
    assert request(ec2, request_id)["State"] == "cancelled"


def test_an_interruption_is_noticed_in_both_ways_and_then_carried_out(lab: Lab) -> None:
    instance_id = lab.running(**SPOT)
    queue, url = lab.client("sqs"), lab.world["queue_url"]
    lab.post(f"/instances/{instance_id}/interrupt", notice_seconds=1)
    received = queue.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]
    event = json.loads(received["Body"])
    assert event["detail-type"] == "EC2 Spot Instance Interruption Warning"
    assert event["detail"] == {"instance-id": instance_id, "instance-action": "terminate"}
    queue.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
    assert lab.get("/truth")["hosts"]["notices"][instance_id] == "terminate"
    assert lab.wait_state(instance_id, "terminated")["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_long_poll_ends_as_soon_as_a_notice_comes(lab: Lab) -> None:
    instance_id = lab.running(**SPOT)
    queue, url = lab.client("sqs"), lab.world["queue_url"]
    threading.Timer(0.5, lambda: lab.post(f"/instances/{instance_id}/rebalance", via=["sqs"])).start()
    started = time.monotonic()
    received = queue.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
    assert time.monotonic() - started < 15
    assert json.loads(received["Body"])["detail-type"] == "EC2 Instance Rebalance Recommendation"
    queue.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])


# Storage


def test_a_volume_attaches_once_in_its_zone_and_comes_back(lab: Lab, ec2: Any) -> None:
    one, other = lab.running(), lab.running()
    here, elsewhere = lab.volume(), lab.volume(ZONE_B)
    place = {"InstanceId": one, "Device": "/dev/sdf"}
    refused("InvalidVolume.ZoneMismatch", ec2.attach_volume, VolumeId=elsewhere, **place)
    assert ec2.attach_volume(VolumeId=here, **place)["State"] == "attaching"
    refused("VolumeInUse", ec2.attach_volume, VolumeId=here, InstanceId=other, Device="/dev/sdf")
    refused("InvalidParameterValue", ec2.attach_volume, VolumeId=lab.volume(), **place)
    refused("VolumeInUse", ec2.delete_volume, VolumeId=here)
    wait_for(lambda: attachment(ec2, here).get("State") == "attached")
    ec2.terminate_instances(InstanceIds=[one])
    wait_for(lambda: lab.volume_state(here) == "available")
    ec2.delete_volume(VolumeId=here)
    refused("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[here])


def attachment(ec2: Any, volume_id: str) -> dict[str, Any]:
    found = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Attachments"]
    return dict(found[0]) if found else {}


def test_a_mounted_volume_stays_detaching_until_it_is_unmounted(lab: Lab, ec2: Any) -> None:
    instance_id, volume_id = lab.running(), lab.volume()
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")
    wait_for(lambda: attachment(ec2, volume_id).get("State") == "attached")
    busy: set[str] = lab.app.world.hosts.busy  # type: ignore[attr-defined]
    busy.add(volume_id)
    ec2.detach_volume(VolumeId=volume_id)
    tried = time.monotonic() + QUICK.detach_s * 3
    wait_for(lambda: time.monotonic() > tried)
    assert attachment(ec2, volume_id)["State"] == "detaching"
    busy.discard(volume_id)
    wait_for(lambda: lab.volume_state(volume_id) == "available")


def test_the_root_of_a_running_instance_does_not_detach(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running()
    root = lab.instance(instance_id)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    refused("OperationNotPermitted", ec2.detach_volume, VolumeId=root)
    ec2.modify_instance_attribute(
        InstanceId=instance_id,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}],
    )
    ec2.terminate_instances(InstanceIds=[instance_id])
    wait_for(lambda: lab.volume_state(root) == "available")


def test_a_snapshot_completes_later_and_makes_a_volume_in_another_zone(lab: Lab, ec2: Any) -> None:
    made = ec2.create_snapshot(VolumeId=lab.volume())
    assert made["State"] == "pending"
    asked = {"AvailabilityZone": ZONE_B, "SnapshotId": made["SnapshotId"], "ClientToken": uuid.uuid4().hex}
    refused("IncorrectState", ec2.create_volume, **asked)
    ec2.get_waiter("snapshot_completed").wait(
        SnapshotIds=[made["SnapshotId"]], WaiterConfig={"Delay": 0.1, "MaxAttempts": 50}
    )
    volume_id = ec2.create_volume(**asked)["VolumeId"]
    assert ec2.create_volume(**asked)["VolumeId"] == volume_id
    wait_for(lambda: lab.volume_state(volume_id) == "available")


def test_an_image_of_an_instance_is_pending_then_launches(lab: Lab, ec2: Any) -> None:
    name = f"of-{uuid.uuid4().hex}"
    asked = {"InstanceId": lab.running(), "Name": name, "NoReboot": True}
    image_id = ec2.create_image(**asked)["ImageId"]
    refused("InvalidAMIName.Duplicate", ec2.create_image, **asked)
    refused("InvalidAMIID.Unavailable", lab.launch, ImageId=image_id)
    wait_for(lambda: ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"] == "available")
    lab.running(ImageId=image_id)


# Addresses


def pointed(lab: Lab, ip: str) -> Any:
    return lab.get("/truth")["hosts"]["addresses"].get(ip)


def test_an_elastic_ip_moves_only_when_allowed_and_is_free_at_the_end(lab: Lab, ec2: Any) -> None:
    one, other = lab.running(), lab.running()
    made = ec2.allocate_address(Domain="vpc")
    allocation, ip = made["AllocationId"], made["PublicIp"]
    assert ip.startswith("127.20.200.")
    ec2.associate_address(AllocationId=allocation, InstanceId=one)
    wait_for(lambda: pointed(lab, ip) == one)
    refused(
        "Resource.AlreadyAssociated",
        ec2.associate_address,
        AllocationId=allocation,
        InstanceId=other,
        AllowReassociation=False,
    )
    ec2.associate_address(AllocationId=allocation, InstanceId=other, AllowReassociation=True)
    wait_for(lambda: pointed(lab, ip) == other)
    assert "PublicIpAddress" not in lab.instance(one)
    refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=allocation)
    ec2.terminate_instances(InstanceIds=[other])
    lab.wait_state(other, "terminated")
    assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]
    assert pointed(lab, ip) is None
    ec2.release_address(AllocationId=allocation)


def test_a_secondary_address_leaves_the_interface_it_was_on(lab: Lab, ec2: Any) -> None:
    one, other = lab.running(), lab.running()
    from_here, to_there = (lab.instance(i)["NetworkInterfaces"][0]["NetworkInterfaceId"] for i in (one, other))
    made = ec2.assign_private_ip_addresses(NetworkInterfaceId=from_here, SecondaryPrivateIpAddressCount=1)
    ip = made["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    wait_for(lambda: pointed(lab, ip) == one)
    move = {"NetworkInterfaceId": to_there, "PrivateIpAddresses": [ip]}
    refused("InvalidParameterValue", ec2.assign_private_ip_addresses, **move)
    ec2.assign_private_ip_addresses(AllowReassignment=True, **move)
    wait_for(lambda: pointed(lab, ip) == other)
    shown = lab.instance(one)["NetworkInterfaces"][0]["PrivateIpAddresses"]
    assert ip not in [row["PrivateIpAddress"] for row in shown]


def test_an_interface_is_on_one_instance_and_a_primary_one_never_detaches(lab: Lab, ec2: Any) -> None:
    one, other = lab.running(), lab.running()
    subnet = lab.world["subnets"][ZONE_A]
    made = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    held = ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId=one, DeviceIndex=1)["AttachmentId"]
    again = {"NetworkInterfaceId": made, "InstanceId": other, "DeviceIndex": 1}
    refused("InvalidNetworkInterface.InUse", ec2.attach_network_interface, **again)
    primary = lab.instance(one)["NetworkInterfaces"][0]["Attachment"]["AttachmentId"]
    refused("OperationNotPermitted", ec2.detach_network_interface, AttachmentId=primary)
    ec2.detach_network_interface(AttachmentId=held)

    def status() -> str:
        found = ec2.describe_network_interfaces(NetworkInterfaceIds=[made])["NetworkInterfaces"]
        return str(found[0]["Status"])

    wait_for(lambda: status() == "available")
    ec2.attach_network_interface(**again)
    ec2.terminate_instances(InstanceIds=[other])
    lab.wait_state(other, "terminated")
    assert status() == "available"


# Load balancers


def test_targets_are_judged_by_the_hosts_and_go_with_their_instance(lab: Lab, ec2: Any) -> None:
    elb = lab.client("elbv2")
    name = uuid.uuid4().hex[:12]
    subnets = list(lab.world["subnets"].values())
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
    assert balancer["DNSName"].startswith("127.20.201.")
    arn = elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=lab.world["vpc_id"])["TargetGroups"][0][
        "TargetGroupArn"
    ]
    instance_id = lab.launch()  # last: it is asked for while it is pending
    register = {"TargetGroupArn": arn, "Targets": [{"Id": instance_id}]}
    refused("InvalidTarget", elb.register_targets, **register)
    lab.wait_state(instance_id, "running")
    elb.register_targets(**register)
    assert health(elb, arn) == {instance_id: "unused"}
    action = {"Type": "forward", "TargetGroupArn": arn}
    elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action])
    assert health(elb, arn) == {instance_id: "healthy"}
    assert lab.get("/truth")["hosts"]["listeners"][arn] == f"{balancer['DNSName']}:80"
    shown = elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]
    assert shown["DNSName"] == balancer["DNSName"]
    elb.modify_target_group_attributes(
        TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
    )
    elb.deregister_targets(**register)
    elb.deregister_targets(**register)
    assert health(elb, arn) == {}
    elb.register_targets(**register)
    ec2.terminate_instances(InstanceIds=[instance_id])
    lab.wait_state(instance_id, "terminated")
    wait_for(lambda: health(elb, arn) == {})


def health(elb: Any, arn: str) -> dict[str, str]:
    rows = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {row["Target"]["Id"]: row["TargetHealth"]["State"] for row in rows}


# Market


def test_price_history_comes_in_pages_newest_first(lab: Lab, ec2: Any) -> None:
    asked = {"InstanceTypes": ["m5.large", "c5.large"], "ProductDescriptions": ["Linux/UNIX"]}
    paged: list[dict[str, Any]] = []
    for page in ec2.get_paginator("describe_spot_price_history").paginate(**asked, PaginationConfig={"PageSize": 7}):
        assert len(page["SpotPriceHistory"]) <= 7
        paged.extend(page["SpotPriceHistory"])
    whole = ec2.describe_spot_price_history(**asked, MaxResults=1000)["SpotPriceHistory"]
    assert paged[: len(whole)] == whole
    stamps = [row["Timestamp"] for row in paged]
    assert stamps == sorted(stamps, reverse=True)
    assert {row["AvailabilityZone"] for row in paged} == set(lab.world["zones"])


def test_from_now_on_the_history_is_the_current_price_of_each_pool(lab: Lab, ec2: Any) -> None:
    lab.post(f"/pools/{ZONE_A}/r5.large/spot/price", price=0.0777)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    found = ec2.describe_spot_price_history(InstanceTypes=["r5.large"], StartTime=now)["SpotPriceHistory"]
    assert len(found) == len(lab.world["zones"])
    assert {row["AvailabilityZone"]: row["SpotPrice"] for row in found}[ZONE_A] == "0.077700"


def test_on_demand_prices_have_the_shape_of_the_price_list(lab: Lab) -> None:
    wanted = {"instanceType": "m5.large", "regionCode": "us-east-1", "operatingSystem": "Linux", "tenancy": "Shared"}
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    (product,) = lab.client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    offer = next(iter(json.loads(product)["terms"]["OnDemand"].values()))
    assert float(next(iter(offer["priceDimensions"].values()))["pricePerUnit"]["USD"]) == 0.096


def test_scores_and_offerings_are_answered(ec2: Any) -> None:
    scores = ec2.get_spot_placement_scores(
        InstanceTypes=["m5.large", "c5.large", "r5.large"], TargetCapacity=1, SingleAvailabilityZone=True
    )["SpotPlacementScores"]
    zones = {z["ZoneId"] for z in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert {row["AvailabilityZoneId"] for row in scores} == zones
    assert all(1 <= row["Score"] <= 10 for row in scores)
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["m5.large"]}]
    )
    assert {row["Location"] for row in offered["InstanceTypeOfferings"]} == {ZONE_A, ZONE_B, "us-east-1c"}
    facts = ec2.describe_instance_types(InstanceTypes=["m6g.large"])["InstanceTypes"][0]
    assert facts["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]


# Trouble


@pytest.fixture
def faults(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.http.delete("/_lab/faults")
    lab.post("/throttle", rate=None)


def test_a_lost_answer_has_still_done_its_work(faults: Lab, ec2: Any) -> None:
    token = uuid.uuid4().hex
    faults.post("/faults", action="RunInstances", kind="lose", match={"ClientToken": token})
    with pytest.raises(ConnectionClosedError):
        faults.launch(ClientToken=token)
    again = faults.launch(ClientToken=token)
    made = [i for i in faults.get("/truth")["instances"] if i["client_token"] == token]
    assert [i["id"] for i in made] == [again]


def test_the_nth_call_fails_without_being_done(faults: Lab) -> None:
    faults.post(
        "/faults", action="RunInstances", kind="fail", nth=2, code="Unsupported", match={"InstanceType": "c5.*"}
    )
    faults.launch(InstanceType="c5.large")
    faults.launch(InstanceType="m5.large")
    refused("Unsupported", faults.launch, InstanceType="c5.large")
    faults.launch(InstanceType="c5.large")


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_held_call_waits_and_is_never_answered(faults: Lab, ec2: Any, when: str, made: int) -> None:
    token = uuid.uuid4().hex
    faults.post("/faults", action="RunInstances", kind="hold", when=when, match={"ClientToken": token})
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(faults.launch, ClientToken=token)
        until("it is held", 5.0, lambda: True if faults.get("/faults")["faults"][0]["held"] else None)
        assert not call.done()
        assert len([i for i in faults.get("/truth")["instances"] if i["client_token"] == token]) == made
        faults.http.delete("/_lab/faults")
        with pytest.raises(ConnectionClosedError):
            call.result(timeout=5)
    assert len([i for i in faults.get("/truth")["instances"] if i["client_token"] == token]) == made


def test_calls_are_throttled_when_asked(faults: Lab, ec2: Any) -> None:
    faults.post("/throttle", rate=0.01, burst=2)
    ec2.describe_volumes()
    ec2.describe_volumes()
    refused("RequestLimitExceeded", ec2.describe_volumes)


def test_a_missing_permission_is_told_for_a_dry_run_too(lab: Lab, ec2: Any) -> None:
    asked = {"ImageId": lab.world["images"]["x86_64"], "MinCount": 1, "MaxCount": 1, "DryRun": True}
    refused("DryRunOperation", ec2.run_instances, **asked)
    lab.post("/permissions", deny=["ec2:RunInstances"], access_key="poor")
    poor = lab.client("ec2", "poor")
    assert "ec2:RunInstances" in refused("UnauthorizedOperation", poor.run_instances, **asked)
    refused("DryRunOperation", poor.terminate_instances, InstanceIds=["i-1"], DryRun=True)
    refused("DryRunOperation", ec2.run_instances, **asked)


def test_every_call_is_listed_without_the_content_of_user_data(lab: Lab) -> None:
    since = lab.get("/calls")["calls"][-1]["seq"]
    lab.launch(UserData="secret")
    (entry,) = lab.get(f"/calls?since={since}")["calls"]
    assert (entry["service"], entry["action"], entry["status"]) == ("ec2", "RunInstances", 200)
    assert "Boto3" in entry["user_agent"]
    assert entry["params"]["UserData"].startswith("<")


def test_dead_hardware_ends_the_instance_without_a_notice(lab: Lab) -> None:
    instance_id = lab.running()
    assert lab.http.post(f"/_lab/instances/{instance_id}/interrupt", json={}).status_code == 409
    lab.post(f"/instances/{instance_id}/kill")
    assert lab.wait_state(instance_id, "terminated")["StateReason"]["Code"] == "Server.InternalError"


# The process


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    port = str(free_port())
    command = [sys.executable, "-m", "lab", "--no-hosts", "--port", port, "--state-dir", str(folder), *more]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=root, env=environment)


def test_the_process_says_ready_and_ends_when_told(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["message"].startswith("ready:")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_the_process_refuses_a_malformed_price_file(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("instance_type,az,timestamp,price_usd_h\nm5.large,us-east-1a,2021-03-02,-1\n")
    process = start(tmp_path, "--prices", str(prices))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"{prices}, line 2: bad price '-1': negative" in errors
