"""The one failure of host work: it crosses to the control plane as `Failure.HOST_FAILED`."""

from __future__ import annotations

from collections.abc import Sequence

from domain.host import HookRun


class HostError(Exception):
    """What could not be done on this host and why, with the hooks that ran until then."""

    def __init__(self, message: str, hooks: Sequence[HookRun] = ()) -> None:
        super().__init__(message)
        self.hooks = list(hooks)
