"""A worker's own `/metrics`: on a port of its own, on loopback unless it is told a token."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class UnsafeAddress(ValueError):
    """Metrics would be there for whoever reaches the machine."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A scrape every few seconds is no news."""


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
    """`Bearer <token>`, compared in a time that does not depend on where it differs."""
    return hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode())


def serve(registry: CollectorRegistry, host: str, port: int, token: str = "") -> WSGIServer:
    """A server to run in a thread. Raises UnsafeAddress; OSError when the port is taken."""
    check_address(host, token)
    return make_server(host, port, metrics_app(registry, token), WSGIServer, _Quiet)


def check_address(host: str, token: str) -> None:
    if host not in _LOOPBACK and not token:
        raise UnsafeAddress(f"metrics at {host} can be read by others: set SPOT_METRICS_TOKEN, or listen at 127.0.0.1")
