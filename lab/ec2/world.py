"""Everything that exists in the lab's one region, behind one lock."""

from __future__ import annotations

import ipaddress
import itertools
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES

from lab.contracts import Hosts, LabSettings
from lab.ec2.clock import Clock
from lab.ec2.errors import Ec2Error, not_found
from lab.ec2.records import (
    ACCOUNT,
    Address,
    Image,
    Instance,
    Interface,
    Snapshot,
    SpotRequest,
    Volume,
)
from lab.market.market import Market, Quote

log = logging.getLogger("lab.world")
T = TypeVar("T")


@dataclass
class Quotas:
    """vCPUs that may run at once, standard families."""

    spot: float = 100_000.0
    on_demand: float = 100_000.0


@dataclass
class LoadBalancerState:
    """What moto does not record about load balancers: their addresses in the lab, and open listeners."""

    addresses: dict[str, str] = field(default_factory=dict)  # load balancer ARN -> address
    open: dict[str, tuple[str, int]] = field(default_factory=dict)  # target group ARN -> its listener's place


class World:
    """The resources, their lookups, and the way to change them.

    Changes happen inside `transact`: under the lock. What a change has to do to hosts and may take
    long (processes, copies) is given to `then` and runs after the lock is released, in order, before
    the call is answered. Quick host calls are made under the lock, so that their order is right.
    """

    def __init__(self, settings: LabSettings, clock: Clock, market: Market) -> None:
        self.settings = settings
        self.profile = settings.profile
        self.region = market.region
        self.clock = clock
        self.market = market
        self.hosts: Hosts
        self.lock = threading.RLock()
        self.quotas = Quotas()
        self.balancing = LoadBalancerState()
        self.instances: dict[str, Instance] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.images: dict[str, Image] = {}
        self.interfaces: dict[str, Interface] = {}
        self.addresses: dict[str, Address] = {}
        self.spot_requests: dict[str, SpotRequest] = {}
        self.tokens: dict[tuple[str, str], tuple[str, Any]] = {}
        self.subnets: dict[str, str] = {}  # zone -> subnet
        self.quote_cache: dict[str, list[Quote]] = {}  # price history queries that are being paged
        self.vpc_id = ""
        self.security_group_id = ""
        self._local = threading.local()
        self._numbers: dict[str, itertools.count[int]] = {}

    @property
    def moto(self) -> Any:
        """moto's EC2: networks, security groups, key pairs, and whatever else the lab does not own."""
        return ec2_backends[ACCOUNT][self.region]

    def transact(self, work: Callable[[], T]) -> T:
        if getattr(self._local, "effects", None) is not None:
            return work()
        effects: list[Callable[[], None]] = []
        self._local.effects = effects
        try:
            with self.lock:
                result = work()
        finally:
            self._local.effects = None
        for effect in effects:
            self._run(effect)
        return result

    def then(self, effect: Callable[[], None]) -> None:
        self._local.effects.append(effect)

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Make a change later, by the lab's clock."""
        self.clock.after(seconds, lambda: self.transact(work))

    def _run(self, effect: Callable[[], None]) -> None:
        try:
            effect()
        except Exception:
            log.exception("the hosts could not follow a change")

    def number(self, kind: str) -> int:
        return next(self._numbers.setdefault(kind, itertools.count(1)))

    def instance(self, instance_id: str) -> Instance:
        found = self.instances.get(instance_id)
        if found is None:
            if not instance_id.startswith("i-"):
                raise Ec2Error("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
            raise Ec2Error("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        return found

    def volume(self, volume_id: str) -> Volume:
        found = self.volumes.get(volume_id)
        if found is None:
            raise not_found("InvalidVolume.NotFound", "volume", volume_id)
        return found

    def snapshot(self, snapshot_id: str) -> Snapshot:
        found = self.snapshots.get(snapshot_id)
        if found is None:
            raise not_found("InvalidSnapshot.NotFound", "snapshot", snapshot_id)
        return found

    def image(self, image_id: str) -> Image:
        found = self.images.get(image_id)
        if found is None:
            raise Ec2Error("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        return found

    def interface(self, interface_id: str) -> Interface:
        found = self.interfaces.get(interface_id)
        if found is None:
            raise Ec2Error(
                "InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{interface_id}' does not exist"
            )
        return found

    def interfaces_of(self, instance_id: str) -> list[Interface]:
        """In the order of their device index: the first is the primary one."""
        found = [e for e in list(self.interfaces.values()) if e.attachment and e.attachment.instance_id == instance_id]
        return sorted(found, key=_index)

    def volumes_of(self, instance_id: str) -> list[Volume]:
        return [v for v in self.volumes.values() if v.attachment and v.attachment.instance_id == instance_id]

    def attachment_index(self) -> AttachmentIndex:
        """An index of attachments now, for describing many instances: it reads each volume and interface once."""
        volumes: defaultdict[str, list[Volume]] = defaultdict(list)
        interfaces: defaultdict[str, list[Interface]] = defaultdict(list)
        for volume in self.volumes.values():
            if volume.attachment:
                volumes[volume.attachment.instance_id].append(volume)
        for interface in list(self.interfaces.values()):
            if interface.attachment:
                interfaces[interface.attachment.instance_id].append(interface)
        return AttachmentIndex(volumes, interfaces)

    def resource(self, resource_id: str) -> Any:
        """Any resource the lab itself owns, by ID; None when it is not the lab's."""
        for kind in (
            self.instances,
            self.volumes,
            self.snapshots,
            self.images,
            self.interfaces,
            self.addresses,
            self.spot_requests,
        ):
            if resource_id in kind:
                return kind[resource_id]
        return None

    def subnet_zone(self, subnet_id: str) -> str:
        for zone, known in self.subnets.items():
            if known == subnet_id:
                return zone
        raise Ec2Error("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")

    def private_ips(self) -> set[str]:
        return {ip for interface in self.interfaces.values() for ip in interface.addresses}

    def free_ip(self, subnet_id: str) -> str:
        """The next free address of the subnet, from .10 on; addresses given back are not reused soon."""
        network = self.subnet_network(subnet_id)
        taken = self.private_ips()
        for _ in range(network.num_addresses):
            place = 9 + self.number(f"ip/{subnet_id}")
            candidate = str(network[10 + (place - 10) % (network.num_addresses - 20)])
            if candidate not in taken:
                return candidate
        raise Ec2Error("InsufficientFreeAddressesInSubnet", f"Not enough free addresses in {subnet_id}")

    def subnet_network(self, subnet_id: str) -> ipaddress.IPv4Network:
        zone = self.subnet_zone(subnet_id)
        place = 16 * list(self.subnets).index(zone)
        return ipaddress.IPv4Network(f"{self.settings.network}.{place}.0/20")

    def group_name(self, group_id: str) -> str:
        group = self.moto.get_security_group_from_id(group_id)
        if group is None:
            raise Ec2Error("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        return str(group.name)


@dataclass(frozen=True)
class AttachmentIndex:
    """Volumes and interfaces by instance. It has the same methods as `World`."""

    volumes: Mapping[str, list[Volume]]
    interfaces: Mapping[str, list[Interface]]

    def interfaces_of(self, instance_id: str) -> list[Interface]:
        return sorted(self.interfaces.get(instance_id, ()), key=_index)

    def volumes_of(self, instance_id: str) -> list[Volume]:
        return self.volumes.get(instance_id, [])


def _index(interface: Interface) -> int:
    return interface.attachment.index if interface.attachment else 0


def type_facts(instance_type: str) -> dict[str, Any]:
    """The facts of an instance type, as DescribeInstanceTypes gives them."""
    facts = INSTANCE_TYPES.get(instance_type)
    if facts is None:
        raise Ec2Error("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    return dict(facts)


def vcpus(instance_type: str) -> int:
    return int(type_facts(instance_type)["VCpuInfo"]["DefaultVCpus"])
