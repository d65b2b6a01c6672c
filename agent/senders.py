"""Heartbeats and notices, sent to the control plane.

Each sender has its own thread and connection. No rescue needs them: a notice also completes `host_watch`, and a
heartbeat that fails is only logged.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from queue import SimpleQueue

from agent.control_plane import ControlPlane, ControlPlaneError, ControlPlaneRefusal
from agent.http_call import Backoff
from agent.notice_board import NoticeBoard
from agent.registrar import Registrar
from domain.heartbeats import HEARTBEAT_S
from domain.host import Notice

log = logging.getLogger(__name__)

UNREGISTERED_S = 0.2
AGAIN_S = HEARTBEAT_S  # after one that did not get through, however seldom they are


class HeartbeatSender(threading.Thread):
    def __init__(self, instance_id: str, control: ControlPlane, registrar: Registrar, stop: threading.Event) -> None:
        super().__init__(name="heartbeats", daemon=True)
        self._instance_id = instance_id
        self._control = control
        self._registrar = registrar
        self._stopped = stop

    def run(self) -> None:
        delay = UNREGISTERED_S
        while not self._stopped.wait(delay):
            registration = self._registrar.current
            if registration is None:
                continue
            delay = registration.heartbeat_interval_s
            try:
                said = self._control.heartbeat(self._instance_id, registration.instance_token, datetime.now(UTC))
                delay = said or delay
            except ControlPlaneError as error:
                log.warning("%s", error)
                delay = min(delay, AGAIN_S)
                if isinstance(error, ControlPlaneRefusal) and error.status == 401:
                    self._registrar.renew(registration)


class NoticeSender(threading.Thread):
    """Sends every notice until the control plane has taken it, and again when its deadline changes."""

    def __init__(self, board: NoticeBoard, control: ControlPlane, registrar: Registrar, stop: threading.Event) -> None:
        super().__init__(name="notices", daemon=True)
        self._queue: SimpleQueue[Notice] = SimpleQueue()
        board.listen(self._queue.put)
        self._control = control
        self._registrar = registrar
        self._stopped = stop

    def run(self) -> None:
        while not self._stopped.is_set():
            self._deliver(self._queue.get())

    def _deliver(self, notice: Notice) -> None:
        backoff = Backoff(0.1, 2.0)  # the notice is two minutes long
        while not self._stopped.is_set() and not self._sent(notice):
            self._stopped.wait(backoff.next())

    def _sent(self, notice: Notice) -> bool:
        """True when the notice is taken or finally refused."""
        registration = self._registrar.current
        if registration is None:
            return False
        try:
            self._control.notice(notice, registration.instance_token)
        except ControlPlaneRefusal as error:
            log.warning("%s", error)
            if error.status == 401:
                self._registrar.renew(registration)
            return error.status not in (401, 403, 404)  # those can be mended; the others are final
        except ControlPlaneError as error:
            log.warning("%s", error)
            return False
        log.info("notice delivered", extra={"notice": notice.notice_id})
        return True
