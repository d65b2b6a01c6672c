"""Everything that exists in the lab, for tests that compare EC2 with the ledger."""

from __future__ import annotations

from typing import Any

from lab.ec2 import addresses, load_balancers
from lab.ec2.records import Instance, utc
from lab.ec2.world import World


def everything(world: World) -> dict[str, Any]:
    hosts = dict(world.hosts.truth())
    with world.lock:
        return {
            "instances": [_instance(world, i) for i in world.instances.values()],
            "volumes": [
                {
                    "id": v.id,
                    "state": v.state,
                    "zone": v.zone,
                    "size": v.size,
                    "root": v.root,
                    "snapshot_id": v.snapshot_id,
                    "attached_to": v.attachment.instance_id if v.attachment else None,
                    "device": v.attachment.device if v.attachment else None,
                    "attachment_state": v.attachment.state if v.attachment else None,
                    "delete_on_termination": v.attachment.delete_on_termination if v.attachment else None,
                    "mounted": world.hosts.mounted(v.id),
                    "tags": dict(v.tags),
                }
                for v in world.volumes.values()
            ],
            "snapshots": [
                {"id": s.id, "state": s.state, "volume_id": s.volume_id, "tags": dict(s.tags)}
                for s in world.snapshots.values()
            ],
            "images": [
                {"id": i.id, "name": i.name, "state": i.state, "architecture": i.architecture, "tags": dict(i.tags)}
                for i in world.images.values()
            ],
            "addresses": [
                {
                    "id": a.allocation_id,
                    "public_ip": a.public_ip,
                    "association_id": a.association_id,
                    "private_ip": a.private_ip,
                    "attached_to": addresses.owner(world, a.public_ip),
                    "tags": dict(a.tags),
                }
                for a in world.addresses.values()
            ],
            "interfaces": [
                {
                    "id": e.id,
                    "zone": e.zone,
                    "private_ips": e.addresses,
                    "state": "in-use" if e.attachment else "available",
                    "attached_to": e.attachment.instance_id if e.attachment else None,
                    "device_index": e.attachment.index if e.attachment else None,
                    "tags": dict(e.tags),
                }
                for e in world.interfaces.values()
            ],
            "spot_requests": [
                {
                    "id": r.id,
                    "type": r.kind,
                    "state": r.state,
                    "code": r.code,
                    "instance_id": r.instance_id,
                    "tags": dict(r.tags),
                }
                for r in world.spot_requests.values()
            ],
            "target_groups": load_balancers.truth(world),
            "hosts": hosts,
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
