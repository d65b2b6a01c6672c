"""What the autopilot may do: a server's preferences, then its client's, then the defaults; and contradictions in it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.autopilot.maintenance_windows import MaintenanceWindow

HOURS_A_WEEK = 168.0


class AutoSwitch(StrEnum):
    OFF = "off"
    PROPOSE = "propose"  # decisions wait for approval, with their plan
    ON = "on"


class ReplicaMode(StrEnum):
    NONE = "none"
    ON_RISK = "on_risk"
    ALWAYS = "always"


class Tolerance(StrEnum):
    """What an hour of outage costs, as a multiple of the server's on-demand price."""

    RELAXED = "relaxed"
    NORMAL = "normal"
    STRICT = "strict"

    @property
    def weight(self) -> float:
        return {"relaxed": 1.0, "normal": 10.0, "strict": 50.0}[self.value]


class Contradiction(ValueError):
    """A policy contradicts itself; the message says where, and what to change."""


@dataclass(frozen=True)
class AutopilotPreferences:
    """What an owner has set. None: as the client has it, else the default of `AutopilotPolicy`."""

    auto_switch: AutoSwitch | None = None
    approval_needed: bool | None = None
    replica: ReplicaMode | None = None
    keep_old_s: float | None = None
    min_saving: float | None = None
    outage_usd_per_hour: float | None = None
    tolerance: Tolerance | None = None
    windows: list[MaintenanceWindow] | None = None
    max_moves_per_week: int | None = None
    minimum_stay_h: float | None = None
    frozen: bool | None = None
    frozen_until: datetime | None = None


@dataclass(frozen=True)
class AutopilotPolicy:
    """Preferences with every value resolved.

    `approval_needed`: with `on`, ordinary moves wait for approval, and only urgent ones go ahead. `keep_old_s`:
    the old instance stays for so long after a switch. `min_saving`: part of what is paid now that an ordinary move
    has to save. `windows`, `max_moves_per_week`, `minimum_stay_h`: for ordinary moves alone. A freeze stops all
    but a person's requests and rescues.
    """

    auto_switch: AutoSwitch = AutoSwitch.OFF
    approval_needed: bool = False
    replica: ReplicaMode = ReplicaMode.NONE
    keep_old_s: float = 0.0
    min_saving: float = 0.05
    outage_usd_per_hour: float | None = None  # None: by `tolerance`
    tolerance: Tolerance = Tolerance.NORMAL
    windows: list[MaintenanceWindow] = field(default_factory=list)
    max_moves_per_week: int = 7
    minimum_stay_h: float = 1.0
    frozen: bool = False
    frozen_until: datetime | None = None

    def outage_usd(self, on_demand_usd_per_hour: float) -> float:
        """What an hour of outage costs this server, USD."""
        if self.outage_usd_per_hour is not None:
            return self.outage_usd_per_hour
        return self.tolerance.weight * on_demand_usd_per_hour

    def is_frozen(self, now: datetime) -> bool:
        return self.frozen or (self.frozen_until is not None and now < self.frozen_until)


def resolve_policy(server: AutopilotPreferences, client: AutopilotPreferences) -> AutopilotPolicy:
    """Field by field: the server's value, else the client's, else the default."""
    values: dict[str, Any] = {}
    for one in fields(AutopilotPreferences):
        for preferences in (server, client):
            if (value := getattr(preferences, one.name)) is not None:
                values[one.name] = value
                break
    # A tolerance set for a server counts before a price per hour that the client has set for all.
    if server.tolerance is not None and server.outage_usd_per_hour is None:
        values.pop("outage_usd_per_hour", None)
    return AutopilotPolicy(**values)


def check_policy(policy: AutopilotPolicy, *, keeps_replica: bool = False) -> None:
    """Raise `Contradiction`. `keeps_replica`: the server's switches leave the old instance as replica."""
    for window in policy.windows:
        if problem := window.problem():
            raise Contradiction(problem)
    if policy.approval_needed and policy.auto_switch is not AutoSwitch.ON:
        raise Contradiction(
            f"approval_needed is for auto_switch `on`; with `{policy.auto_switch.value}` "
            + ("nothing is moved" if policy.auto_switch is AutoSwitch.OFF else "everything waits for approval already")
        )
    if policy.auto_switch is not AutoSwitch.OFF and policy.max_moves_per_week == 0:
        raise Contradiction("max_moves_per_week 0 allows no move; set auto_switch to `off`, or frozen for a while")
    if policy.max_moves_per_week * policy.minimum_stay_h > HOURS_A_WEEK:
        raise Contradiction(
            f"{policy.max_moves_per_week} moves a week cannot each be followed by a stay of "
            f"{policy.minimum_stay_h:g} h; lower one of them"
        )
    if policy.replica is ReplicaMode.ON_RISK and policy.outage_usd_per_hour == 0:
        raise Contradiction(
            "replica `on_risk` is made for what an outage costs, and outage_usd_per_hour is 0; name a cost, or take "
            "`none` or `always`"
        )
    if keeps_replica and policy.keep_old_s:
        raise Contradiction("keep_old_s is for an old instance that ends; with retire `keep_replica` it stays")
