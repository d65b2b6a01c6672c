"""What the autopilot may do, as it is asked for and shown."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator

from api.views.base import Request
from domain.autopilot.crowding import FleetLimits
from domain.autopilot.maintenance_windows import MaintenanceWindow, Weekday
from domain.autopilot.policy import AutopilotPreferences, AutoSwitch, ReplicaMode, Tolerance

TimeOfDay = Annotated[str, Field(pattern=r"^\d{2}:\d{2}$", examples=["22:00"])]
_WISH = TypeAdapter(AutopilotPreferences)


class WindowRequest(Request):
    """From `start` to `end`, past midnight if `end` is the earlier, on the days it starts; no days: every day."""

    start: TimeOfDay
    end: TimeOfDay
    days: Annotated[list[Weekday], Field(max_length=7)] = Field(default_factory=list)
    timezone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])] = "UTC"

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if problem := self.window().problem():
            raise ValueError(problem)
        return self

    def window(self) -> MaintenanceWindow:
        return MaintenanceWindow(self.start, self.end, list(self.days), self.timezone)


class AutopilotChange(Request):
    """A field that is absent stays; null: as the client says, else the default.

    `outage_usd_per_hour` and `tolerance` say the same thing in two ways: give one. `min_saving` is a part of what
    is paid now.
    """

    auto_switch: AutoSwitch | None = None
    approval_needed: bool | None = None
    replica: ReplicaMode | None = None
    keep_old_s: Annotated[float | None, Field(ge=0, le=7 * 86_400, allow_inf_nan=False)] = None
    min_saving: Annotated[float | None, Field(ge=0, lt=1, allow_inf_nan=False)] = None
    outage_usd_per_hour: Annotated[float | None, Field(ge=0, le=10_000_000, allow_inf_nan=False)] = None
    tolerance: Tolerance | None = None
    windows: Annotated[list[WindowRequest] | None, Field(max_length=20)] = None
    max_moves_per_week: Annotated[int | None, Field(ge=0, le=1_000)] = None
    minimum_stay_h: Annotated[float | None, Field(ge=0, le=8_760, allow_inf_nan=False)] = None
    frozen: bool | None = None
    frozen_until: datetime | None = None

    @model_validator(mode="after")
    def _one_cost(self) -> Self:
        if self.outage_usd_per_hour is not None and self.tolerance is not None:
            raise ValueError("give either outage_usd_per_hour or tolerance: each says what an outage costs")
        if self.frozen_until is not None and self.frozen_until.tzinfo is None:
            raise ValueError("frozen_until needs its offset from UTC, such as 2026-12-24T18:00:00Z")
        return self

    def over(self, wish: AutopilotPreferences) -> AutopilotPreferences:
        """The wish with the given fields changed. A cost given in one way replaces one given in the other."""
        given = self.model_dump(include=self.model_fields_set)
        if given.get("tolerance") is not None:
            given["outage_usd_per_hour"] = None
        if given.get("outage_usd_per_hour") is not None:
            given["tolerance"] = None
        merged: AutopilotPreferences = _WISH.validate_python(asdict(wish) | given)
        return merged


Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class LimitsChange(Request):
    """Parts are of the client's active servers. A field that is absent stays."""

    most_per_pool: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    most_per_zone: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    least_on_demand: Part = 0.0
    moves_at_once: Annotated[int, Field(ge=0, le=10_000, description="0: as many as the control plane allows")] = 0

    def over(self, limits: FleetLimits) -> FleetLimits:
        return replace(limits, **self.model_dump(include=self.model_fields_set))


class ClientChange(Request):
    """What holds for all of a client's servers that do not say otherwise, and for its fleet as a whole."""

    autopilot: AutopilotChange | None = None
    limits: LimitsChange | None = None
