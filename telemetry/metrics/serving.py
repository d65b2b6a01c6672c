"""A worker's own `/metrics`: on a port of its own, on loopback unless there is a token."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class UnsafeAddress(ValueError):
    """Everybody who reaches the machine could read the metrics."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Prometheus asks every few seconds: that is not worth a line."""


def metrics_app(registry: CollectorRegistry, token: str) -> Callable[..., Iterable[bytes]]:
    """WSGI. Without a token everybody who reaches it may read."""
    inner = make_wsgi_app(registry)

    def app(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            start_response("404 Not Found", [])
            return [b""]
        if token and not allowed(environ.get("HTTP_AUTHORIZATION", ""), token):
            start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer")])
            return [b""]
        return list(inner(environ, start_response))

    return app


def allowed(authorization: str, token: str) -> bool:
    """Whether it is `Bearer <token>`. The time that this takes does not depend on where it differs."""
    return hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())


def serve(registry: CollectorRegistry, host: str, port: int, token: str = "") -> WSGIServer:
    """A server to run in a thread. Raises UnsafeAddress, and OSError when the port is taken."""
    check_address(host, token)
    return make_server(host, port, metrics_app(registry, token), WSGIServer, _Quiet)


def check_address(host: str, token: str) -> None:
    if host not in _LOOPBACK and not token:
        raise UnsafeAddress(f"metrics at {host} can be read by others: set SPOT_METRICS_TOKEN, or listen at 127.0.0.1")


@asynccontextmanager
async def metrics_served(registry: CollectorRegistry, host: str, port: int, token: str) -> AsyncIterator[None]:
    """Serve `/metrics` meanwhile, in a thread of its own: it has to answer while the event loop is busy.

    Port 0: nothing is served. A port that is taken is logged: servers have to be watched all the same, and
    Prometheus sees that its target is down.
    """
    try:
        server = serve(registry, host, port, token) if port else None
    except OSError as error:
        log.error("no metrics: cannot listen at %s:%d (%s); free the port or set SPOT_METRICS_PORT", host, port, error)
        server = None
    if server is None:
        yield
        return
    serving = asyncio.create_task(asyncio.to_thread(server.serve_forever))
    log.info("metrics at http://%s:%d/metrics", host, port)
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        await serving
        server.server_close()


def temporal_runtime(host: str, port: int) -> Runtime:
    """The SDK counts and times its own work and serves that itself: in seconds, named as Prometheus wants it.

    Port 0: it serves nothing.
    """
    if not port:
        return Runtime.default()
    config = PrometheusConfig(
        bind_address=f"{host}:{port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=config))
    except ValueError as error:
        log.error("no metrics of Temporal's SDK: cannot listen at %s (%s)", config.bind_address, error)
        return Runtime.default()
