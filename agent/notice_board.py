"""The notices seen on this instance. Any thread may wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from domain.host import Notice, NoticeKind

Listener = Callable[[Notice], None]


class NoticeBoard:
    """The latest notice of each kind. The lock is held for assignments only, so that the watch never waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: dict[NoticeKind, Notice] = {}
        self._listeners: list[Listener] = []

    def put(self, notice: Notice) -> bool:
        """True when it is new: a kind not seen before, or another action or deadline."""
        with self._lock:
            before = self._notices.get(notice.kind)
            if before is not None and (before.action, before.deadline) == (notice.action, notice.deadline):
                return False
            self._notices[notice.kind] = notice
            listeners = list(self._listeners)
        for listener in listeners:
            listener(notice)
        return True

    def first_not_in(self, known: Collection[str]) -> Notice | None:
        """An interruption comes before a rebalance recommendation: it is certain, and has a deadline."""
        with self._lock:
            found = [self._notices.get(kind) for kind in (NoticeKind.INTERRUPTION, NoticeKind.REBALANCE)]
        return next((notice for notice in found if notice and notice.notice_id not in known), None)

    def listen(self, listener: Listener) -> None:
        """Call `listener` for each new notice, in the watching thread: it must return at once."""
        with self._lock:
            self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
