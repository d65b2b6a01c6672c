"""What may go wrong in an activity: asked for by a test, met by whoever calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.exceptions import ApplicationError

from domain.errors import FINAL, Failure

LOST = "AnswerLost"  # the call worked, and nobody heard of it: as when its attempt timed out


def always(_: Any) -> bool:
    return True


async def nothing() -> None:
    """A fault without an interlude."""


@dataclass
class Fault:
    """One call of `activity` that matches: `skip` of them pass first, then `times` of them are hit.

    `failure` empty: the call works, and `meanwhile` runs before it answers. `did_it`: its effect
    happens all the same. `final` None: as the failure type says.
    """

    activity: str
    failure: str = ""
    times: int = 10**6
    skip: int = 0
    did_it: bool = False
    final: bool | None = None
    retry_in: timedelta | None = None  # when the next attempt is due; None: as the call's limits say
    where: Callable[[Any], bool] = always
    meanwhile: Callable[[], Awaitable[object]] = nothing
    hits: int = field(default=0, init=False)

    def takes(self, activity: str, argument: Any) -> bool:
        if activity != self.activity or self.times <= 0 or not self.where(argument):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.hits += 1
        return True

    def error(self) -> ApplicationError:
        final = self.failure in FINAL if self.final is None else self.final
        words = f"{self.failure} of {self.activity}"
        return ApplicationError(words, type=self.failure, non_retryable=final, next_retry_delay=self.retry_in)


def failing(activity: str, failure: str = Failure.HOST_FAILED, **how: Any) -> Fault:
    """Fails for good, at the first call unless told otherwise."""
    return Fault(activity, failure, **{"final": True, **how})


def stuck(activity: str, **how: Any) -> Fault:
    """Never gets there, and its limit has passed: no server skips the pauses between attempts."""
    return Fault(activity, Failure.NOT_YET, **{"final": True, **how})


def too_late(activity: str, **how: Any) -> Fault:
    """Not there yet, and the next attempt would come after any limit: Temporal gives it up at once."""
    return Fault(activity, Failure.NOT_YET, **{"retry_in": timedelta(days=365), **how})


def unanswered(activity: str, **how: Any) -> Fault:
    """Works, and its answer is lost for good."""
    return Fault(activity, LOST, **{"did_it": True, "final": True, **how})


def while_in(activity: str, meanwhile: Callable[[], Awaitable[object]], **how: Any) -> Fault:
    """Something happens while this call is under way; it works."""
    return Fault(activity, meanwhile=meanwhile, **{"times": 1, **how})
