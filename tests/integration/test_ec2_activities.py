"""The EC2 activities against the lab, which refuses what EC2 refuses and takes its time as EC2 does."""

from __future__ import annotations

import json
import threading
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

from activities.ec2 import queue
from activities.ec2.clients import Clients
from activities.ec2.errors import Ec2Failure
from activities.ec2.registry import ec2_activities
from domain import ec2 as contract
from domain.blueprint import Blueprint, Target
from domain.comparison import compare, unexplained
from domain.names import ownership_tags
from domain.servers import ServerPolicy
from lab.__main__ import build
from lab.app import Server
from lab.contracts import FAST, LabSettings
from stack.ports import Leases

REGION, A, B = "us-east-1", "us-east-1a", "us-east-1b"
TAGS = ownership_tags("client-1", "srv-1", "op-1")
QUICK = replace(FAST, launch_s=0.6, boot_s=0.1, terminate_s=0.3, stop_s=0.3, snapshot_s=0.5)
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

    def original(self, **changed: Any) -> str:
        """An instance as its owner once launched it, with much that a replacement could lose."""
        asked: dict[str, Any] = {
            "ImageId": self.world["images"]["x86_64"],
            "InstanceType": "m5.large",
            "MinCount": 1,
            "MaxCount": 1,
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
        instance_id = str(made["Instances"][0]["InstanceId"])
        self.confirmed(instance_id)
        return instance_id

    def confirmed(self, instance_id: str) -> contract.Confirmed:
        found: contract.Confirmed = self.wait(contract.CONFIRM_RUNNING, contract.InstanceInput(REGION, instance_id))
        return found

    def blueprint(self, instance_id: str) -> Blueprint:
        found: contract.Inspected = self.run(contract.INSPECT, contract.InspectInput(REGION, instance_id))
        return found.blueprint

    def launch_input(self, old: Blueprint, pool: str = f"{A}/m6a.large/spot", **changed: Any) -> contract.LaunchInput:
        zone = pool.split("/")[0]
        given = contract.LaunchInput(REGION, old, pool, self.world["subnets"][zone], uuid.uuid4().hex, TAGS)
        return replace(given, **changed)

    def end(self, *instance_ids: str) -> None:
        for instance_id in instance_ids:
            self.run(contract.TERMINATE, contract.TerminateInput(REGION, instance_id))
        for instance_id in instance_ids:
            self.wait(contract.CONFIRM_TERMINATED, contract.InstanceInput(REGION, instance_id))


@pytest.fixture(scope="module")
def cloud(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("lab")
    settings = LabSettings(folder, leases.port(), leases.port(), 8080, profile=QUICK)
    app = build(settings, with_hosts=False)
    server = Server(app, settings.port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{settings.port}"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "none",
        }.items():
            environment.setenv(name, value)
        clients = Clients()
        clients.warm([REGION])
        named = {activity._Definition.must_from_callable(one).name or "": one for one in ec2_activities(clients)}
        yield Cloud(url, httpx.get(f"{url}/_lab/world").json(), clients, named)
    server.shutdown()
    app.world.clock.close()


@pytest.fixture
def clean(cloud: Cloud) -> Iterator[Cloud]:
    """The lab without faults, also after a test that failed."""
    yield cloud
    httpx.delete(f"{cloud.url}/_lab/faults")
    cloud.post("/permissions", deny=[])


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
    cloud.run(contract.MATCH_ATTRIBUTES, contract.MatchInput(REGION, new_id, old))
    assert unexplained(compare(old, cloud.blueprint(new_id), moved=True, protection_pending=True)) == []
    cloud.run(contract.MATCH_ATTRIBUTES, contract.MatchInput(REGION, new_id, old, protection=True))

    # Then: nothing differs without a reason, and the old one can go
    assert unexplained(compare(old, cloud.blueprint(new_id), moved=True)) == []
    cloud.end(old_id)

    # And back on demand the protection is EC2's own again, though spot could not have it
    spot = cloud.blueprint(new_id)
    third_id = cloud.run(contract.LAUNCH, cloud.launch_input(spot, f"{A}/m5.large/on-demand")).instance_id
    cloud.confirmed(third_id)
    cloud.run(contract.MATCH_ATTRIBUTES, contract.MatchInput(REGION, third_id, spot, protection=True))
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
    cloud.run(contract.DETACH_VOLUMES, leave)
    cloud.run(contract.DETACH_VOLUMES, leave)
    cloud.wait(contract.CONFIRM_DETACHED, leave)
    cloud.run(contract.ATTACH_VOLUMES, arrive)
    cloud.run(contract.ATTACH_VOLUMES, arrive)
    cloud.wait(contract.CONFIRM_ATTACHED, arrive)
    # Asked again about the old instance, they are gone from there and stay where they are.
    cloud.run(contract.DETACH_VOLUMES, leave)
    cloud.run(contract.CONFIRM_DETACHED, leave)
    cloud.run(contract.CONFIRM_ATTACHED, arrive)


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
    given = cloud.launch_input(_plain(cloud))
    assert cloud.run(contract.FIND_BY_TOKEN, contract.TokenInput(REGION, given.token)).instance_id == ""
    first = cloud.run(contract.LAUNCH, given)
    assert first.calls[-1:] == ["RunInstances"]
    assert first.spot_request_id
    assert cloud.run(contract.LAUNCH, given).instance_id == first.instance_id
    cloud.confirmed(first.instance_id)
    assert cloud.run(contract.FIND_BY_TOKEN, contract.TokenInput(REGION, given.token)).instance_id == first.instance_id
    cloud.fails("BadState", contract.LAUNCH, replace(given, pool=f"{A}/c5.large/spot"))
    cloud.end(first.instance_id)
    assert "next attempt" in cloud.fails("BadState", contract.LAUNCH, given)


def _plain(cloud: Cloud) -> Blueprint:
    """A new server's blueprint, which knows little more than its image."""
    return Blueprint(
        instance_id="", state="", region=REGION, account_id="", pool=f"{A}/m5.large/spot",
        image_id=cloud.world["images"]["x86_64"], architecture="", virtualization_type="",
        root_device_type="ebs", root_device_name="", vpc_id="", subnet_id=cloud.world["subnets"][A],
        zone=A, private_ip="", public_ip="", network_interface_id="",
        security_group_ids=[cloud.world["security_group_id"]],
    )  # fmt: skip


def test_a_new_server_gets_data_volumes_that_outlive_it(cloud: Cloud) -> None:
    given = cloud.launch_input(_plain(cloud), data_volumes_gib=[5, 7])
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
    words = clean.fails(kind, contract.LAUNCH, clean.launch_input(_plain(clean)))
    assert code in words
    assert "launching" in words
    found = httpx.get(f"{clean.url}/_lab/faults").json()["faults"]
    assert [fault["seen"] for fault in found if fault["code"] == code] == [1]


def test_a_launch_whose_answer_is_lost_is_not_made_twice(clean: Cloud) -> None:
    given = clean.launch_input(_plain(clean))
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
    cloud.end(instance_id)


# Deciding


def test_ranking_reads_the_market_and_ends_in_on_demand(cloud: Cloud) -> None:
    old = replace(_plain(cloud), pool=f"{A}/m5.large/on-demand")
    ranked = cloud.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy()))
    assert len(ranked.candidates) == 8
    assert ranked.on_demand_now == ranked.hourly_now == 0.096
    assert [c.pool.spot for c in ranked.candidates] == [True] * 6 + [False] * 2
    assert all(0 < c.usd_per_hour < 0.096 for c in ranked.candidates[:6])
    assert all(c.subnet_id == cloud.world["subnets"][c.pool.zone] for c in ranked.candidates)
    assert all(c.placement_score for c in ranked.candidates[:6])
    here = cloud.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), same_zone=A))
    assert {c.pool.zone for c in here.candidates} == {A}


