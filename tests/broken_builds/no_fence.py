"""The old host is not fenced: it goes on writing while the new one starts."""

from __future__ import annotations

from workflows.handoffs.base import HandoffWork


async def skipped(self: HandoffWork) -> None:
    self.state.fenced = True


HandoffWork.stop_old = skipped  # type: ignore[method-assign]
