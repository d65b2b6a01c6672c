"""What the host half asks of the EC2 half, for IMDS. Read without the lock: a host may ask while a call
that waits for it holds the lock."""

from __future__ import annotations

from collections.abc import Mapping

from lab.ec2.lifecycle import user_data
from lab.ec2.world import World


class Ec2InstanceFacts:
    """Implements `lab.contracts.InstanceFacts`. `world` is set once it exists."""

    def __init__(self) -> None:
        self.world: World

    def instance_facts(self, instance_id: str) -> Mapping[str, object]:
        """Raises KeyError for an instance that is not there."""
        instance = self.world.instances[instance_id]
        interfaces = [
            {"mac": e.mac, "privateIps": list(e.addresses), "subnetId": e.subnet_id, "interfaceId": e.id}
            for e in self.world.interfaces_of(instance_id)
        ]
        return {
            "instanceType": instance.instance_type,
            "availabilityZone": instance.zone,
            "region": self.world.region,
            "imageId": instance.image_id,
            "architecture": instance.architecture,
            "privateIp": interfaces[0]["privateIps"][0] if interfaces else "",
            "tags": dict(instance.tags),
            "userData": user_data(instance),
            "networkInterfaces": interfaces,
            "lifecycle": instance.lifecycle,
            "metadataOptions": dict(instance.metadata_options),
            "state": instance.state,
            "launchTime": instance.launched,
        }
