"""Everything that exists in the lab, for tests that compare EC2 with the ledger."""

from __future__ import annotations

from typing import Any

from lab.ec2 import addresses, load_balancers
from lab.ec2.records import Address, Instance, Interface, SpotRequest, Volume, utc
from lab.ec2.world import World


def everything(world: World) -> dict[str, Any]:
    hosts = dict(world.hosts.truth())
    with world.lock:
        return {
            "instances": [_instance(world, one) for one in world.instances.values()],
            "volumes": [_volume(world, one) for one in world.volumes.values()],
            "snapshots": [
                {"id": s.id, "state": s.state, "volume_id": s.volume_id, "tags": dict(s.tags)}
                for s in world.snapshots.values()
            ],
            "images": [
                {"id": i.id, "name": i.name, "state": i.state, "architecture": i.architecture, "tags": dict(i.tags)}
                for i in world.images.values()
            ],
            "addresses": [_address(world, one) for one in world.addresses.values()],
            "interfaces": [_interface(one) for one in world.interfaces.values()],
            "spot_requests": [_spot_request(one) for one in world.spot_requests.values()],
            "target_groups": load_balancers.truth(world),
            "hosts": hosts,
        }


def _volume(world: World, volume: Volume) -> dict[str, Any]:
    held = volume.attachment
    return {
        "id": volume.id,
        "state": volume.state,
        "zone": volume.zone,
        "size": volume.size,
        "root": volume.root,
        "snapshot_id": volume.snapshot_id,
        "attached_to": held.instance_id if held else None,
        "device": held.device if held else None,
        "attachment_state": held.state if held else None,
        "delete_on_termination": held.delete_on_termination if held else None,
        "mounted": world.hosts.mounted(volume.id),
        "tags": dict(volume.tags),
    }


def _address(world: World, address: Address) -> dict[str, Any]:
    return {
        "id": address.allocation_id,
        "public_ip": address.public_ip,
        "association_id": address.association_id,
        "private_ip": address.private_ip,
        "attached_to": addresses.owner(world, address.public_ip),
        "tags": dict(address.tags),
    }


def _interface(interface: Interface) -> dict[str, Any]:
    held = interface.attachment
    return {
        "id": interface.id,
        "zone": interface.zone,
        "private_ips": interface.addresses,
        "state": "in-use" if held else "available",
        "attached_to": held.instance_id if held else None,
        "device_index": held.index if held else None,
        "tags": dict(interface.tags),
    }


def _spot_request(request: SpotRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "type": request.kind,
        "state": request.state,
        "code": request.code,
        "instance_id": request.instance_id,
        "tags": dict(request.tags),
    }


def _instance(world: World, instance: Instance) -> dict[str, Any]:
    interfaces = world.interfaces_of(instance.id)
    return {
        "id": instance.id,
        "state": instance.state,
        "state_reason": instance.state_reason[0] if instance.state_reason else None,
        "type": instance.instance_type,
        "zone": instance.zone,
        "lifecycle": instance.lifecycle,
        "image_id": instance.image_id,
        "client_token": instance.token,
        "spot_request_id": instance.spot_request_id,
        "launched": utc(instance.launched).isoformat(),
        "private_ip": interfaces[0].private_ip if interfaces else None,
        "notice": instance.notice and {"action": instance.notice[0], "at": utc(instance.notice[1]).isoformat()},
        "impaired": instance.impaired,
        "tags": dict(instance.tags),
    }
