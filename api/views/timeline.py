"""A server's life: who played it when, where, in what state; what AWS said; what was done; when it was out."""

from __future__ import annotations

from datetime import datetime

from api.views.base import View
from api.views.operations import OperationSummary


class SpanView(View):
    """A stretch of an instance's life. `until` None: it lasts."""

    state: str
    role: str | None
    since: datetime
    until: datetime | None


class LifeView(View):
    """An instance in this server's life; `ended_at` None: it is still ours."""

    id: str
    pool: str
    zone: str
    instance_type: str
    lifecycle: str
    state: str
    role: str | None
    usd_per_hour: float | None
    started_at: datetime
    ended_at: datetime | None
    spans: list[SpanView]


class NoticeView(View):
    notice_id: str
    instance_id: str
    kind: str
    source: str
    action: str
    seen_at: datetime
    deadline: datetime | None
    operation_id: str | None
    handled_at: datetime | None
    handled: str


class OutageView(View):
    """As the control plane measured it: from the first fence to healthy service."""

    operation_id: str
    kind: str
    since: datetime
    until: datetime
    ms: int


class TimelineView(View):
    """Oldest first; the latest 200 of each kind."""

    server_id: str
    name: str
    instances: list[LifeView]
    notices: list[NoticeView]
    outages: list[OutageView]
    operations: list[OperationSummary]
    at: datetime
