"""Adoption and plans: what is checked before anything is changed, and the result."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from domain.autopilot.move_cost import MoveCost
from domain.autopilot.policy import AutopilotPolicy
from domain.pools import Candidate
from domain.servers import Handoff, Placement, ServerPolicy, ServerRef


@dataclass(frozen=True)
class Finding:
    """Something that would be lost, or would prevent a move, and the call that fixes it."""

    code: str  # root_is_instance_store, primary_address_must_stay, volume_dies_with_instance, ...
    what: str
    mend: str = ""  # for example an `aws ec2 …` command line
    blocking: bool = True


@dataclass(frozen=True)
class AdoptInput:
    """Without `mend`, volumes that end with the instance make the adoption refused, with the call that fixes it."""

    server: ServerRef
    instance_id: str
    policy: ServerPolicy
    accept: list[str] = field(default_factory=list)  # finding codes the owner accepts
    mend: bool = False  # let us set DeleteOnTermination=false on data volumes that would die
    dry_run: bool = False


@dataclass(frozen=True)
class AdoptResult:
    """`server_id` empty: refused (or dry run), with the findings that say why."""

    server_id: str = ""
    handoff: Handoff | None = None
    placement: Placement | None = None
    findings: list[Finding] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)  # "volume vol-… (/dev/sdf)", "elastic IP 127.…"


@dataclass(frozen=True)
class LaunchSpec:
    """A new server to launch: what RunInstances needs of it. `user_data` is plain text."""

    image_id: str
    pool: str
    subnet_id: str = ""
    security_group_ids: list[str] = field(default_factory=list)
    key_name: str = ""
    instance_profile_arn: str = ""
    user_data: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    data_volumes_gib: list[int] = field(default_factory=list)

    @property
    def user_data_base64(self) -> str:
        return base64.b64encode(self.user_data.encode()).decode()


@dataclass(frozen=True)
class MoveTerms:
    """What the cost of a move depends on besides the market. `autopilot`: the server's policy, resolved."""

    home_type: str  # the type the server came with
    autopilot: AutopilotPolicy


@dataclass(frozen=True)
class PlanInput:
    """`terms` None: the cost of the move is not wanted."""

    server: ServerRef
    policy: ServerPolicy
    primary: Placement
    pool: str = ""
    cool_downs: dict[str, float] = field(default_factory=dict)
    emergency: bool = False
    terms: MoveTerms | None = None


@dataclass(frozen=True)
class PlannedStep:
    name: str
    does: str  # in words
    calls: list[str] = field(default_factory=list)  # EC2 API actions
    expected_s: float = 0.0
    outage: bool = False  # the service is out during this step
    point_of_no_return: bool = False


@dataclass(frozen=True)
class Plan:
    """A dry run: what a switch would do, in order. It is refused if any of the `findings` block it."""

    handoff: Handoff
    from_pool: str
    candidates: list[Candidate] = field(default_factory=list)  # in the order they will be tried
    steps: list[PlannedStep] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    expected_outage_s: float = 0.0
    hourly_now: float = 0.0
    hourly_then: float = 0.0
    reason: str = ""
    move: MoveCost | None = None  # to the first of the candidates
