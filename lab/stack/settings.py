"""All settings of a stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("database", "temporal", "lab", "api", "worker")

# What the programs see of the caller's environment. Not AWS_*: a stack never finds a way to a real
# account by a profile that happens to be set. Not the proxies: everything is on this machine.
_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "SPOT_LOG_LEVEL"),
    *("SPOT_SAVINGS_EVERY_S", "SPOT_WEBHOOKS_EVERY_S", "SPOT_WEBHOOKS_PRIVATE"),
)


class InvalidSetting(ValueError):
    """Names the variable, its value and what it can be."""


@dataclass(frozen=True)
class StackSettings:
    """One stack. Several with different `var` folders can run at once."""

    var: Path = REPOSITORY / "var"
    database_url: str = ""  # empty: a private server
    database_server: str = ""  # a server on which the stack makes a schema of its own, and drops it at its end
    temporal_server: str = ""  # address of a server on which it makes a namespace of its own; empty: a private server
    region: str = "us-east-1"
    profile: str = "fast"  # how long things take in the lab: fast or realistic
    seed: int = 1  # of the lab's market, when no prices are given
    prices: Path | None = None
    workers: int = 1
    hosts: bool = True  # False: the lab's instances are rows, not processes
    parts: frozenset[str] = frozenset(PARTS)
    standard_ports: bool = False  # 8080, 7233, ... instead of any that are free
    port_choices: Mapping[str, str] = field(default_factory=dict)  # environment variables of lab.stack.ports
    search_attributes: Mapping[str, str] = field(default_factory=dict)  # name -> Keyword, Int, Datetime, ...
    extra: Mapping[str, str] = field(default_factory=dict)  # more environment for every program

    @property
    def logs(self) -> Path:
        return self.var / "log"


def from_environment(environment: Mapping[str, str], *, var: Path | None = None, standard_ports: bool) -> StackSettings:
    """What `make up` and `make demo` take from variables; raises InvalidSetting."""
    return StackSettings(
        var=var or Path(environment.get("SPOT_VAR", "") or REPOSITORY / "var").resolve(),
        database_url=environment.get("DATABASE_URL", ""),
        region=environment.get("LAB_REGION", "") or StackSettings.region,
        profile=_profile(environment.get("LAB_PROFILE", "")),
        seed=_number("LAB_SEED", environment, StackSettings.seed),
        prices=_prices(environment.get("PRICES", "")),
        workers=_number("SPOT_WORKERS", environment, StackSettings.workers),
        standard_ports=standard_ports,
        port_choices=environment,
    )


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of our own environment that the stack's programs see."""
    kept = {name: environment[name] for name in _INHERITED if name in environment}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "PATH": kept.get("PATH", os.defpath)}


def _profile(text: str) -> str:
    if text not in ("", "fast", "realistic"):
        raise InvalidSetting(f"LAB_PROFILE={text!r}: it can be fast or realistic")
    return text or StackSettings.profile


def _number(variable: str, environment: Mapping[str, str], default: int) -> int:
    text = environment.get(variable, "")
    if text and (not text.isdigit() or int(text) < 1):
        raise InvalidSetting(f"{variable}={text!r}: it has to be a whole number from 1")
    return int(text) if text else default


def _prices(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).resolve()
    if not path.is_file():
        raise InvalidSetting(f"PRICES={text!r}: there is no such file (looked at {path})")
    return path
