"""Contract of the EC2 activities: names, inputs, outputs.

Every activity is short and safe to repeat. One that waits for a state asks once and raises `NotYet`:
its retry policy is the poll loop. Whatever creates something takes its token from the caller, so that a
second attempt finds what the first one made. Failure types: `domain.errors.Failure`.
All take a `region`; lists of IDs are processed in the given order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from domain.blueprint import Blueprint, ElasticIp, Target
from domain.pools import Candidate
from domain.servers import ServerPolicy

INSPECT = "ec2_inspect"  # InspectInput -> InspectResult; Gone when EC2 does not know the instance
SURVEY = "ec2_survey"  # SurveyInput -> SurveyResult: INSPECT, RANK_POOLS and CHECK_LAUNCH in one
RANK_POOLS = "ec2_rank_pools"  # RankInput -> RankResult
CHECK_LAUNCH = "ec2_check_launch"  # CheckInput -> CheckResult: DryRun permissions, quota, subnet
LAUNCH = "ec2_launch"  # LaunchInput -> LaunchResult; NoCapacity, LimitReached, PermissionMissing
FIND_BY_TOKEN = "ec2_find_by_token"  # noqa: S105  FindByTokenInput -> FindByTokenResult
CONFIRM_RUNNING = "ec2_confirm_running"  # InstanceInput -> ConfirmResult; NotYet, Gone, BadState
TERMINATE = "ec2_terminate"  # TerminateInput -> ActionResult: protection off, spot request cancelled, terminated
CONFIRM_TERMINATED = "ec2_confirm_terminated"  # InstanceInput -> ConfirmResult; NotYet
VOLUMES_OF = "ec2_volumes_of"  # InstanceInput -> CreateResult: volumes that end with the instance
KEEP_VOLUMES = "ec2_keep_volumes"  # VolumesInput -> ActionResult: DeleteOnTermination=false
TAG = "ec2_tag"  # TagInput -> ActionResult: tags (and, with remove, untags)
DETACH_VOLUMES = "ec2_detach_volumes"  # AttachInput -> ActionResult; NotYet until all are detached
ATTACH_VOLUMES = "ec2_attach_volumes"  # AttachInput -> ActionResult; NotYet until all are attached
CREATE_SNAPSHOTS = "ec2_create_snapshots"  # SnapshotInput -> CreateResult (in the order of the volumes)
CONFIRM_SNAPSHOTS = "ec2_confirm_snapshots"  # IdsInput -> ActionResult; NotYet until all are completed
CREATE_VOLUMES = "ec2_create_volumes"  # CreateVolumesInput -> CreateResult
CONFIRM_VOLUMES = "ec2_confirm_volumes"  # IdsInput -> ActionResult; NotYet until all are available
DELETE_VOLUMES = "ec2_delete_volumes"  # IdsInput -> ActionResult; one already gone is fine
DELETE_SNAPSHOTS = "ec2_delete_snapshots"  # IdsInput -> ActionResult; one already gone is fine
MOVE_ADDRESSES = "ec2_move_addresses"  # AddressesInput -> ActionResult: elastic and secondary private addresses
REGISTER_TARGETS = "ec2_register_targets"  # TargetsInput -> ActionResult
CONFIRM_TARGETS = "ec2_confirm_targets"  # TargetsInput -> ActionResult; NotYet until all are healthy
DEREGISTER_TARGETS = "ec2_deregister_targets"  # TargetsInput -> ActionResult
CONFIRM_DRAINED = "ec2_confirm_drained"  # TargetsInput -> ActionResult; NotYet while any is draining
MATCH_ATTRIBUTES = "ec2_match_attributes"  # MatchAttributesInput -> ActionResult: what RunInstances cannot set


@dataclass(frozen=True)
class ActionResult:
    """`calls`: EC2 API actions of the attempt that succeeded, with `attempts` that it took."""

    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class InstanceInput:
    region: str
    instance_id: str


@dataclass(frozen=True)
class ConfirmResult:
    state: str
    at: datetime
    zone: str = ""
    subnet_id: str = ""
    private_ip: str = ""
    spot_request_id: str = ""
    network_interface_id: str = ""
    volume_ids: list[str] = field(default_factory=list)  # root first
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class InspectInput:
    region: str
    instance_id: str


@dataclass(frozen=True)
class InspectResult:
    blueprint: Blueprint
    account_id: str  # of our own credentials
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class RankInput:
    """`asked`: this pool first (and checked), the ranked rest behind it. `avoid`: pools left out.

    `same_zone`: only this zone's pools (a volume cannot leave its zone). The list ends in on-demand:
    the type itself, same zone first.
    """

    region: str
    blueprint: Blueprint
    policy: ServerPolicy
    asked: str = ""
    avoid: list[str] = field(default_factory=list)
    same_zone: str = ""
    limit: int = 8


@dataclass(frozen=True)
class RankResult:
    candidates: list[Candidate] = field(default_factory=list)
    hourly_now: float = 0.0  # price of the blueprint's own pool
    on_demand_now: float = 0.0
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class CheckInput:
    """A check before a launch: do we have the permissions, and is there quota for both instances at once?"""

    region: str
    blueprint: Blueprint
    candidates: list[Candidate] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)  # the handoff's, tried with DryRun


@dataclass(frozen=True)
class CheckResult:
    """`problems`: blocking, in words, each with what to do. `skip`: pools out of quota."""

    problems: list[str] = field(default_factory=list)
    missing_permissions: list[str] = field(default_factory=list)  # "ec2:RunInstances"
    skip: dict[str, str] = field(default_factory=dict)  # pool -> why
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class SurveyInput:
    """What a plan has to know of the instance and the market. `asked`, `avoid`: as in RankInput.

    `home_type`: the type the server came with, whose on-demand price is told; empty: not wanted.
    """

    region: str
    instance_id: str
    policy: ServerPolicy
    asked: str = ""
    avoid: list[str] = field(default_factory=list)
    home_type: str = ""


@dataclass(frozen=True)
class SurveyResult:
    """`candidates`: where the server may go, its own pool left out. `checked` holds for the first of them.

    `home_usd`: on-demand price per hour of its `home_type`; 0: not known.
    """

    blueprint: Blueprint
    account_id: str
    candidates: list[Candidate] = field(default_factory=list)
    hourly_now: float = 0.0
    checked: CheckResult = field(default_factory=CheckResult)
    calls: list[str] = field(default_factory=list)
    attempts: int = 1
    home_usd: float = 0.0


@dataclass(frozen=True)
class LaunchInput:
    """A replacement like `blueprint` in `pool`: one-time spot request or on-demand.

    Data volumes of the blueprint, and data devices the image would add, are left out (NoDevice):
    they move, or are made from snapshots. `tags` are put on instance, root volume and spot request.
    """

    region: str
    blueprint: Blueprint
    pool: str
    subnet_id: str
    token: str
    tags: dict[str, str] = field(default_factory=dict)
    max_spot_usd_per_hour: float | None = None
    data_volumes_gib: list[int] = field(default_factory=list)  # new servers only


@dataclass(frozen=True)
class LaunchResult:
    instance_id: str
    spot_request_id: str = ""
    state: str = ""
    network_interface_id: str = ""
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class FindByTokenInput:
    region: str
    token: str


@dataclass(frozen=True)
class FindByTokenResult:
    """What was created with a client token; empty IDs when EC2 knows of nothing."""

    instance_id: str = ""
    state: str = ""
    spot_request_id: str = ""
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class TerminateInput:
    region: str
    instance_id: str
    spot_request_id: str = ""


@dataclass(frozen=True)
class VolumesInput:
    region: str
    instance_id: str
    volume_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TagInput:
    region: str
    resource_ids: list[str]
    tags: dict[str, str] = field(default_factory=dict)
    remove: bool = False  # delete these keys instead


@dataclass(frozen=True)
class Attachment:
    volume_id: str
    device: str


@dataclass(frozen=True)
class AttachInput:
    """Volumes to attach to an instance, or to detach from it. EC2's forced detach is never used: it may lose writes."""

    region: str
    instance_id: str
    attachments: list[Attachment] = field(default_factory=list)


