"""What is true in the fake EC2: instances, volumes, snapshots, addresses, target groups, and who serves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from domain.blueprint import BlockDevice, Blueprint, ElasticIp, Target
from domain.host import Filesystem
from domain.names import TAG_OPERATION, TAG_SERVER
from domain.pools import Candidate, Pool
from domain.servers import Placement

REGION = "us-east-1"
ACCOUNT = "111122223333"
OLD, REPLICA = "i-old", "i-replica"
LAUNCHED = tuple(f"i-{number}" for number in range(1, 13))
HOME = "us-east-1a/m5.large/on-demand"
SPOT = "us-east-1a/m5.large/spot"
SPOT_2 = "us-east-1a/m5a.large/spot"
OTHER_ZONE = "us-east-1b/m5.large/spot"
ON_DEMAND = "us-east-1a/m6i.large/on-demand"
MARKET = (SPOT, SPOT_2, OTHER_ZONE, ON_DEMAND)
GROUP = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/orders/0123456789abcdef"
PRICES = {HOME: 0.096, SPOT: 0.031, SPOT_2: 0.034, OTHER_ZONE: 0.036, ON_DEMAND: 0.097}


@dataclass
class Volume:
    volume_id: str
    zone: str
    device: str
    root: bool = False
    attached_to: str = ""
    dies_with_instance: bool = False
    token: str = ""
    writes: int = 0  # the last acknowledged write that is on it
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Instance:
    instance_id: str
    pool: str
    subnet_id: str
    token: str = ""
    state: str = "running"
    tags: dict[str, str] = field(default_factory=dict)
    serving: bool = False  # its workload runs
    mounted: bool = False
    changed: dict[str, Any] = field(default_factory=dict)  # attributes that are not as they should be
    spot_request_id: str = ""

    @property
    def zone(self) -> str:
        return Pool.parse(self.pool).zone

    @property
    def alive(self) -> bool:
        return self.state == "running"

    @property
    def private_ip(self) -> str:
        return f"10.0.0.{sum(self.instance_id.encode()) % 250}"


def candidate(pool: str) -> Candidate:
    parsed = Pool.parse(pool)
    return Candidate(parsed, f"subnet-{parsed.zone}", PRICES[pool], 0.096, "cheapest for its risk", 9)


class FakeEc2State:
    """One test's cloud. `violations` gathers what must never happen, at the moment it does."""

    def __init__(self, *, volumes: bool, targets: bool, elastic: bool) -> None:
        self.instances: dict[str, Instance] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, tuple[str, int, dict[str, str]]] = {}  # id -> token, writes, tags
        self.elastic = elastic
        self.elastic_on = OLD if elastic else ""
        self.has_targets = targets
        self.registered: set[str] = {OLD} if targets else set()
        self.stateful = volumes
        self.acknowledged = 0
        self.violations: list[str] = []
        self.market = list(MARKET)
        self.attributes: dict[str, Any] = {}  # of the original instance
        self._left = [*LAUNCHED]
        self._volumes = 0
        self.add(OLD, HOME, tags={}, serving=True)
        if volumes:
            data = self.add_volume("us-east-1a", "/dev/sdf", attached_to=OLD)
            data.tags["Name"] = "orders"
            self.instances[OLD].mounted = True

    # --- making

    def add(self, instance_id: str, pool: str, *, tags: dict[str, str], serving: bool = False) -> Instance:
        instance = Instance(instance_id, pool, f"subnet-{Pool.parse(pool).zone}", tags=dict(tags), serving=serving)
        if pool.endswith("/spot"):
            instance.spot_request_id = f"sir-{instance_id}"
        self.instances[instance_id] = instance
        root = self.add_volume(instance.zone, "/dev/xvda", attached_to=instance_id, root=True)
        root.dies_with_instance, root.tags = True, dict(tags)
        return instance

    def add_volume(self, zone: str, device: str, *, attached_to: str = "", root: bool = False) -> Volume:
        self._volumes += 1
        volume = Volume(f"vol-{self._volumes}", zone, device, root, attached_to)
        self.volumes[volume.volume_id] = volume
        return volume

    def next_instance_id(self) -> str:
        return self._left.pop(0)

    def end(self, instance_id: str) -> None:
        """The instance is over: what dies with it dies, what is attached is free."""
        instance = self.instances[instance_id]
        if instance.state == "terminated":
            return
        instance.state, instance.serving, instance.mounted = "terminated", False, False
        self.registered.discard(instance_id)
        if self.elastic_on == instance_id:
            self.elastic_on = ""
        for volume in self.attached(instance_id):
            volume.attached_to = ""
            if volume.dies_with_instance:
                del self.volumes[volume.volume_id]

    # --- looking

    def attached(self, instance_id: str, *, data: bool = False) -> list[Volume]:
        return [v for v in self.volumes.values() if v.attached_to == instance_id and not (data and v.root)]

    @property
    def serving(self) -> list[str]:
        return [one.instance_id for one in self.instances.values() if one.serving]

    @property
    def alive(self) -> list[str]:
        return [one.instance_id for one in self.instances.values() if one.alive]

    @property
    def filesystems(self) -> list[Filesystem]:
        return [Filesystem("uuid-data", "/data", "ext4")] if self.stateful else []

    def placement(self, instance_id: str) -> Placement:
        one = self.instances[instance_id]
        return Placement(instance_id, one.pool, one.spot_request_id, PRICES[one.pool])

    def owned(self) -> set[str]:
        """Every resource that exists and carries our tags."""
        found = {v.volume_id for v in self.volumes.values() if TAG_SERVER in v.tags}
        found |= {key for key, (_, _, tags) in self.snapshots.items() if TAG_SERVER in tags}
        for one in self.instances.values():
            if one.alive and TAG_SERVER in one.tags:
                found |= {one.instance_id, *([one.spot_request_id] if one.spot_request_id else [])}
        return found

    def made_by_operation(self) -> set[str]:
        return {one.instance_id for one in self.instances.values() if one.alive and TAG_OPERATION in one.tags}

    # --- watching over the invariants

    def tick(self) -> None:
        """Time passes between two calls: the workload writes, and its clients find it or not."""
        if self.stateful:
            if len(self.serving) > 1:
                self.violations.append(f"invariant 1: the workload runs on {', '.join(self.serving)} at once")
            for instance_id in filter(self._reached, self.serving):
                self.acknowledged += 1
                for volume in self.attached(instance_id, data=True):
                    volume.writes = self.acknowledged
        elif self.has_targets and not any(self.instances[one].serving for one in self.registered):
            self.violations.append("outage: nobody serves behind the target group")

    def _reached(self, instance_id: str) -> bool:
        """Whether clients find it: by its address or its target group, or somehow when it has neither."""
        if self.elastic or self.has_targets:
            return instance_id == self.elastic_on or instance_id in self.registered
        return True

    def start_workload(self, instance: Instance) -> None:
        instance.serving = True
        if self.stateful:
            instance.mounted = True
            if any(v.writes < self.acknowledged for v in self.attached(instance.instance_id, data=True)):
                self.violations.append(f"invariant 2: {instance.instance_id} serves without the last writes")

    # --- describing

    def blueprint(self, instance_id: str) -> Blueprint:
        one = self.instances[instance_id]
        described = Blueprint(
            instance_id=instance_id,
            state=one.state,
            region=REGION,
            account_id=ACCOUNT,
            pool=one.pool,
            image_id="ami-1",
            architecture="x86_64",
            virtualization_type="hvm",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            vpc_id="vpc-1",
            subnet_id=one.subnet_id,
            zone=one.zone,
            private_ip=one.private_ip,
            public_ip="",
            network_interface_id=f"eni-{instance_id}",
            tags={"Name": "orders"},
            own_tags={k: v for k, v in one.tags.items() if k.startswith("spot-optimizer:")},
            block_devices=[_device(v) for v in sorted(self.attached(instance_id), key=lambda v: not v.root)],
            elastic_ips=[ElasticIp("eipalloc-1", "198.51.100.7", one.private_ip)]
            if self.elastic_on == instance_id
            else [],
            targets=[Target(GROUP, instance_id, 8080)] if instance_id in self.registered else [],
            spot_request_id=one.spot_request_id,
        )
        return replace(described, **{**self.attributes, **one.changed})


def _device(volume: Volume) -> BlockDevice:
    return BlockDevice(
        device=volume.device,
        volume_id=volume.volume_id,
        size_gib=8,
        volume_type="gp3",
        root=volume.root,
        delete_on_termination=volume.dies_with_instance,
        tags={k: v for k, v in volume.tags.items() if not k.startswith("spot-optimizer:")},
    )
