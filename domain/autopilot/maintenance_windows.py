"""Maintenance windows: times in which ordinary moves may happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Weekday(StrEnum):
    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


_ORDER = list(Weekday)


@dataclass(frozen=True)
class MaintenanceWindow:
    """From `start` to `end`, local times "HH:MM" of `timezone` (IANA). `days`: when it starts; empty: every day. It
    goes past midnight if `end` is the earlier time."""

    start: str
    end: str
    days: list[Weekday] = field(default_factory=list)
    timezone: str = "UTC"

    def problem(self) -> str:
        """Why the window is not valid; empty when it is."""
        try:
            start, end = time.fromisoformat(self.start), time.fromisoformat(self.end)
        except ValueError:
            return f"{self.start}-{self.end} are not times of day; write them as HH:MM"
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return f"{self.timezone!r} is no time zone; write an IANA name such as Europe/Berlin, or UTC"
        if start == end:
            return f"the window {self.start}-{self.end} is empty; leave windows out for all day"
        return ""

    def holds(self, at: datetime) -> bool:
        """Whether the moment is inside. `at` is aware."""
        local = at.astimezone(ZoneInfo(self.timezone))
        start, end, now = time.fromisoformat(self.start), time.fromisoformat(self.end), local.time()
        if start < end:
            return start <= now < end and self._on(local)
        # The part after midnight belongs to the day before.
        return (now >= start and self._on(local)) or (now < end and self._on(local - timedelta(days=1)))

    def _on(self, local: datetime) -> bool:
        return not self.days or _ORDER[local.weekday()] in self.days


def any_window_open(windows: list[MaintenanceWindow], at: datetime) -> bool:
    """Whether ordinary moves may happen; without windows, always."""
    return not windows or any(window.holds(at) for window in windows)
