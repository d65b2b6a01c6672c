"""What every EC2 activity has in common: its calls are recorded, and its errors become failures of ours.

    @ec2_activity(TERMINATE)
    def terminate(self, given: TerminateInput) -> ActionResult: ...

A method returns its result without `calls` and `attempts`; they are filled in here. It may raise `Ec2Failure` or a
botocore error. Either leaves as an ApplicationError.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio import activity

from activities.ec2.errors import Ec2Failure, application_error, doing
from activities.heartbeats import heartbeats
from domain.errors import Failure

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Self_ = TypeVar("Self_")
In = TypeVar("In")
Out = TypeVar("Out", bound="DataclassInstance")
T = TypeVar("T")

_calls: ContextVar[list[str] | None] = ContextVar("ec2_calls", default=None)

_PATIENCE_S = 1.0
# Most waits within an outage (detach, attach) end in a fraction of a second or take several: ask often at
# first, then less.
_FIRST_PAUSE_S = 0.04
_MOST_PAUSE_S = 0.15
# After so many attempts the wait is a long one: each attempt asks once, and the retry policy sets the pace.
_QUICK_ATTEMPTS = 5
_THREADS = 12


def ec2_activity(name: str) -> Callable[[Callable[[Self_, In], Out]], Callable[[Self_, In], Out]]:
    """Make a method an activity of that name."""

    def decorate(method: Callable[[Self_, In], Out]) -> Callable[[Self_, In], Out]:
        @functools.wraps(method)
        def run(self: Self_, given: In) -> Out:
            with recorded_calls() as calls, heartbeats():
                try:
                    with doing(name):
                        result = method(self, given)
                except Ec2Failure as failed:
                    # Without the cause: the message says it all, and histories keep every byte.
                    raise application_error(failed, list(calls), attempt()) from None
                filled: Any = {"calls": list(calls), "attempts": attempt()}
                return replace(result, **filled)

        # An attempt that is cancelled runs to its end: only then does anybody know what it did.
        return activity.defn(name=name, no_thread_cancel_exception=True)(run)

    return decorate


def attempt() -> int:
    """Which try of this activity this is; 1 outside Temporal."""
    return activity.info().attempt if activity.in_activity() else 1


def note_call(model: Any, **_: object) -> None:
    """botocore's `before-call` event: `model.name` is the API action."""
    calls = _calls.get()
    if calls is not None:
        calls.append(model.name)


@contextmanager
def recorded_calls() -> Iterator[list[str]]:
    """Collect the API actions called inside, also from the threads of `parallel`."""
    calls: list[str] = []
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def parallel(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run the tasks at the same time. Returns their results in order, or raises the first task's error.

    Every task has finished then. Each runs in a copy of the caller's context, whose list of calls is the same object.
    """
    if len(tasks) < 2:
        return [task() for task in tasks]
    with ThreadPoolExecutor(min(len(tasks), _THREADS)) as threads:
        futures = [threads.submit(copy_context().run, task) for task in tasks]
    return [future.result() for future in futures]


def together(*tasks: Callable[[], Any]) -> list[Any]:
    """`parallel` for tasks of different results."""
    return parallel(tasks)


def poll(ask: Callable[[], T]) -> T:
    """Ask until the answer is no longer NotYet, for a second at most.

    The retry policy is the real loop. This saves its latency where the state is a moment away.
    """
    started = time.monotonic()
    ends = started + (_PATIENCE_S if attempt() <= _QUICK_ATTEMPTS else 0.0)
    while True:
        try:
            return ask()
        except Ec2Failure as failed:
            now = time.monotonic()
            pause = min(_MOST_PAUSE_S, max(_FIRST_PAUSE_S, (now - started) / 6))
            if failed.failure is not Failure.NOT_YET or now + pause > ends:
                raise
        time.sleep(pause)
