"""Instances: the EC2 instances in servers' lives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.views.base import View
from api.views.operations import OperationAsked


class InstanceView(View):
    id: str
    server_id: str
    state: str
    role: str | None
    pool: str
    region: str
    zone: str
    instance_type: str
    lifecycle: str
    private_ip: str
    spot_request_id: str
    usd_per_hour: float | None
    operation_id: str | None
    reason: str
    created_at: datetime
    updated_at: datetime
    launch_requested_at: datetime | None
    launch_confirmed_at: datetime | None
    terminate_requested_at: datetime | None
    terminate_confirmed_at: datetime | None
    launch_duration_seconds: float | None
    termination_duration_seconds: float | None
    agent_seen_at: datetime | None = None
    agent_version: str = ""


class InstancePage(View):
    items: list[InstanceView]
    next_cursor: str | None = None


class TerminateRequest(OperationAsked):
    confirm: Annotated[
        str, Field(max_length=191, description="The server's name, to terminate its primary: the server ends")
    ] = ""