@pytest.mark.parametrize("asked", ["x", f"{A}/m6g.large/spot", f"{A}/m5.nope/spot", "us-east-1z/m5.large/spot"])
def test_a_pool_that_cannot_be_is_refused(cloud: Cloud, asked: str) -> None:
    cloud.fails("Refused", contract.RANK_POOLS, contract.RankInput(REGION, _plain(cloud), ServerPolicy(), asked))


def test_the_ranking_does_without_scores_and_on_demand_prices(clean: Cloud) -> None:
    for action in ("GetSpotPlacementScores", "GetProducts", "DescribeInstanceTypeOfferings"):
        clean.post("/faults", action=action, kind="fail", code="InternalError", times=100)
    # Prices are remembered for hours: other activities have asked for none yet.
    fresh = {activity._Definition.must_from_callable(a).name or "": a for a in ec2_activities(clean.clients)}
    ranked = replace(clean, activities=fresh).run(
        contract.RANK_POOLS, contract.RankInput(REGION, _plain(clean), ServerPolicy(), same_zone=A)
    )
    assert ranked.candidates
    assert ranked.on_demand_now == 0


def test_the_check_names_what_is_denied_and_launches_nothing(clean: Cloud) -> None:
    instance_id = clean.original()
    old = clean.blueprint(instance_id)
    ranked = clean.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), same_zone=A))
    actions = ["TerminateInstances", "CreateTags", "DetachVolume", "AttachVolume", "CreateSnapshot", "CreateVolume",
               "DeleteVolume", "AssociateAddress", "AssignPrivateIpAddresses", "ModifyInstanceAttribute"]  # fmt: skip
    check = contract.CheckInput(REGION, old, ranked.candidates, actions)
    before = _instances(clean)
    allowed = clean.run(contract.CHECK_LAUNCH, check)
    assert (allowed.problems, allowed.missing_permissions, allowed.skip) == ([], [], {})
    clean.post("/permissions", deny=["ec2:RunInstances", "ec2:DetachVolume"])
    denied = clean.run(contract.CHECK_LAUNCH, check)
    assert denied.missing_permissions == ["ec2:DetachVolume", "ec2:RunInstances"]
    assert "iam-policy.json" in denied.problems[0]
    assert "ec2:RunInstances" in clean.fails("PermissionMissing", contract.LAUNCH, clean.launch_input(old))
    clean.post("/permissions", deny=[])
    assert _instances(clean) == before
    clean.end(instance_id)


