"""Why a demo stops before its end.

DemoFailed
  Overdue     something that was waited for did not come within its limit
  Refused     the API or the lab said no
"""

from __future__ import annotations


class ScenarioFailed(Exception):
    """The message says what was being done, to what, and what came instead."""


class WaitTimedOut(ScenarioFailed):
    """The message ends with what was seen last."""


class RequestFailed(ScenarioFailed):
    """An HTTP answer that is no success; the message holds its problem document's text. `status` 0: no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def outcome_unknown(self) -> bool:
        """Whoever asked does not know, and may ask again with the same key."""
        return self.status == 0 or self.status >= 500
