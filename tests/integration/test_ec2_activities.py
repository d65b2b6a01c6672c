"""The EC2 activities against the lab, which refuses what EC2 refuses and takes its time as EC2 does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from temporalio.exceptions import ApplicationError

from activities.ec2 import inspection, notice_queue
from activities.ec2.clients import Clients
from domain import ec2 as contract
from domain.blueprint import Blueprint, Target
from domain.blueprint_comparison import compare_blueprints, unexplained
from lab.stack.ports import Leases
from tests.integration.lab_cloud import REGION, TAGS, UNKNOWN, A, B, Cloud, clean, cloud, named_activities

__all__ = ["clean", "cloud"]  # fixtures


def test_every_activity_of_the_contract_is_there(cloud: Cloud) -> None:
    named = {value for name, value in vars(contract).items() if name.isupper() and str(value).startswith("ec2_")}
    assert set(cloud.activities) == named


# The whole of it: nothing is lost


def test_a_replacement_is_like_the_original_and_takes_over_its_state(cloud: Cloud) -> None:
    # Given: a protected server with a data volume, an Elastic IP, a secondary address and a target group
    old_id = cloud.original(DisableApiTermination=True)
    old_nic = cloud.confirmed(old_id).network_interface_id
    eip = cloud.ec2.allocate_address(Domain="vpc")
    cloud.ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=old_id)
    cloud.ec2.assign_private_ip_addresses(NetworkInterfaceId=old_nic, SecondaryPrivateIpAddressCount=1)
    cloud.run(contract.KEEP_VOLUMES, contract.VolumesInput(REGION, old_id, _data(cloud.blueprint(old_id))))
    old = cloud.blueprint(old_id)
    assert old.termination_protection
    assert old.secondary_private_ips
    assert old.user_data_base64
    assert not [v for v in old.data_volumes if v.delete_on_termination]

    # When: a replacement is launched, and all that moves is moved
    launched = cloud.run(contract.LAUNCH, cloud.launch_input(old))
    new_id, new_nic = launched.instance_id, cloud.confirmed(launched.instance_id).network_interface_id
    _move_volumes(cloud, old, old_id, new_id)
    move = contract.AddressesInput(REGION, new_id, new_nic, old.elastic_ips, old.secondary_private_ips, old.private_ip)
    cloud.run(contract.MOVE_ADDRESSES, move)
    cloud.run(contract.MOVE_ADDRESSES, move)
    cloud.run(contract.MATCH_ATTRIBUTES, contract.MatchAttributesInput(REGION, new_id, old))
    assert unexplained(compare_blueprints(old, cloud.blueprint(new_id), moved=True, protection_pending=True)) == []
    cloud.run(contract.MATCH_ATTRIBUTES, contract.MatchAttributesInput(REGION, new_id, old, protection=True))

    # Then: nothing differs without a reason, and the old one can go
    assert unexplained(compare_blueprints(old, cloud.blueprint(new_id), moved=True)) == []
    cloud.end(old_id)

    # And back on demand the protection is EC2's own again, though spot could not have it
    spot = cloud.blueprint(new_id)
    third_id = cloud.run(contract.LAUNCH, cloud.launch_input(spot, f"{A}/m5.large/on-demand")).instance_id
    cloud.confirmed(third_id)
    cloud.run(contract.MATCH_ATTRIBUTES, contract.MatchAttributesInput(REGION, third_id, spot, protection=True))
    answer = cloud.ec2.describe_instance_attribute(InstanceId=third_id, Attribute="disableApiTermination")
    assert answer["DisableApiTermination"]["Value"]
    cloud.end(new_id, third_id)
    cloud.run(contract.DELETE_VOLUMES, contract.IdsInput(REGION, _data(old)))
    cloud.ec2.release_address(AllocationId=eip["AllocationId"])


def _data(of: Blueprint) -> list[str]:
    return [volume.volume_id for volume in of.data_volumes]


def _move_volumes(cloud: Cloud, old: Blueprint, old_id: str, new_id: str) -> None:
    links = [contract.Attachment(v.volume_id, v.device) for v in old.data_volumes]
    leave, arrive = contract.AttachInput(REGION, old_id, links), contract.AttachInput(REGION, new_id, links)
    assert "Detach it there first" in cloud.fails("BadState", contract.ATTACH_VOLUMES, arrive)
    cloud.wait(contract.DETACH_VOLUMES, leave)
    cloud.run(contract.DETACH_VOLUMES, leave)
    cloud.wait(contract.ATTACH_VOLUMES, arrive)
    cloud.run(contract.ATTACH_VOLUMES, arrive)
    # Asked again about the old instance, they are gone from there and stay where they are.
    cloud.run(contract.DETACH_VOLUMES, leave)
    cloud.run(contract.ATTACH_VOLUMES, arrive)


def test_credits_follow_a_burstable_server(cloud: Cloud) -> None:
    old_id = cloud.original(InstanceType="t3.large", CreditSpecification={"CpuCredits": "standard"})
    old = cloud.blueprint(old_id)
    assert old.cpu_credits == "standard"
    new_id = cloud.run(contract.LAUNCH, cloud.launch_input(old, f"{A}/t3.large/spot")).instance_id
    cloud.confirmed(new_id)
    assert cloud.blueprint(new_id).cpu_credits == "standard"
    cloud.end(old_id, new_id)


# Launching


def test_a_launch_is_made_once_and_found_by_its_token(cloud: Cloud) -> None:
    given = cloud.launch_input(cloud.plain())
    assert cloud.run(contract.FIND_BY_TOKEN, contract.FindByTokenInput(REGION, given.token)).instance_id == ""
    first = cloud.run(contract.LAUNCH, given)
    assert first.calls[-1:] == ["RunInstances"]
    assert first.spot_request_id
    assert cloud.run(contract.LAUNCH, given).instance_id == first.instance_id
    cloud.confirmed(first.instance_id)
    assert (
        cloud.run(contract.FIND_BY_TOKEN, contract.FindByTokenInput(REGION, given.token)).instance_id
        == first.instance_id
    )
    cloud.fails("BadState", contract.LAUNCH, replace(given, pool=f"{A}/c5.large/spot"))
    cloud.end(first.instance_id)
    assert "next attempt" in cloud.fails("BadState", contract.LAUNCH, given)


def test_a_new_server_gets_data_volumes_that_outlive_it(cloud: Cloud) -> None:
    given = cloud.launch_input(cloud.plain(), data_volumes_gib=[5, 7])
    instance_id = cloud.run(contract.LAUNCH, given).instance_id
    cloud.confirmed(instance_id)
    found = cloud.blueprint(instance_id)
    assert [(v.device, v.size_gib, v.delete_on_termination) for v in found.data_volumes] == [
        ("/dev/sdf", 5, False),
        ("/dev/sdg", 7, False),
    ]
    assert found.root is not None
    look = contract.InstanceInput(REGION, instance_id)
    assert cloud.run(contract.VOLUMES_OF, look).ids == [found.root.volume_id]
    cloud.end(instance_id)
    cloud.run(contract.DELETE_VOLUMES, contract.IdsInput(REGION, _data(found)))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InsufficientInstanceCapacity", "NoCapacity"),
        ("UnfulfillableCapacity", "NoCapacity"),
        ("SpotMaxPriceTooLow", "NoCapacity"),
        ("Unsupported", "NoCapacity"),
        ("MaxSpotInstanceCountExceeded", "LimitReached"),
        ("VcpuLimitExceeded", "LimitReached"),
        ("RequestLimitExceeded", "Throttled"),
        ("InternalError", "Unavailable"),
        ("InvalidAMIID.NotFound", "Refused"),
    ],
)
def test_each_refusal_of_a_launch_has_its_kind_and_is_asked_once(clean: Cloud, code: str, kind: str) -> None:
    clean.post("/faults", action="RunInstances", kind="fail", code=code, message="in the lab")
    words = clean.fails(kind, contract.LAUNCH, clean.launch_input(clean.plain()))
    assert code in words
    assert "launching" in words
    found = httpx.get(f"{clean.url}/_lab/faults").json()["faults"]
    assert [fault["seen"] for fault in found if fault["code"] == code] == [1]


def test_a_launch_whose_answer_is_lost_is_not_made_twice(clean: Cloud) -> None:
    given = clean.launch_input(clean.plain())
    clean.post("/faults", action="RunInstances", kind="lose")
    clean.fails("Unavailable", contract.LAUNCH, given)
    made = clean.run(contract.LAUNCH, given, attempt=2)
    assert made.attempts == 2
    listed = clean.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [given.token]}])
    assert len([i for r in listed["Reservations"] for i in r["Instances"]]) <= 1
    clean.end(made.instance_id)


def test_a_failure_tells_which_calls_it_made(clean: Cloud) -> None:
    with pytest.raises(ApplicationError) as caught:
        clean.run(contract.CONFIRM_RUNNING, contract.InstanceInput(REGION, UNKNOWN), attempt=9)
    assert caught.value.type == "NotYet"
    assert caught.value.details[0] == {"calls": ["DescribeInstances"], "attempts": 9}


# Ending


def test_an_instance_that_nobody_knows_is_taken_for_gone_only_after_asking_again(cloud: Cloud) -> None:
    given = contract.TerminateInput(REGION, UNKNOWN)
    cloud.fails("NotYet", contract.TERMINATE, given)
    cloud.run(contract.TERMINATE, given, attempt=4)
    assert cloud.run(contract.CONFIRM_TERMINATED, contract.InstanceInput(REGION, UNKNOWN)).state == "terminated"
    cloud.fails("Gone", contract.INSPECT, contract.InspectInput(REGION, UNKNOWN))


@pytest.mark.parametrize("when", ["_targets", "_image"])
def test_an_instance_that_ends_while_it_is_looked_at_is_not_taken_for_one_that_never_had_any_targets(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Its rescue would leave behind what EC2 took off it meanwhile. As last seen, it had everything."""
    instance_id = cloud.original()
    whole: Callable[..., Any] = getattr(inspection, when)

    def too_late(*given: Any) -> Any:
        cloud.end(instance_id)
        return whole(*given)

    monkeypatch.setattr(inspection, when, too_late)
    cloud.fails("Gone", contract.INSPECT, contract.InspectInput(REGION, instance_id))


