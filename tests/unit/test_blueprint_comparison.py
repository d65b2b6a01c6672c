"""A difference needs a reason; one without fails the switch."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from domain.blueprint import BlockDevice, Blueprint, ElasticIp, Target
from domain.blueprint_comparison import compare_blueprints, unexplained

ROOT = BlockDevice("/dev/xvda", "vol-root", 8, "gp3", root=True, iops=3000, throughput_mib_s=125, tags={"team": "a"})
DATA = BlockDevice("/dev/sdf", "vol-data", 100, "gp3", iops=4000, throughput_mib_s=250)
OLD = Blueprint(
    instance_id="i-old",
    state="running",
    region="us-east-1",
    account_id="1",
    pool="us-east-1a/m5.large/on-demand",
    image_id="ami-1",
    architecture="x86_64",
    virtualization_type="hvm",
    root_device_type="ebs",
    root_device_name="/dev/xvda",
    vpc_id="vpc-1",
    subnet_id="subnet-a",
    zone="us-east-1a",
    private_ip="10.0.0.1",
    public_ip="3.3.3.3",
    network_interface_id="eni-old",
    secondary_private_ips=["10.0.0.9"],
    security_group_ids=["sg-1", "sg-2"],
    user_data_base64="c2VjcmV0",
    termination_protection=True,
    tags={"Name": "orders"},
    block_devices=[ROOT, DATA],
    elastic_ips=[ElasticIp("eipalloc-1", "3.3.3.3", "10.0.0.1")],
    targets=[Target("arn:tg", "i-old", 8080)],
)
NEW = replace(
    OLD,
    instance_id="i-new",
    pool="us-east-1a/m6a.large/spot",
    private_ip="10.0.0.2",
    network_interface_id="eni-new",
    security_group_ids=["sg-2", "sg-1"],
    spot_request_id="sir-1",
    own_tags={"spot-optimizer:server": "s"},
    block_devices=[replace(ROOT, volume_id="vol-root-2"), DATA],
    elastic_ips=[ElasticIp("eipalloc-1", "3.3.3.3", "10.0.0.2")],
    targets=[Target("arn:tg", "i-new", 8080)],
)
# Attributes that any two instances may differ in, or that are compared by what they are.
_FREE = {
    "instance_id", "state", "pool", "zone", "subnet_id", "private_ip", "public_ip", "network_interface_id",
    "primary_interface_kept", "spot_request_id", "spot_request_persistent", "own_tags", "image_devices",
    "block_devices", "elastic_ips", "targets", "secondary_private_ips",
}  # fmt: skip
_KEPT = [f.name for f in fields(Blueprint) if f.name not in _FREE]


def lost(new: Blueprint, old: Blueprint = OLD, **how: Any) -> list[str]:
    return [change.attribute for change in unexplained(compare_blueprints(old, new, **{"moved": True, **how}))]


def test_a_faithful_replacement_has_only_explained_differences() -> None:
    assert lost(NEW) == []
    assert all(change.reason for change in compare_blueprints(OLD, NEW, moved=True))


@pytest.mark.parametrize("name", _KEPT)
def test_every_other_attribute_that_changes_is_noticed(name: str) -> None:
    value = getattr(NEW, name)
    changed: Any
    if isinstance(value, bool):
        changed = not value
    elif isinstance(value, int):
        changed = value + 1
    elif isinstance(value, dict):
        changed = {**value, "added": "x"}
    elif isinstance(value, list):
        changed = [*value, "added"]
    else:
        changed = f"{value}-changed"
    explained_by_type = {"ebs_optimized", "cpu_credits"}  # these follow the type, as EC2 has it
    assert lost(replace(NEW, **{name: changed})) == ([] if name in explained_by_type else [name])


def test_protection_may_be_off_before_commit_and_not_after() -> None:
    bare = replace(NEW, termination_protection=False)
    assert lost(bare, protection_pending=True) == []
    assert lost(bare) == ["termination_protection"]


def test_a_volume_address_or_target_left_behind_is_noticed() -> None:
    assert lost(replace(NEW, block_devices=NEW.block_devices[:1])) == ["data volumes"]
    assert lost(replace(NEW, secondary_private_ips=[])) == ["secondary private addresses"]
    assert "elastic addresses" in lost(replace(NEW, elastic_ips=[]))
    assert lost(replace(NEW, targets=[])) == ["target groups"]


def test_a_copy_in_another_zone_is_compared_by_its_settings() -> None:
    away = replace(NEW, zone="us-east-1b", secondary_private_ips=[])
    copy = replace(DATA, volume_id="vol-copy")
    assert lost(replace(away, block_devices=[NEW.block_devices[0], copy])) == []
    assert lost(replace(away, block_devices=[NEW.block_devices[0], replace(copy, throughput_mib_s=125)])) == [
        "data volumes"
    ]


def test_the_root_volume_is_compared_setting_by_setting() -> None:
    thinner = replace(NEW.block_devices[0], throughput_mib_s=None, tags={})
    assert lost(replace(NEW, block_devices=[thinner, DATA])) == ["root volume throughput_mib_s", "root volume tags"]
    encrypted = replace(NEW.block_devices[0], encrypted=True, kms_key_id="key")
    assert lost(replace(NEW, block_devices=[encrypted, DATA])) == []


def test_an_automatic_public_address_is_neither_lost_nor_gained() -> None:
    old = replace(OLD, elastic_ips=[], public_ip="3.3.3.3")
    new = replace(NEW, elastic_ips=[], public_ip="4.4.4.4")
    assert lost(new, old) == []
    assert lost(replace(new, public_ip=""), old) == ["automatic public address"]
    assert lost(new, replace(old, public_ip="")) == ["automatic public address"]


def test_user_data_is_never_shown() -> None:
    changes = compare_blueprints(OLD, replace(NEW, user_data_base64="b3RoZXI="), moved=True)
    assert not [c for c in changes if "c2VjcmV0" in c.before or "b3RoZXI" in c.after]
