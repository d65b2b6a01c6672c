"""Servers: adoption, policy, and how they look now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from api.http.problems import FindingDocument
from api.views.autopilot import AutopilotChange
from api.views.base import Ec2Id, Name, Region, Request, View
from api.views.instances import InstanceView
from api.views.operations import OperationSummary
from api.views.pools import PoolName
from domain.adoption import LaunchSpec
from domain.servers import Handoff, Retire, ServerPolicy, ServiceAddress

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
ZoneName = Annotated[str, Field(min_length=1, max_length=32)]
TypeName = Annotated[str, Field(max_length=32, pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$", examples=["m5.large"])]
TypeOrFamily = Annotated[str, Field(max_length=32, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)?$", examples=["t3", "m5.large"])]
SubnetId = Annotated[str, Field(max_length=64, pattern=r"^subnet-[0-9a-zA-Z]+$")]
GroupId = Annotated[str, Field(max_length=64, pattern=r"^sg-[0-9a-zA-Z]+$")]
Accept = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=50)]  # codes of findings
VolumeGib = Annotated[int, Field(ge=1, le=65_536)]


class PolicyChange(Request):
    """What its owner allows. A field that is absent stays as it is."""

    handoff: Handoff = Handoff.STATELESS
    instance_types: Annotated[list[TypeName], Field(max_length=100)] = Field(default_factory=list)
    denied_types: Annotated[list[TypeOrFamily], Field(max_length=100)] = Field(default_factory=list)
    min_network_gbps: Annotated[float | None, Field(gt=0, le=10_000, allow_inf_nan=False)] = None
    min_ebs_mbps: Annotated[float | None, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = None
    zones: Annotated[list[ZoneName], Field(max_length=50)] = Field(default_factory=list)
    denied_zones: Annotated[list[ZoneName], Field(max_length=50)] = Field(default_factory=list)
    subnets: dict[ZoneName, SubnetId] = Field(default_factory=dict)
    service_address: Annotated[
        ServiceAddress, Field(description="Where clients find it: `primary` is the primary address, which cannot move")
    ] = ServiceAddress.AUTO
    retire: Retire = Retire.TERMINATE
    launch_timeout_s: Seconds = 300.0
    terminate_timeout_s: Seconds = 180.0
    quiesce_timeout_s: Seconds = 60.0
    resume_timeout_s: Seconds = 60.0
    hook_timeout_s: Seconds = 60.0
    drain_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 30.0
    cool_down_s: Annotated[float, Field(ge=0, le=7 * 86_400, allow_inf_nan=False)] = 1800.0
    failover_pools: Annotated[int, Field(ge=1, le=10)] = 3
    max_spot_usd_per_hour: Annotated[float | None, Field(gt=0, le=1_000, allow_inf_nan=False)] = None
    autopilot: AutopilotChange = AutopilotChange()
    keep_retired_s: Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)] = 3600.0
    keep_snapshots: Annotated[int, Field(ge=1, le=1_000)] = 1
    keep_snapshots_days: Annotated[float, Field(ge=1, le=3_650, allow_inf_nan=False)] = 30.0
    keep_images: Annotated[int, Field(ge=1, le=1_000)] = 3
    keep_images_days: Annotated[float, Field(ge=1, le=3_650, allow_inf_nan=False)] = 90.0

    def over(self, policy: ServerPolicy) -> ServerPolicy:
        """The policy with the given fields changed."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "autopilot" in given:
            given["autopilot"] = self.autopilot.over(policy.autopilot)
        return replace(policy, **given)


class ServerChange(Request):
    policy: PolicyChange


class LaunchRequest(Request):
    """A new server to launch; `user_data` is plain text."""

    image_id: Annotated[str, Field(max_length=64, pattern=r"^ami-[0-9a-zA-Z]+$")]
    pool: PoolName
    subnet_id: Annotated[str, Field(max_length=64, pattern=r"^(subnet-[0-9a-zA-Z]+)?$")] = ""
    security_group_ids: Annotated[list[GroupId], Field(max_length=16)] = Field(default_factory=list)
    key_name: Annotated[str, Field(max_length=255)] = ""
    instance_profile_arn: Annotated[str, Field(max_length=2_048)] = ""
    user_data: Annotated[str, Field(max_length=16_384)] = ""
    tags: Annotated[dict[str, str], Field(max_length=40)] = Field(default_factory=dict)
    data_volumes_gib: Annotated[list[VolumeGib], Field(max_length=20)] = Field(default_factory=list)

    def spec(self) -> LaunchSpec:
        return LaunchSpec(**self.model_dump())


class NewServer(Request):
    """What a new server is called and how it may be moved."""

    name: Name
    region: Region
    policy: PolicyChange = PolicyChange()


class ServerRequest(NewServer):
    """A running instance to adopt, or a new one to launch: exactly one of `instance_id` and `launch`.

    `accept`: codes of findings that the owner takes; `dry_run`: look, and change nothing; `mend`: data volumes
    that would die with the instance are set to outlive it, instead of being a reason to refuse.
    """

    instance_id: Ec2Id | None = None
    launch: LaunchRequest | None = None
    accept: Accept = Field(default_factory=list)
    dry_run: bool = False
    mend: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.instance_id is None) == (self.launch is None):
            raise ValueError("give either instance_id, to adopt, or launch")
        if self.launch is not None and (self.dry_run or self.mend):
            raise ValueError("dry_run and mend are for adoption; a launch has no such step")
        return self


class InstanceRequest(NewServer):
    launch: LaunchRequest


class PlacementView(View):
    instance_id: str
    pool: str
    spot_request_id: str
    usd_per_hour: float


class AdoptionView(View):
    """`server_id` empty: a dry run. `moves` says what will follow the server, in words."""

    server_id: str
    name: str
    handoff: Handoff | None
    placement: PlacementView | None
    findings: list[FindingDocument]
    moves: list[str]


class ResumeRequest(Request):
    """`accept`: codes of findings that shall not refuse it; `dry_run`: look, and change nothing; `let_go`: of its
    instances none is left, and it shall end."""

    accept: Accept = Field(default_factory=list)
    dry_run: bool = False
    let_go: bool = False


class ResumeView(View):
    """Neither `resumed` nor `let_go`: a dry run, which would be refused by the findings that block. `ended`:
    operations whose workflows are gone; they are kept as `needs_attention`."""

    server_id: str
    resumed: bool
    let_go: bool
    placement: PlacementView | None
    findings: list[FindingDocument]
    ended: list[str]


class ServerSummary(View):
    id: str
    name: str
    region: str
    handoff: str
    state: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    primary: InstanceView | None = None
    replica: InstanceView | None = None
    running: OperationSummary | None = None


class ServerView(ServerSummary):
    account_id: str
    policy: ServerPolicy
    moves: list[str]
    ended_how: str | None
    version: int
    operations: list[OperationSummary] = Field(default_factory=list)


class ServerPage(View):
    items: list[ServerSummary]
    next_cursor: str | None = None
