"""Where Temporal may be reached: as the control plane says now, as configured, as the control plane said last.

A rescue must not wait for our API. So the agent begins with any address it has, and keeps one that works.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from agent.state_dir import REGISTRATION, StateDir


@dataclass(frozen=True)
class Address:
    host: str  # host:port
    namespace: str


class TemporalAddresses:
    """Written by the registrar's thread, read by the worker's."""

    def __init__(self, configured: Address | None, state: StateDir) -> None:
        self._lock = threading.Lock()
        self._state = state
        self._configured = configured
        self._registered: Address | None = None
        self._remembered: Address | None = None
        self._moved = False

    def registered(self, host: str, namespace: str, server_id: str) -> None:
        """The address that the control plane gave. It is kept for a start at which the control plane does not
        answer.
        """
        address = Address(host, namespace)
        with self._lock:
            known, self._registered = self._registered, address
            self._moved = self._moved or known not in (None, address)
        if known != address:
            kept = {"temporal_address": host, "temporal_namespace": namespace, "server_id": server_id}
            self._state.write(REGISTRATION, dict(kept))

    def recall(self) -> None:
        """The control plane does not answer: allow the address that it gave last time."""
        kept = self._state.read(REGISTRATION)
        host, namespace = kept.get("temporal_address"), kept.get("temporal_namespace")
        if isinstance(host, str) and isinstance(namespace, str) and host:
            with self._lock:
                self._remembered = Address(host, namespace)

    def pick(self, failures: int) -> Address | None:
        """The best address first, and after each failure the next one. None while none is known."""
        with self._lock:
            known = [a for a in (self._registered, self._configured, self._remembered) if a is not None]
            self._moved = False
        unique = list(dict.fromkeys(known))
        return unique[failures % len(unique)] if unique else None

    def moved_from(self, address: Address) -> bool:
        """Whether the control plane has named another address than before.

        One that only differs from the configured one is no reason to leave a connection that works.
        """
        with self._lock:
            return self._moved and self._registered != address
