"""What runs, in which version, and how it is: for admins."""

from __future__ import annotations

from datetime import datetime

from api.views.base import View


class VersionsView(View):
    """Empty: it could not be asked."""

    product: str
    python: str
    database: str
    temporal: str


class DatabaseView(View):
    """`migration` and `migration_wanted`: where its schema is, and what this code is written for."""

    ok: bool
    address: str
    detail: str
    ms: float | None
    migration: str | None
    migration_wanted: str | None


class PollerView(View):
    queue: str
    kind: str
    identity: str
    last_poll_at: datetime


class ScheduleView(View):
    schedule_id: str
    workflow: str
    paused: bool
    note: str
    last_run_at: datetime | None
    next_run_at: datetime | None


class TemporalView(View):
    ok: bool
    address: str
    namespace: str
    detail: str
    ui_url: str
    pollers: list[PollerView]
    schedules: list[ScheduleView]


class ApiProcessView(View):
    """The process that answered; others may run beside it."""

    host: str
    pid: int
    started_at: datetime
    stream_readers: int


class SystemView(View):
    """`counts`: of all clients. `at`: the server's clock."""

    versions: VersionsView
    database: DatabaseView
    temporal: TemporalView
    process: ApiProcessView
    counts: dict[str, int]
    at: datetime


class LiveView(View):
    status: str = "alive"


class DependencyView(View):
    ok: bool
    address: str
    detail: str = ""


class ReadyView(View):
    ready: bool
    dependencies: dict[str, DependencyView]