def test_a_persistent_spot_request_is_cancelled_before_its_instance_ends(cloud: Cloud) -> None:
    market = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}}
    instance_id = cloud.original(InstanceMarketOptions=market, InstanceInitiatedShutdownBehavior=None)
    found = cloud.blueprint(instance_id)
    assert found.spot_request_persistent
    done = cloud.run(contract.TERMINATE, contract.TerminateInput(REGION, instance_id))
    assert done.calls.index("CancelSpotInstanceRequests") < done.calls.index("TerminateInstances")
    cloud.run(contract.TERMINATE, contract.TerminateInput(REGION, instance_id, found.spot_request_id))
    gone = cloud.wait(contract.CONFIRM_TERMINATED, contract.InstanceInput(REGION, instance_id))
    assert gone.state == "terminated"
    requests = cloud.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[found.spot_request_id])
    assert requests["SpotInstanceRequests"][0]["State"] != "active"


# Copies


def test_snapshots_and_volumes_are_made_once_also_when_the_answer_is_lost(clean: Cloud) -> None:
    volume_id = clean.ec2.create_volume(AvailabilityZone=A, Size=3, VolumeType="gp3")["VolumeId"]
    clean.wait(contract.CONFIRM_VOLUMES, contract.IdsInput(REGION, [volume_id]))
    shot = contract.SnapshotInput(REGION, [volume_id], uuid.uuid4().hex, "test", TAGS)
    assert clean.run(contract.CREATE_SNAPSHOTS, replace(shot, find_only=True)).ids == []
    clean.post("/faults", action="CreateSnapshot", kind="lose")
    clean.fails("Unavailable", contract.CREATE_SNAPSHOTS, shot)
    snapshots = contract.IdsInput(REGION, clean.run(contract.CREATE_SNAPSHOTS, shot).ids)
    assert clean.run(contract.CREATE_SNAPSHOTS, replace(shot, find_only=True)).ids == snapshots.ids
    assert len(_snapshots_of(clean, volume_id)) == 1
    clean.wait(contract.CONFIRM_SNAPSHOTS, snapshots)

    copy = contract.VolumeCopy(snapshots.ids[0], "/dev/sdf", 5, "gp3", 3200, 150, tags={"team": "a"})
    wish = contract.CreateVolumesInput(REGION, B, [copy], uuid.uuid4().hex, TAGS)
    clean.post("/faults", action="CreateVolume", kind="lose")
    volumes = contract.IdsInput(REGION, clean.run(contract.CREATE_VOLUMES, wish).ids)
    assert clean.run(contract.CREATE_VOLUMES, wish).ids == volumes.ids
    assert clean.run(contract.CREATE_VOLUMES, replace(wish, find_only=True)).ids == volumes.ids
    clean.wait(contract.CONFIRM_VOLUMES, volumes)
    made = clean.ec2.describe_volumes(VolumeIds=volumes.ids)["Volumes"][0]
    assert (made["Size"], made["Iops"], made["Throughput"], made["AvailabilityZone"]) == (5, 3200, 150, B)
    assert {"Key": "team", "Value": "a"} in made["Tags"]

    for _ in range(2):
        clean.run(contract.DELETE_VOLUMES, contract.IdsInput(REGION, [*volumes.ids, volume_id]))
        clean.run(contract.DELETE_SNAPSHOTS, snapshots)


