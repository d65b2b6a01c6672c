"""Every attribute of an instance that must survive a switch.

`DescribeInstances` does not return user data, credit specification, shutdown behaviour or
termination protection; they come from `DescribeInstanceAttribute` and
`DescribeInstanceCreditSpecifications` (FIELD, ec2-spot-converter). A blueprint that lacked one
would lose it at the first switch.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BlockDevice:
    """One EBS volume of an instance. `size_gib`, `iops`, `throughput_mib_s` as EC2 counts them."""

    device: str
    volume_id: str
    size_gib: int
    volume_type: str
    root: bool = False
    iops: int | None = None
    throughput_mib_s: int | None = None
    encrypted: bool = False
    kms_key_id: str = ""
    delete_on_termination: bool = False
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ElasticIp:
    allocation_id: str
    public_ip: str
    private_ip: str  # the private address it is associated with


@dataclass(frozen=True)
class Target:
    """A registration with a target group, by instance ID or by address."""

    target_group_arn: str
    target_id: str
    port: int
    by_ip: bool = False


@dataclass(frozen=True)
class Blueprint:
    """An instance as it stands: what a replacement has to be like, and what must move to it."""

    instance_id: str
    state: str
    region: str
    account_id: str
    pool: str
    image_id: str
    architecture: str
    virtualization_type: str
    root_device_type: str
    root_device_name: str
    vpc_id: str
    subnet_id: str
    zone: str
    private_ip: str
    public_ip: str  # auto-assigned or elastic
    network_interface_id: str
    primary_interface_kept: bool = False  # DeleteOnTermination=false on the primary interface
    secondary_private_ips: list[str] = field(default_factory=list)
    secondary_interfaces: list[str] = field(default_factory=list)
    security_group_ids: list[str] = field(default_factory=list)
    source_dest_check: bool = True
    key_name: str = ""
    instance_profile_arn: str = ""
    user_data_base64: str = ""
    shutdown_behavior: str = "stop"
    termination_protection: bool = False
    stop_protection: bool = False
    monitoring: bool = False
    ebs_optimized: bool = False
    ena_support: bool = True
    sriov_net_support: str = ""
    cpu_credits: str = ""  # standard, unlimited; empty where the type has none
    tenancy: str = "default"
    metadata_options: dict[str, str] = field(default_factory=dict)
    hibernation: bool = False
    enclave: bool = False
    auto_recovery: str = ""
    private_dns_options: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)  # without aws:* and our own
    own_tags: dict[str, str] = field(default_factory=dict)
    block_devices: list[BlockDevice] = field(default_factory=list)
    elastic_ips: list[ElasticIp] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    spot_request_id: str = ""
    spot_request_persistent: bool = False
    image_devices: list[str] = field(default_factory=list)  # data devices the image itself would add
    platform: str = "Linux/UNIX"  # EC2's PlatformDetails; decides the price
    placement_group: str = ""
    ipv6_count: int = 0  # of automatic IPv6 addresses on the primary interface

    @property
    def data_volumes(self) -> list[BlockDevice]:
        return [d for d in self.block_devices if not d.root]

    @property
    def dying_root(self) -> list[str]:
        """The root's volume, if it ends with the instance."""
        return [self.root.volume_id] if self.root and self.root.delete_on_termination else []

    @property
    def root(self) -> BlockDevice | None:
        return next((d for d in self.block_devices if d.root), None)
