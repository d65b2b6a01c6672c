"""What the worker is told by its environment, checked once at its start."""

from __future__ import annotations

import logging
import os
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.heartbeats import WATCH_BEATS_A_SECOND
from domain.market.contract import ThinOutInput
from domain.reconciliation.facts import GracePeriods

DATABASE_URL = "mysql+pymysql://user:password@host:3306/name"


def _home_region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _known_level(level: str) -> str:
    if level not in logging.getLevelNamesMapping():
        raise ValueError(f"{level!r}; write DEBUG, INFO, WARNING or ERROR")
    return level


# A description says what to write; `_complaint` shows it.
Count = Annotated[int, Field(ge=0, description="a whole number, 0 or more")]
Slots = Annotated[int, Field(ge=1, description="a whole number above 0, as 40")]
Port = Annotated[int, Field(ge=0, le=65535, description="a port, or 0 for none")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, description="seconds, 0 or more")]
Interval = Annotated[float, Field(ge=0, allow_inf_nan=False, description="seconds, or 0 for never")]
Days = Annotated[float, Field(ge=0, allow_inf_nan=False, description="days, 0 or more")]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False, description=f"a number above 0, as {WATCH_BEATS_A_SECOND:g}")]
Regions = Annotated[tuple[str, ...], NoDecode, BeforeValidator(lambda text: tuple(text.split(",")))]
Tiers = Annotated[ThinOutInput, NoDecode, BeforeValidator(ThinOutInput.read)]
Switch = Annotated[bool, BeforeValidator(lambda text: text.lower() in {"1", "true", "yes"})]
Level = Annotated[str, AfterValidator(_known_level)]


class WorkerSettings(BaseSettings):
    """Each field is the environment variable of the same name; `SPOT_` goes before the product's own."""

    model_config = SettingsConfigDict(env_prefix="SPOT_", extra="ignore", frozen=True, validate_default=False)

    database_url: Annotated[SecretStr, Field(validation_alias="DATABASE_URL", min_length=1, description=DATABASE_URL)]
    temporal_address: Annotated[str, Field(validation_alias="TEMPORAL_ADDRESS")] = "127.0.0.1:7233"
    temporal_namespace: Annotated[str, Field(validation_alias="TEMPORAL_NAMESPACE")] = "default"
    regions: Annotated[Regions, Field(default_factory=lambda: (_home_region(),))]
    notice_queue_url: str = ""
    notice_queue_region: Annotated[str, Field(default_factory=_home_region)]
    worker_ready_file: str = ""
    control_slots: Slots = 40
    emergency_slots: Slots = 40
    autopilot_every_s: Interval = 60.0
    autopilot_moves: Count = 20  # of the autopilot, under way at once
    prices_every_s: Interval = 300.0
    reconcile_every_s: Interval = 120.0
    grace_ours_s: Seconds = GracePeriods.ours_s
    grace_gone_s: Seconds = GracePeriods.gone_s
    agent_silent_s: Seconds = GracePeriods.silent_s
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0
    metrics_token: SecretStr = SecretStr("")
    temporal_metrics_port: Port = 0  # where the Temporal SDK serves its own metrics
    keep_prices: Tiers = ThinOutInput()
    savings_every_s: Interval = 900.0
    webhooks_every_s: Interval = 10.0
    webhooks_private: Switch = False  # messages may go to private addresses, and by http
    signing_key: SecretStr = SecretStr("")  # opens the secrets of webhooks; empty: no message is sent
    watch_beats_per_second: Rate = WATCH_BEATS_A_SECOND  # of all watched instances; they beat less often beyond
    events_days: Days = 90.0  # for events, the log of deliveries, and decisions that came to nothing
    log_level: Level = "INFO"

    @property
    def grace_periods(self) -> GracePeriods:
        return GracePeriods(self.grace_ours_s, self.grace_gone_s, self.agent_silent_s)


class SettingsError(Exception):
    """The worker cannot start with these settings. Each line of the message names a variable and what to write."""


def read_settings() -> WorkerSettings:
    """Raises SettingsError."""
    try:
        return WorkerSettings()  # type: ignore[call-arg]  # the environment gives them
    except ValidationError as error:
        raise SettingsError("\n".join(_complaint(found) for found in error.errors(include_url=False))) from None


def variable_name(field: str) -> str:
    """The environment variable of a field of WorkerSettings."""
    alias = WorkerSettings.model_fields[field].validation_alias
    return str(alias or f"SPOT_{field.upper()}")


def _complaint(found: ErrorDetails) -> str:
    field = next(name for name in WorkerSettings.model_fields if found["loc"][0] in (name, variable_name(name)))
    if found["type"] == "value_error":
        return f"{variable_name(field)} is {found['ctx']['error']}"
    info = WorkerSettings.model_fields[field]
    value = "not set" if info.annotation is SecretStr else repr(found["input"])  # a secret is never shown
    return f"{variable_name(field)} is {value}; write {info.description or found['msg']}"
