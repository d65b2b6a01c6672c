"""Addresses, interfaces and load balancers of the lab: each is where it was put, and goes with its instance."""

from __future__ import annotations

import uuid
from typing import Any

from tests.integration.lab_ec2 import ZONE_A, Lab, ec2, lab, refused, wait_for

__all__ = ["ec2", "lab"]  # fixtures


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


# --- load balancers


def test_targets_are_judged_by_the_hosts_and_go_with_their_instance(lab: Lab, ec2: Any) -> None:
    elb = lab.client("elbv2")
    name = uuid.uuid4().hex[:12]
    subnets = list(lab.world["subnets"].values())
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
    assert balancer["DNSName"].startswith("127.20.201.")
    arn = elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=lab.world["vpc_id"])["TargetGroups"][0][
        "TargetGroupArn"
    ]
    with lab.clock.paused():
        instance_id = lab.launch()
        register = {"TargetGroupArn": arn, "Targets": [{"Id": instance_id}]}
        refused("InvalidTarget", elb.register_targets, **register)  # it is pending
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
