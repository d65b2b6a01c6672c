"""What agents send and get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from api.views.base import Ec2Id, View
from api.views.servers import TypeName, ZoneName
from domain.host import Notice, NoticeKind, NoticeSource


class AgentRequest(BaseModel):
    """Unlike people's requests these let unknown fields pass: an agent may be newer than the control plane."""


class RegisterRequest(AgentRequest):
    """The identity document and its base64 signature, byte for byte as IMDS gives them."""

    identity_document: Annotated[str, Field(max_length=16_384)]
    signature: Annotated[str, Field(max_length=4_096)] = ""
    agent_version: Annotated[str, Field(max_length=64)] = ""
    booted_at: AwareDatetime | None = None


class RegisteredView(View):
    instance_token: str
    expires_at: datetime
    task_queue: str
    temporal_address: str
    temporal_namespace: str
    server_id: str
    heartbeat_interval_s: float


class HeartbeatRequest(AgentRequest):
    instance_id: Ec2Id
    agent_version: Annotated[str, Field(max_length=64)] = ""


class HeartbeatTaken(View):
    next_in_s: float  # when the next one is due


class NoticeRequest(AgentRequest):
    instance_id: Ec2Id
    kind: NoticeKind
    source: NoticeSource = NoticeSource.IMDS
    seen_at: AwareDatetime
    action: Annotated[str, Field(pattern="^(terminate|stop|hibernate)$")] = "terminate"
    deadline: AwareDatetime | None = None

    def notice(self) -> Notice:
        return Notice(self.instance_id, self.kind, self.source, self.seen_at, self.action, self.deadline)


class NoticeAccepted(View):
    notice_id: str


class ObservedPrice(AgentRequest):
    zone: ZoneName
    instance_type: TypeName
    usd_per_hour: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
    at: AwareDatetime


class PricesRequest(AgentRequest):
    prices: Annotated[list[ObservedPrice], Field(min_length=1, max_length=1_000)]


class PricesAccepted(View):
    """`set_aside`: those that cannot be true, such as many times the on-demand price."""

    recorded: int
    set_aside: int
