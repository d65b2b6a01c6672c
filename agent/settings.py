"""The agent's settings, read once at its start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CONFIG_FILE = "/etc/spot-optimizer/agent.json"
IMDS = "http://169.254.169.254"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """The agent cannot start with these settings. The message says which is wrong, and what to do."""


@dataclass(frozen=True)
class Settings:
    """`control_url` or `temporal_address` is given, or both. Empty means not given."""

    control_url: str = ""
    token: str = field(default="", repr=False)  # a client's: it registers this host, and is never logged
    temporal_address: str = ""  # known beforehand: hosts can be rescued while the API is down
    temporal_namespace: str = "default"
    hooks_dir: Path = Path("/etc/spot-optimizer/hooks")
    state_dir: Path = Path("/var/lib/spot-optimizer")
    log_level: str = "INFO"
    imds: str = IMDS


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The environment wins over the file, which has the same keys in lower case."""
    path = environment.get("SPOT_AGENT_CONFIG") or CONFIG_FILE
    file = _read_file(Path(path), must_exist="SPOT_AGENT_CONFIG" in environment)

    def value(key: str, default: str = "") -> str:
        return environment.get(key) or file.get(key.lower()) or default

    settings = Settings(
        control_url=value("SPOT_CONTROL_URL").rstrip("/"),
        token=value("SPOT_TOKEN"),
        temporal_address=value("SPOT_TEMPORAL_ADDRESS"),
        temporal_namespace=value("SPOT_TEMPORAL_NAMESPACE", "default"),
        hooks_dir=Path(value("SPOT_HOOKS_DIR", str(Settings.hooks_dir))),
        state_dir=Path(value("SPOT_STATE_DIR", str(Settings.state_dir))),
        log_level=value("SPOT_LOG_LEVEL", "INFO").upper(),
        imds=value("AWS_EC2_METADATA_SERVICE_ENDPOINT", IMDS).rstrip("/"),
    )
    _check(settings, path)
    return settings


def _check(settings: Settings, path: str) -> None:
    if not settings.control_url and not settings.temporal_address:
        raise SettingsError(
            f"set SPOT_CONTROL_URL and SPOT_TOKEN in the environment, or spot_control_url and spot_token in {path}"
        )
    if settings.control_url and not settings.control_url.startswith(("http://", "https://")):
        raise SettingsError(f"SPOT_CONTROL_URL has to begin with http:// or https://, not {settings.control_url!r}")
    if settings.control_url and not settings.token:
        raise SettingsError(f"set SPOT_TOKEN (or spot_token in {path}) to a token of the client that owns this server")
    if settings.log_level not in LEVELS:
        raise SettingsError(f"SPOT_LOG_LEVEL is {settings.log_level!r}; it can be {', '.join(LEVELS)}")


def _read_file(path: Path, must_exist: bool) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingsError(f"SPOT_AGENT_CONFIG names {path}, which does not exist") from None
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise SettingsError(f'{path} has to hold one JSON object of strings, such as {{"spot_control_url": "..."}}')
    return found