def _snapshots_of(cloud: Cloud, volume_id: str) -> list[Any]:
    answer = cloud.ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "volume-id", "Values": [volume_id]}])
    return list(answer["Snapshots"])


# Traffic


def test_targets_are_found_registered_and_drained(cloud: Cloud) -> None:
    elb: Any = cloud.clients.elbv2(REGION)
    group = elb.create_target_group(
        Name=f"t{uuid.uuid4().hex[:8]}", Protocol="HTTP", Port=8080, VpcId=cloud.world["vpc_id"]
    )
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    instance_id = cloud.original()
    targets = contract.TargetsInput(REGION, instance_id, "127.0.0.1", [Target(arn, instance_id, 8080)])
    cloud.run(contract.CONFIRM_DRAINED, targets)
    cloud.run(contract.REGISTER_TARGETS, targets)
    assert cloud.blueprint(instance_id).targets == targets.targets
    # No listener, so no health: it is waited for
    cloud.fails("NotYet", contract.CONFIRM_TARGETS, targets, attempt=9)
    for _ in range(2):
        cloud.run(contract.DEREGISTER_TARGETS, targets)
    cloud.wait(contract.CONFIRM_DRAINED, targets)
    assert cloud.blueprint(instance_id).targets == []
    # A group that is deleted in the meantime holds nobody up, but cannot be joined either
    elb.delete_target_group(TargetGroupArn=arn)
    cloud.run(contract.DEREGISTER_TARGETS, targets)
    cloud.run(contract.CONFIRM_DRAINED, targets)
    cloud.fails("Gone", contract.REGISTER_TARGETS, targets)
    cloud.end(instance_id)


