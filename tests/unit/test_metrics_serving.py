"""A worker's own `/metrics`, served while it works."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from telemetry.metrics.serving import metrics_served


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_metrics_are_served_meanwhile_and_not_afterwards() -> None:
    registry, port = CollectorRegistry(), free_port()
    Counter("done", "in a test", registry=registry).inc()
    url = f"http://127.0.0.1:{port}/metrics"
    async with metrics_served(registry, "127.0.0.1", port, ""):
        assert "done_total 1.0" in (await asyncio.to_thread(httpx.get, url)).text
    with pytest.raises(httpx.ConnectError):
        await asyncio.to_thread(httpx.get, url)


async def test_a_port_that_is_taken_is_logged_and_the_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    worked = False
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        async with metrics_served(CollectorRegistry(), "127.0.0.1", other.getsockname()[1], ""):
            worked = True
    assert worked
    assert "SPOT_METRICS_PORT" in caplog.text


async def test_without_a_port_nothing_is_served(caplog: pytest.LogCaptureFixture) -> None:
    async with metrics_served(CollectorRegistry(), "127.0.0.1", 0, ""):
        assert caplog.text == ""
