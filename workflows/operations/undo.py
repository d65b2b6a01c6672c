"""The undo of an operation: registered before each step is tried, run in reverse.

Registered *before*, because a call that timed out may still have worked. Each undo looks at what
is there before it acts, so it is right whether its step happened, half happened or did not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import FailureError

UndoAction = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class UndoEntry:
    what: str
    action: UndoAction


class UndoStack:
    def __init__(self) -> None:
        self._entries: list[UndoEntry] = []

    def register(self, what: str, action: UndoAction) -> UndoEntry:
        entry = UndoEntry(what, action)
        self._entries.append(entry)
        return entry

    def forget(self, entry: UndoEntry) -> None:
        """Its step needs no undo any more."""
        self._entries.remove(entry)

    def clear(self) -> None:
        """Past the commit nothing is undone."""
        self._entries.clear()

    async def unwind(self) -> list[str]:
        """Undo everything, last first; return what could not be undone, in words."""
        failed: list[str] = []
        while self._entries:
            entry = self._entries.pop()
            try:
                await entry.action()
            except FailureError as error:
                workflow.logger.error("undo failed: %s: %s", entry.what, error)
                failed.append(f"{entry.what}: {error.cause or error}")
        return failed
