"""Reads AWS's notices from IMDS every two seconds, in a thread of its own.

It shares nothing with the rest of the agent but the notice board: it has its own connection, its own IMDS token and
timeouts of a second. So a notice is seen within two seconds of its two minutes, whatever else the agent does.

Source: EC2 user guide, "Spot Instance interruption notices" (`spot/instance-action`: action and time, 404 while there
is none) and "EC2 instance rebalance recommendations" (`noticeTime`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime

from agent.imds import Imds, ImdsError
from agent.notice_board import NoticeBoard
from domain.host import Notice, NoticeKind, NoticeSource

log = logging.getLogger(__name__)

EVERY_S = 2.0
INSTANCE_ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"


class ImdsWatch(threading.Thread):
    def __init__(
        self, instance_id: str, endpoint: str, board: NoticeBoard, stop: threading.Event, every_s: float = EVERY_S
    ) -> None:
        super().__init__(name="imds-watch", daemon=True)
        self._instance_id = instance_id
        self._endpoint = endpoint
        self._board = board
        self._stopped = stop
        self._every_s = every_s

    def run(self) -> None:
        imds = Imds(self._endpoint)
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._every_s, time.monotonic())
            self._look(imds, INSTANCE_ACTION)
            self._look(imds, REBALANCE)

    def _look(self, imds: Imds, path: str) -> None:
        """An error is logged and the watch goes on: its thread must not end."""
        try:
            text = imds.read(path)
            if text is not None:
                self._tell(read_notice(self._instance_id, path, text, datetime.now(UTC)))
        except (ImdsError, ValueError, KeyError, TypeError) as error:
            log.warning("the watch could not read %s: %s", path, error)

    def _tell(self, notice: Notice) -> None:
        if self._board.put(notice):
            fields = {"kind": notice.kind.value, "action": notice.action, "deadline": notice.deadline}
            log.warning("notice from AWS", extra=fields)


def read_notice(instance_id: str, path: str, text: str, now: datetime) -> Notice:
    """Raises ValueError, KeyError or TypeError when the text is not what EC2 documents."""
    said = json.loads(text)
    if path == REBALANCE:
        _time(said["noticeTime"])
        return Notice(instance_id, NoticeKind.REBALANCE, NoticeSource.IMDS, now)
    deadline = _time(said["time"])
    return Notice(instance_id, NoticeKind.INTERRUPTION, NoticeSource.IMDS, now, str(said["action"]), deadline)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
