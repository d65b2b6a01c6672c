"""Keeps this host registered: at the start, before its token ends, and when the token is refused."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from agent.boot import booted_at
from agent.control_plane import ControlPlane, ControlPlaneError, ControlPlaneRefusal, Registration
from agent.http_call import Backoff
from agent.imds import Identity

log = logging.getLogger(__name__)

RENEW_AFTER = 0.75  # of the token's life
SHORTEST_LIFE_S = 5.0  # also when our clock and the control plane's disagree


class Registrar(threading.Thread):
    """Registers again and again. `accepted` and `failed` are called in this thread, after each try."""

    def __init__(
        self,
        control: ControlPlane,
        identity: Identity,
        client_token: str,
        stop: threading.Event,
        accepted: Callable[[Registration], None],
        failed: Callable[[ControlPlaneError], None],
    ) -> None:
        super().__init__(name="registrar", daemon=True)
        self._control = control
        self._identity = identity
        self._client_token = client_token
        self._stopped = stop
        self._accepted = accepted
        self._failed = failed
        self._again = threading.Event()
        self._current: Registration | None = None
        self._backoffs = {404: Backoff(0.5, 5.0), 401: Backoff(2.0, 60.0), 0: Backoff(0.2, 5.0)}

    @property
    def current(self) -> Registration | None:
        """The last registration; None before the first. Read from any thread."""
        return self._current

    def renew(self, refused: Registration) -> None:
        """The control plane refused that registration's token. Another thread may have said so already."""
        if self._current is refused:
            self._again.set()

    def run(self) -> None:
        while not self._stopped.is_set():
            self._again.clear()
            delay = self._try()
            self._again.wait(delay)

    def _try(self) -> float:
        """Register once. Returns the seconds until the next time."""
        try:
            registration = self._control.register(self._identity, self._client_token, booted_at())
        except ControlPlaneError as error:
            delay = self._backoff_for(error).next()
            log.warning("%s", error, extra={"retry_in_s": round(delay, 2)})
            self._failed(error)
            return delay
        for backoff in self._backoffs.values():
            backoff.reset()
        self._current = registration
        fields = {"server": registration.server_id, "expires_at": registration.expires_at}
        log.info("registered", extra=fields)
        self._accepted(registration)
        life_s = (registration.expires_at - datetime.now(UTC)).total_seconds()
        return max(SHORTEST_LIFE_S, life_s) * RENEW_AFTER

    def _backoff_for(self, error: ControlPlaneError) -> Backoff:
        """With 404 the launch may not be recorded yet: ask again soon. A wrong token needs a person."""
        if not isinstance(error, ControlPlaneRefusal):
            return self._backoffs[0]
        return self._backoffs[404 if error.status == 404 else 401]