@dataclass(frozen=True)
class SnapshotInput:
    """CreateSnapshot has no token: an existing snapshot with the same token tag is found instead.

    `find_only`: create nothing and return what is there (undo of a call whose answer was lost).
    """

    region: str
    volume_ids: list[str]
    token: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    find_only: bool = False


@dataclass(frozen=True)
class CreateResult:
    ids: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class IdsInput:
    region: str
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class VolumeCopy:
    """A volume made from a snapshot, like the one it replaces."""

    snapshot_id: str
    device: str
    size_gib: int
    volume_type: str
    iops: int | None = None
    throughput_mib_s: int | None = None
    encrypted: bool = False
    kms_key_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CreateVolumesInput:
    region: str
    zone: str
    copies: list[VolumeCopy]
    token: str
    tags: dict[str, str] = field(default_factory=dict)
    find_only: bool = False


@dataclass(frozen=True)
class AddressesInput:
    """Elastic addresses and secondary private addresses go to `instance_id`'s primary interface.

    An elastic address that was on a secondary private address follows that address.
    """

    region: str
    instance_id: str
    network_interface_id: str
    elastic_ips: list[ElasticIp] = field(default_factory=list)
    secondary_private_ips: list[str] = field(default_factory=list)
    former_primary_ip: str = ""  # elastic addresses on it go to the new primary address


@dataclass(frozen=True)
class TargetsInput:
    """`instance_id`: whom to (de)register; `targets`: the groups and ports, as inspected.

    `private_ip`: used for groups that register by address.
    """

    region: str
    instance_id: str
    private_ip: str
    targets: list[Target] = field(default_factory=list)


@dataclass(frozen=True)
class MatchAttributesInput:
    """Make `instance_id` equal to `blueprint` where RunInstances cannot (source/dest check…).

    Termination protection is set here too, after commit.
    """

    region: str
    instance_id: str
    blueprint: Blueprint
    protection: bool = False
