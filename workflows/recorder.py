"""Records are written beside the work, in order, and are complete at the end (invariants 6 and 8).

An operation does not wait for its records while it works, with one exception: an ordinary operation waits until the
ledger has what it is about to create. An emergency does not even wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from domain.records import RECORD, Record, RecordBatch, RecordKind
from domain.servers import ServerRef
from workflows import timeouts
from workflows.activity_calls import execute

_BATCH = 40
_LOOP_ITERATIONS = 6  # of the event loop, before a batch is closed


class Recorder:
    def __init__(
        self, stream: str, server: ServerRef, *, operation_id: str = "", after: str = "", seq: int = 0
    ) -> None:
        self._stream = stream
        self._server = server
        self._operation_id = operation_id
        self._after = after
        self._seq = seq
        self._applied = seq
        self._waiting: list[Record] = []
        self._writer: asyncio.Task[None] | None = None

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def caught_up(self) -> bool:
        return self._applied >= self._seq

    def add(self, kind: RecordKind, /, **payload: Any) -> None:
        self._seq += 1
        self._waiting.append(Record(self._seq, workflow.now(), kind, payload))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def flush(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until everything added so far is in the database, or `unless` becomes true."""
        target = self._seq
        await workflow.wait_condition(lambda: self._applied >= target or unless())

    async def flush_within(self, seconds: float) -> bool:
        target = self._seq
        try:
            await workflow.wait_condition(lambda: self._applied >= target, timeout=timedelta(seconds=seconds))
        except TimeoutError:
            return False
        return True

    async def _write(self) -> None:
        for _ in range(_LOOP_ITERATIONS):
            # The end of one step, the start of the next and what it intends are added in a row. They are written
            # together when the loop has turned a few times: that needs no timer and adds no command.
            await asyncio.sleep(0)
        while self._waiting:
            batch = self._waiting[:_BATCH]
            await execute(RECORD, self._batch(batch), int, timeouts.RECORD)
            self._applied = batch[-1].seq
            del self._waiting[: len(batch)]

    def _batch(self, records: list[Record]) -> RecordBatch:
        return RecordBatch(
            stream=self._stream,
            client_id=self._server.client_id,
            server_id=self._server.server_id,
            operation_id=self._operation_id,
            records=records,
            after=self._after,
            workflow_run_id=workflow.info().run_id,
        )


def as_json(value: Any) -> Any:
    """JSON of a dataclass's dict: instants as ISO 8601, enumerations as their values."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
