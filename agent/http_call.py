"""One HTTP call to IMDS or the control plane, timed and logged; and how long to wait before the next."""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Mapping

import httpx

log = logging.getLogger(__name__)


class Backoff:
    """Seconds before the next try: doubled after each, up to a limit.

    Jitter keeps a fleet's agents from coming back all at once after an outage.
    """

    def __init__(self, first: float, most: float) -> None:
        self.first = first
        self.most = most
        self._now = first

    def next(self) -> float:
        delay = self._now
        self._now = min(self._now * 2, self.most)
        return delay * random.uniform(0.8, 1.0)  # noqa: S311  no secret depends on it

    def reset(self) -> None:
        self._now = self.first


def open_client(base_url: str, timeout_s: float) -> httpx.Client:
    """A client of one service. IMDS and other plain HTTP need no certificates, which are slow to load."""
    plain = base_url.startswith("http://")
    return httpx.Client(
        base_url=base_url,
        timeout=timeout_s,
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True,
        trust_env=not plain,  # a proxy of the machine's must not come between us and a link-local address
    )


def call(
    client: httpx.Client, method: str, path: str, headers: Mapping[str, str], body: object = None
) -> httpx.Response:
    """Send and log method, path, status and milliseconds; headers and bodies carry tokens and are not logged."""
    started = time.perf_counter()
    status: int | str = "unreachable"
    try:
        response = client.request(method, path, headers=dict(headers), json=body)
        status = response.status_code
    finally:
        ms = round((time.perf_counter() - started) * 1000, 1)
        fields = {"host": client.base_url.netloc.decode(), "method": method, "path": path, "status": status, "ms": ms}
        log.debug("call", extra=fields)
    return response
