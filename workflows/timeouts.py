"""Timeouts and retries, as named sets. Seconds.

`start_to_close` is short everywhere, and what may take seconds has a heartbeat: it is how long a
dead worker goes unnoticed. Waiting is a retry policy over a short activity that raises `NotYet`, so
a wait costs no thread and no history.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio.common import RetryPolicy

from domain.heartbeats import WATCH_BEAT_S, WATCH_BEATS_A_SECOND, HeartbeatRate

CALL_S = 10.0  # one attempt at EC2
RECORD_S = 15.0
HOST_HEARTBEAT_S = 5.0
CALL_HEARTBEAT_S = 4.0
WATCH_MISSED_BEATS = 2.5  # beats of a watch that may be late before EC2 is asked
WATCH_S = 24 * 3600.0
WATCH_PICKUP_S = 300.0  # nobody takes it for so long: the host is not watched
WATCH_TRIAL_S = 30.0  # one that is held for so long by a host that was not watched: it is again
FENCE_RESERVE_S = 25.0  # kept between the latest moment to fence and the deadline of a notice
REPLICA_PING_S = 3.0


@dataclass(frozen=True)
class Limits:
    """One named set, for one kind of activity."""

    attempt_s: float
    overall_s: float | None  # all attempts together; None: for as long as it takes
    retry: RetryPolicy
    heartbeat_s: float | None = None  # None: the activity sends no heartbeats
    pickup_s: float | None = None  # for a worker to take it; None: no limit of its own

    def cut(self, seconds: float) -> Limits:
        """The same set with its overall limit cut to what a deadline leaves."""
        overall = seconds if self.overall_s is None else min(self.overall_s, seconds)
        return replace(self, overall_s=max(0.5, overall))


def _retry(first_s: float, most_s: float, factor: float = 1.6, attempts: int = 0) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=first_s),
        maximum_interval=timedelta(seconds=most_s),
        backoff_coefficient=factor,
        maximum_attempts=attempts,
    )


# Of this process, and no part of any history: a replay does not compare a command's timeouts and arguments.
# The worker tells it how many hosts there are.
WATCH_PACE = HeartbeatRate(WATCH_BEAT_S, WATCH_BEATS_A_SECOND)

CALL = Limits(CALL_S, 60.0, _retry(0.2, 5.0), CALL_HEARTBEAT_S)
SURVEY = Limits(3 * CALL_S, 90.0, _retry(0.2, 5.0), CALL_HEARTBEAT_S)  # some ten round trips, one after another
UNDO = Limits(CALL_S, 600.0, _retry(0.2, 10.0), CALL_HEARTBEAT_S)
FOREVER = Limits(CALL_S, None, _retry(0.2, 30.0), CALL_HEARTBEAT_S)
STILL_THERE = Limits(CALL_S, 2 * CALL_S, _retry(1.0, 100.0, 2.0))  # is an instance that a watch lost still there?
RECORD = Limits(RECORD_S, None, _retry(0.1, 2.0), CALL_HEARTBEAT_S)
RECONSIDER = Limits(2 * CALL_S, 60.0, _retry(0.5, 5.0), CALL_HEARTBEAT_S)
EVALUATE = Limits(120.0, 300.0, _retry(1.0, 10.0), CALL_HEARTBEAT_S)  # a whole fleet: seconds for thousands
RECONCILE = Limits(120.0, 300.0, _retry(2.0, 30.0, 2.0), 15.0)  # the pages of a whole account; nothing waits for it
ASK_ALL_SERVERS = Limits(120.0, 300.0, _retry(2.0, 30.0, 2.0))  # Temporal is asked about every server
# Minutes: a region's first collection, or the ledger after days without a worker. A worker that dies is missed sooner.
COLLECT = Limits(600.0, 1800.0, _retry(2.0, 60.0, 2.0), 15.0)
BACKTEST = Limits(900.0, 2700.0, _retry(2.0, 60.0, 2.0), 15.0)
DISPATCH = Limits(30.0, 120.0, _retry(1.0, 10.0))
DELIVER = Limits(45.0, None, _retry(5.0, 600.0, 2.0))  # the activity itself says when an attempt is due
STORE = Limits(RECORD_S, None, _retry(0.1, 2.0))  # one short transaction, for as long as it takes
ASK = Limits(RECORD_S, 45.0, _retry(0.5, 5.0))  # one server that does not answer is no reason to hold up the others


def poll(seconds: float | None) -> Limits:
    """Wait for a state: ask again and again, quickly first, for at most `seconds`."""
    return Limits(CALL_S, seconds, _retry(0.1, 2.0, 1.3), CALL_HEARTBEAT_S)


def once(patience_s: float) -> Limits:
    """One attempt, for what can be done without."""
    return Limits(3.0, patience_s, _retry(0.2, 1.0, attempts=1))


def host(seconds: float, *, pickup_s: float = 15.0) -> Limits:
    """A host activity: `seconds` for its work, `pickup_s` for the agent to take it (and to restart)."""
    return Limits(seconds + 2.0, seconds + pickup_s, _retry(0.2, 2.0), HOST_HEARTBEAT_S, pickup_s)


def inventory(pickup_s: float = 15.0) -> Limits:
    """What a host has mounted, asked outside of an operation."""
    return Limits(15.0, None, _retry(1.0, 100.0, 2.0, attempts=2), HOST_HEARTBEAT_S, pickup_s)


def watch(pickup_s: float, *, trial: bool) -> Limits:
    """A watch lasts a day; on a host that took none before, only until it is clear that this one was taken."""
    beats_s = WATCH_MISSED_BEATS * WATCH_PACE.interval_s
    longest_s = WATCH_TRIAL_S if trial else WATCH_S
    return Limits(longest_s, None, _retry(1.0, 1.0, attempts=1), beats_s, pickup_s)


def watch_pickup_s(*, patient: bool) -> float:
    """An agent that is there takes a watch at once; `patient`: the last one was not taken, so it may be starting."""
    return WATCH_PICKUP_S if patient else min(WATCH_MISSED_BEATS * WATCH_PACE.interval_s, WATCH_PICKUP_S)
