"""The agent's connection to Temporal: the one place that knows the address form and the credentials."""

from __future__ import annotations

import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

CONNECT_TIMEOUT = timedelta(seconds=3)


def open_runtime() -> Runtime:
    """Call it once a process. Worker heartbeats are off: an activity worker needs none, and each is a call."""
    forwarding = LogForwardingConfig(logging.getLogger("temporal"))
    logs = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
    return Runtime(telemetry=TelemetryConfig(logging=logs), worker_heartbeat_interval=None)


async def connect(
    address: str, namespace: str, token: str, identity: str = "", runtime: Runtime | None = None
) -> Client:
    """A connected client. `address` is host:port, or https://host:port for TLS.

    Raises RuntimeError when nobody answers there. The token is empty while there is none yet.
    """
    scheme, _, rest = address.rpartition("://")
    return await Client.connect(
        rest,
        namespace=namespace,
        tls=scheme == "https",
        rpc_metadata=credentials(token),
        identity=identity or None,
        connect_timeout=CONNECT_TIMEOUT,
        runtime=runtime,
    )


def renew(client: Client, token: str) -> None:
    """Send another token from now on. Nothing is interrupted."""
    client.rpc_metadata = credentials(token)


def credentials(token: str) -> dict[str, str | bytes]:
    return {"authorization": f"Bearer {token}"} if token else {}