def _instances(cloud: Cloud) -> dict[str, str]:
    found = httpx.get(f"{cloud.url}/_lab/truth").json()["instances"]
    return {instance["id"]: instance["state"] for instance in found}


def test_pools_without_quota_are_left_out(clean: Cloud) -> None:
    instance_id = clean.original()
    old = clean.blueprint(instance_id)
    ranked = clean.run(contract.RANK_POOLS, contract.RankInput(REGION, old, ServerPolicy(), limit=4))
    quotas = httpx.get(f"{clean.url}/_lab/quotas").json()
    clean.post("/quotas", spot=0)
    checked = clean.run(contract.CHECK_LAUNCH, contract.CheckInput(REGION, old, ranked.candidates))
    clean.post("/quotas", **{name: quotas[name] for name in ("spot", "on_demand")})
    assert set(checked.skip) == {str(c.pool) for c in ranked.candidates if c.pool.spot}
    clean.end(instance_id)


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
    cloud.post(f"/instances/{instance_id}/rebalance", via=["eventbridge"])
    [(handle, body)] = queue.receive(cloud.clients, url, 2, REGION)
    assert json.loads(body)["detail"]["instance-id"] == instance_id
    queue.delete(cloud.clients, url, handle, REGION)
    assert queue.receive(cloud.clients, url, 0, REGION) == []
    assert queue.instance_tags(cloud.clients, REGION, instance_id)["Name"] == "orders"
    with pytest.raises(Ec2Failure, match="does not exist"):
        queue.instance_tags(cloud.clients, REGION, UNKNOWN)
    cloud.end(instance_id)


def test_an_endpoint_that_is_not_there_is_unavailable(
    cloud: Cloud, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{leases.port()}")
    lost = {activity._Definition.must_from_callable(a).name or "": a for a in ec2_activities(Clients())}
    words = replace(cloud, activities=lost).fails(
        "Unavailable", contract.FIND_BY_TOKEN, contract.TokenInput(REGION, "t")
    )
    assert "cannot be reached" in words
