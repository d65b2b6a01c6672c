"""Instances of the lab begin and end as EC2's do, and what does not fit is refused."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from typing import Any

from tests.integration.lab_ec2 import QUICK, SPOT, ZONE_A, ZONE_B, Lab, ec2, lab, refused, wait_for

__all__ = ["ec2", "lab"]  # fixtures


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


def test_a_new_instance_is_unknown_for_a_moment_then_pending_then_running(lab: Lab, ec2: Any) -> None:
    with lab.clock.paused():
        lab.app.world.profile = replace(QUICK, describe_lag_s=3600.0)
        try:
            instance_id = lab.launch()
        finally:
            lab.app.world.profile = QUICK
        refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[instance_id])
        lab.app.world.instances[instance_id].visible_at = 0.0  # the moment is over
        found = lab.instance(instance_id)["State"]
        assert (found["Name"], found["Code"]) == ("pending", 0)
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


# --- ending


def test_termination_takes_time_and_repeats_safely(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running()
    with lab.clock.paused():
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
