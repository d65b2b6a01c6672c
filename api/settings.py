"""The API's settings: environment variables, checked once at start."""

from __future__ import annotations

from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url

from api.access.tokens import digest_of
from domain.heartbeats import HEARTBEATS_A_SECOND

SIGNING_KEY_BYTES = 32  # HS256 asks for a key as long as its digest, RFC 7518 section 3.2


class Settings(BaseSettings):
    """Each field is the environment variable of that name; the product's own begin with `SPOT_`."""

    model_config = SettingsConfigDict(env_prefix="SPOT_", extra="ignore", populate_by_name=True)

    database_url: Annotated[SecretStr, Field(validation_alias=AliasChoices("DATABASE_URL", "database_url"))]
    temporal_address: Annotated[str, Field(validation_alias=AliasChoices("TEMPORAL_ADDRESS", "temporal_address"))] = (
        "127.0.0.1:7233"
    )
    temporal_namespace: Annotated[
        str, Field(validation_alias=AliasChoices("TEMPORAL_NAMESPACE", "temporal_namespace"))
    ] = "default"
    admin_token: SecretStr | None = None
    signing_key: SecretStr
    agent_temporal_address: str = ""
    identity_certificate: Path | None = None
    metrics_token: SecretStr | None = None
    temporal_ui_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    webhooks_private: bool = False  # webhooks may be private addresses, and http
    dashboard_dir: Path = Path(__file__).resolve().parent.parent / "dashboard" / "dist"
    heartbeats_per_second: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="Of all agents; they beat less often beyond")
    ] = HEARTBEATS_A_SECOND
    https: Annotated[bool, Field(description="People reach the page by https, though a proxy takes TLS off")] = False
    trusted_proxies: Annotated[str, Field(description="Whose X-Forwarded-For and -Proto count")] = "127.0.0.1,::1"
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8080

    @field_validator("signing_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < SIGNING_KEY_BYTES:
            raise ValueError(f"needs at least {SIGNING_KEY_BYTES} bytes; make one with `openssl rand -hex 32`")
        return key

    @field_validator("admin_token", "metrics_token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None or not token.get_secret_value():
            return None
        if len(token.get_secret_value()) < 16:
            raise ValueError("needs at least 16 characters; make one with `openssl rand -hex 32`")
        return token

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: str) -> str:
        """Refuse `*`: it would trust every sender of X-Forwarded-For."""
        found = [one.strip() for one in proxies.split(",") if one.strip()]
        for one in found:
            try:
                ip_network(one)
            except ValueError as error:
                raise ValueError(f"addresses or networks, with commas between: {error}") from error
        return ",".join(found)

    def workflow_url(self, workflow_id: str, run_id: str = "") -> str | None:
        """The workflow's address in Temporal's UI; None: no UI is configured."""
        if not self.temporal_ui_url or not workflow_id:
            return None
        place = f"{self.temporal_ui_url.rstrip('/')}/namespaces/{quote(self.temporal_namespace, safe='')}/workflows"
        return "/".join([place, quote(workflow_id, safe=""), *([quote(run_id, safe="")] if run_id else [])])

    @cached_property
    def admin_digest(self) -> str:
        """The digest of the admin's token; empty: no token is configured."""
        return digest_of(self.admin_token.get_secret_value()) if self.admin_token else ""

    @property
    def database_address(self) -> str:
        """The database's address, without its password."""
        url = make_url(self.database_url.get_secret_value())
        where = str(url.query.get("unix_socket", "")) or f"{url.host}:{url.port or 3306}"
        return f"{where}/{url.database or ''}"

    @property
    def agents_temporal_address(self) -> str:
        """Where agents reach Temporal; the API may reach it at another address."""
        return self.agent_temporal_address or self.temporal_address
