"""What the lab's world has at its start: a network, images, a queue, a key pair."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lab.ec2 import images, notices
from lab.ec2.records import ACCOUNT
from lab.ec2.world import World

KEY_NAME = "lab"
PROFILE_ARN = f"arn:aws:iam::{ACCOUNT}:instance-profile/lab"


def create(world: World) -> None:
    _network(world)
    for architecture in ("x86_64", "arm64"):
        images.register(world, f"lab-{architecture}", architecture)
    images.register(world, "lab-instance-store", "x86_64", root="instance-store")
    notices.create_queue(world)


def _network(world: World) -> None:
    """One VPC with a subnet for each zone; it takes the place of moto's default one."""
    moto = world.moto
    moto.vpcs.clear()
    moto.subnets.clear()
    moto.groups.clear()
    vpc = moto.create_vpc(f"{world.settings.network}.0.0/16", is_default=True)
    world.vpc_id = str(vpc.id)
    for place, zone in enumerate(world.market.zones):
        block = f"{world.settings.network}.{16 * place}.0/20"
        world.subnets[zone] = str(moto.create_subnet(vpc.id, block, availability_zone=zone).id)
    world.security_group_id = str(moto.get_security_group_from_name("default", vpc.id).id)
    moto.create_key_pair(KEY_NAME, "rsa", {})


def launch_facts(world: World) -> dict[str, Any]:
    """What a client needs to know to launch here."""
    by_name = {image.name: image.id for image in world.images.values()}
    return {
        "account_id": ACCOUNT,
        "region": world.region,
        "zones": list(world.market.zones),
        "profile": world.profile.name,
        "delays": {name: value for name, value in asdict(world.profile).items() if name != "name"},  # seconds
        "vpc_id": world.vpc_id,
        "subnets": dict(world.subnets),
        "security_group_id": world.security_group_id,
        "images": {"x86_64": by_name["lab-x86_64"], "arm64": by_name["lab-arm64"]},
        "instance_store_image": by_name["lab-instance-store"],
        "queue_url": f"http://127.0.0.1:{world.settings.port}/{ACCOUNT}/{notices.QUEUE}",
        "endpoint": f"http://127.0.0.1:{world.settings.port}",
        "imds_port": world.settings.imds_port,
        "service_port": world.settings.service_port,
        "key_name": KEY_NAME,
        "instance_profile_arn": PROFILE_ARN,
    }
