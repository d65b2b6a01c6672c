"""The named steps of an operation: each is recorded when it starts and when it ends, with what it did."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from domain.host import HookRun
from domain.operations import StepReport
from domain.records import RecordKind
from workflows.activity_calls import explain
from workflows.operations.urgency import OperationAborted, Urgency
from workflows.recorder import Recorder

T = TypeVar("T")


@dataclass
class _StepNotes:
    """What one step gathers for its report."""

    calls: Counter[str] = field(default_factory=Counter)
    hooks: list[HookRun] = field(default_factory=list)
    note: str = ""

    def calls_made(self) -> list[str]:
        """Each EC2 action once, in the order of its first call: `DescribeInstances x4`."""
        return [name if times == 1 else f"{name} x{times}" for name, times in self.calls.items()]


_notes: ContextVar[_StepNotes | None] = ContextVar("notes", default=None)  # of the step that the task works for


class StepRunner:
    def __init__(self, recorder: Recorder, urgency: Urgency) -> None:
        self._recorder = recorder
        self._urgency = urgency
        self._reports: list[StepReport] = []

    @property
    def reports(self) -> list[StepReport]:
        return list(self._reports)

    async def run(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run one named step; it is given up when the operation is aborted."""
        started, notes, outer = workflow.now(), _StepNotes(), _notes.get()
        _notes.set(notes)
        self._recorder.add(RecordKind.STEP_STARTED, step=name)
        try:
            result = await self._urgency.unless_aborted(work())
        except (FailureError, OperationAborted, asyncio.CancelledError) as error:
            if not isinstance(error, asyncio.CancelledError):
                notes.note = explain(error)
            _notes.set(outer)
            self._end(name, started, notes, False)
            raise
        _notes.set(outer)
        self._end(name, started, notes, True)
        return result

    def _end(self, name: str, started: datetime, notes: _StepNotes, ok: bool) -> None:
        ms = round((workflow.now() - started) / timedelta(milliseconds=1))
        calls = notes.calls_made()
        self._reports.append(StepReport(name, started, ms, calls, notes.hooks, notes.note))
        hooks = [{"name": h.name, "exit_code": h.exit_code, "ms": h.ms, "output": h.output} for h in notes.hooks]
        self._recorder.add(RecordKind.STEP_ENDED, step=name, ms=ms, ok=ok, calls=calls, hooks=hooks, note=notes.note)

    # --- what belongs to the step that runs just now

    def note(self, text: str) -> None:
        if notes := _notes.get():
            notes.note = text

    def note_hooks(self, hooks: Sequence[object]) -> None:
        """The hooks that ran; others in the list are only named, and left out."""
        if notes := _notes.get():
            notes.hooks.extend(hook for hook in hooks if isinstance(hook, HookRun))

    def note_calls(self, calls: list[str], attempts: int) -> None:
        if notes := _notes.get():
            notes.calls.update({call: calls.count(call) * attempts for call in calls})
