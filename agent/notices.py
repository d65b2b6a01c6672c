"""The notices seen on this instance, for whoever waits for one, in whichever thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from domain.host import Notice, NoticeKind

Listener = Callable[[Notice], None]


class NoticeBoard:
    """Holds the latest of each kind. Its lock is held for assignments only, so the watch never waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: dict[NoticeKind, Notice] = {}
        self._listeners: list[Listener] = []

    def put(self, notice: Notice) -> bool:
        """True when it is news: a kind not seen before, or another action or deadline."""
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
        """An interruption before a rebalance recommendation: it is certain, and it has a deadline."""
        with self._lock:
            found = [self._notices.get(kind) for kind in (NoticeKind.INTERRUPTION, NoticeKind.REBALANCE)]
        return next((notice for notice in found if notice and notice.notice_id not in known), None)

    def listen(self, listener: Listener) -> None:
        """Call it on each news, in the watching thread: it must only pass the word on."""
        with self._lock:
            self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