# The rest


def test_tags_are_set_and_removed(cloud: Cloud) -> None:
    volume_id = cloud.ec2.create_volume(AvailabilityZone=A, Size=1, VolumeType="gp3")["VolumeId"]
    cloud.wait(contract.CONFIRM_VOLUMES, contract.IdsInput(REGION, [volume_id]))

    def tags() -> dict[str, str]:
        found = cloud.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0].get("Tags", [])
        return {tag["Key"]: tag["Value"] for tag in found}

    cloud.run(contract.TAG, contract.TagInput(REGION, [volume_id], TAGS))
    assert tags() == TAGS
    cloud.run(contract.TAG, contract.TagInput(REGION, [volume_id], TAGS, remove=True))
    assert tags() == {}
    cloud.run(contract.DELETE_VOLUMES, contract.IdsInput(REGION, [volume_id]))


def test_the_queue_gives_a_warning_until_it_is_deleted(cloud: Cloud) -> None:
    instance_id = cloud.original(InstanceMarketOptions={"MarketType": "spot"}, InstanceInitiatedShutdownBehavior=None)
    url = cloud.world["queue_url"]
    cloud.post(f"/instances/{instance_id}/rebalance", via=["sqs"])
    [(handle, body)] = notice_queue.receive(cloud.clients, url, 2, REGION)
    assert json.loads(body)["detail"]["instance-id"] == instance_id
    notice_queue.delete(cloud.clients, url, handle, REGION)
    assert notice_queue.receive(cloud.clients, url, 0, REGION) == []
    assert notice_queue.instance_tags(cloud.clients, REGION, instance_id)["Name"] == "orders"
    assert notice_queue.instance_tags(cloud.clients, REGION, UNKNOWN) == {}
    cloud.end(instance_id)


def test_an_endpoint_that_is_not_there_is_unavailable(
    cloud: Cloud, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{leases.port()}")
    lost = replace(cloud, activities=named_activities(Clients()))
    words = lost.fails("Unavailable", contract.FIND_BY_TOKEN, contract.FindByTokenInput(REGION, "t"))
    assert "cannot be reached" in words
