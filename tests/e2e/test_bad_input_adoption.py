"""An adoption that would lose something, and AWS permissions that are missing: refused before anything is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import POLICY, Site
from proof.harness.waiting import until
from tests.e2e.refused_requests import assert_refused, nothing_changes

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import InstanceStateNameType

LAUNCH_S = 90.0
KEPT = {"VolumeSize": 8, "DeleteOnTermination": False}
DYING = {"VolumeSize": 8, "DeleteOnTermination": True}


@pytest.fixture(scope="module")
def site(calm_site: Site) -> Site:
    return calm_site


@pytest.fixture(scope="module")
def adopted(site: Site) -> AdoptedServer:
    (server,) = site.adopt_servers(ServerSpec("ledger", "volumes", 8))
    return server


def launched(site: Site, *, data: dict[str, Any] | None = None, **how: Any) -> str:
    """A running instance of the owner."""
    place = {"SubnetId": site.world["subnets"][site.market_choice.home]}
    devices = [{"DeviceName": "/dev/sdf", "Ebs": data}] if data else []
    kind: dict[str, Any] = {"ImageId": site.world["images"]["x86_64"], "InstanceType": site.market_choice.kind}
    user_data = json.dumps({"workload": "volume", "mount": "/data"} if data else {"workload": "stateless"})
    given = {**kind, **place, "BlockDeviceMappings": devices, "UserData": user_data, **how}
    if "NetworkInterfaces" in how:
        given.pop("SubnetId")
    made = site.ec2.run_instances(MinCount=1, MaxCount=1, **given)["Instances"][0]["InstanceId"]
    await_state(site, made, "running")
    return made


def await_state(site: Site, instance_id: str, state: InstanceStateNameType) -> None:
    def look() -> bool | None:
        filters = [{"Name": "instance-id", "Values": [instance_id]}, {"Name": "instance-state-name", "Values": [state]}]
        return True if site.ec2.describe_instances(Filters=filters)["Reservations"] else None  # type: ignore[arg-type]

    until(f"{instance_id} is {state}", LAUNCH_S, look)


@contextmanager
def own(site: Site, **how: Any) -> Iterator[str]:
    """An instance for one test; its volumes end with it."""
    instance_id = launched(site, **how)
    filters = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    volumes = [one["VolumeId"] for one in site.ec2.describe_volumes(Filters=filters)["Volumes"]]  # type: ignore[arg-type]
    try:
        yield instance_id
    finally:
        site.ec2.terminate_instances(InstanceIds=[instance_id])
        await_state(site, instance_id, "terminated")
        left = site.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": volumes}])["Volumes"]
        for volume in left:
            site.ec2.delete_volume(VolumeId=volume["VolumeId"])


def adopt(site: Site, instance_id: str, handoff: str, **more: Any) -> httpx.Response:
    policy = {**POLICY, "handoff": handoff, **more.pop("policy", {})}
    body = {"name": "new", "region": site.stack.region, "instance_id": instance_id, "policy": policy, **more}
    # These tests are not about reachability.
    return site.http.post("/api/servers", json={"accept": ["no_address_moves"], **body})


def blocking(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found["code"]: found for found in document["findings"] if found["blocking"]}


# --- what cannot be adopted


def test_an_instance_that_never_was_is_not_found(site: Site) -> None:
    with nothing_changes(site):
        document = assert_refused(adopt(site, "i-0123456789abcdef0", "stateless"), 404, "instance-not-found")
    assert "i-0123456789abcdef0" in document["detail"]


def test_an_instance_in_another_region_is_not_found(site: Site, adopted: AdoptedServer) -> None:
    with nothing_changes(site):
        answer = adopt(site, "i-0123456789abcdef0", "stateless", region="eu-central-1")
    assert_refused(answer, 404, "instance-not-found")


def test_an_instance_that_is_gone_is_refused(site: Site) -> None:
    with own(site) as instance_id:
        site.ec2.terminate_instances(InstanceIds=[instance_id])
        await_state(site, instance_id, "terminated")
        with nothing_changes(site):
            document = assert_refused(adopt(site, instance_id, "stateless"), 404, "instance-not-found")
    assert f"{instance_id} is terminated" in document["detail"]


def test_an_instance_that_does_not_run_is_refused(site: Site) -> None:
    with own(site) as instance_id:
        site.ec2.stop_instances(InstanceIds=[instance_id])
        await_state(site, instance_id, "stopped")
        with nothing_changes(site):
            document = assert_refused(adopt(site, instance_id, "stateless"), 422, "adoption-refused")
    assert f"aws ec2 start-instances --instance-ids {instance_id}" in blocking(document)["not_running"]["mend"]


def test_an_instance_that_is_adopted_already_is_refused(site: Site, adopted: AdoptedServer) -> None:
    with nothing_changes(site):
        document = assert_refused(adopt(site, adopted.first_instance_id, "volumes"), 409, "already-adopted")
    assert adopted.id in document["detail"]


def test_a_name_that_is_taken_is_refused(site: Site, adopted: AdoptedServer) -> None:
    with own(site) as instance_id, nothing_changes(site):
        assert_refused(adopt(site, instance_id, "stateless", name=adopted.name), 409, "name-taken")


def test_a_root_that_ends_with_the_instance_is_refused(site: Site) -> None:
    # An old type: newer ones start from EBS only.
    old = {"ImageId": site.world["instance_store_image"], "InstanceType": "c3.large"}
    with own(site, **old) as instance_id, nothing_changes(site):
        document = assert_refused(adopt(site, instance_id, "stateless"), 422, "adoption-refused")
    assert "EBS-backed" in blocking(document)["root_is_instance_store"]["mend"]


def test_a_primary_address_that_must_stay_is_refused(site: Site) -> None:
    interface = {
        "DeviceIndex": 0,
        "SubnetId": site.world["subnets"][site.market_choice.home],
        "DeleteOnTermination": False,
    }
    with own(site) as plain, own(site, NetworkInterfaces=[interface]) as kept, nothing_changes(site):
        by_policy = adopt(site, plain, "stateless", policy={"service_address": "primary"})
        by_interface = adopt(site, kept, "stateless")
    for answer in (by_policy, by_interface):
        found = blocking(assert_refused(answer, 422, "adoption-refused"))["primary_address_must_stay"]
        assert "assign-private-ip-addresses" in found["mend"]


@pytest.mark.parametrize(
    ("handoff", "data", "code"),
    [
        ("stateless", KEPT, "volumes_would_stay"),
        ("volumes", None, "no_data_volume"),
        ("snapshot", None, "no_data_volume"),
    ],
)
def test_a_handoff_that_would_lose_something_is_refused(
    site: Site, handoff: str, data: dict[str, Any] | None, code: str
) -> None:
    with own(site, data=data) as instance_id, nothing_changes(site):
        document = assert_refused(adopt(site, instance_id, handoff), 422, "adoption-refused")
    assert "handoff" in blocking(document)[code]["mend"]


def test_a_volume_that_dies_with_the_instance_is_refused_and_mended_when_asked(site: Site) -> None:
    with own(site, data=DYING) as instance_id:
        with nothing_changes(site):
            document = assert_refused(adopt(site, instance_id, "volumes"), 422, "adoption-refused")
            looked = adopt(site, instance_id, "volumes", mend=True, dry_run=True)
        mend = blocking(document)["volume_dies_with_instance"]["mend"]
        assert f"aws ec2 modify-instance-attribute --instance-id {instance_id}" in mend
        assert '"mend": true' in mend
        assert looked.status_code == 200, looked.text
        assert "volume_dies_with_instance" not in blocking(looked.json())

        made = adopt(site, instance_id, "volumes", mend=True)
        try:
            assert made.status_code == 201, made.text
            data = [row for row in site.truth()["volumes"] if row["attached_to"] == instance_id and not row["root"]]
            assert [row["delete_on_termination"] for row in data] == [False]
        finally:
            released = site.http.delete(f"/api/servers/{made.json()['server_id']}")
        site.requested_operations.add(released.json()["operation_id"])
        assert site.end_of(released.json()["operation_id"]).outcome == "committed"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instance_id": "orders"}, "body.instance_id"),
        ({"instance_id": None}, "body"),
        ({"region": "moon"}, "body.region"),
        ({"name": ""}, "body.name"),
        ({"launch": {"image_id": "ami-1", "pool": "us-east-1a/m5.large/spot"}}, "body"),
    ],
)
def test_an_adoption_with_bad_values_names_the_field(site: Site, change: dict[str, Any], field: str) -> None:
    body = {"name": "new", "region": site.stack.region, "instance_id": "i-0123456789abcdef0", **change}
    with nothing_changes(site):
        document = assert_refused(site.http.post("/api/servers", json=body), 422, "invalid-request")
    assert document["errors"][0]["field"] == field


# --- permissions


@contextmanager
def denied(site: Site, *actions: str) -> Iterator[None]:
    site.ask_lab("POST", "/_lab/permissions", {"deny": list(actions)})
    try:
        yield
    finally:
        site.ask_lab("POST", "/_lab/permissions", {"deny": []})


@pytest.mark.parametrize("action", ["ec2:RunInstances", "ec2:DetachVolume", "ec2:TerminateInstances", "ec2:CreateTags"])
def test_a_missing_permission_is_named_before_anything_is_launched(
    site: Site, adopted: AdoptedServer, action: str
) -> None:
    """With a named pool the API refuses; with the best pool the operation fails."""
    pool = f"{site.market_choice.home}/{site.market_choice.types[-1]}/spot"
    with denied(site, action):
        with nothing_changes(site):
            answer = site.http.post(f"/api/servers/{adopted.id}/switch", json={"pool": pool})
        document = assert_refused(answer, 422, "refused")
        before = site.truth()["instances"]
        operation = site.end_of(site.ask(adopted, "switch", f"denied-{action}"))
        assert site.truth()["instances"] == before
    assert action in document["detail"]
    assert operation.outcome == "rolled_back"
    assert action in operation.reason


def test_a_permission_to_look_is_named_too(site: Site, adopted: AdoptedServer) -> None:
    with denied(site, "ec2:DescribeInstances"), nothing_changes(site):
        looked = site.http.post(f"/api/servers/{adopted.id}/plan", json={})
        taken = adopt(site, "i-0123456789abcdef0", "stateless")
    for answer in (looked, taken):
        assert "ec2:DescribeInstances" in assert_refused(answer, 422, "aws-permission-missing")["detail"]


def test_an_adoption_that_may_not_tag_leaves_nothing(site: Site) -> None:
    with own(site, data=KEPT) as instance_id, denied(site, "ec2:CreateTags"), nothing_changes(site):
        document = assert_refused(adopt(site, instance_id, "volumes"), 422, "aws-permission-missing")
    assert "ec2:CreateTags" in document["detail"]
