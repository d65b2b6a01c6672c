"""Backtest C, a check of the harness: deadline jobs as in "Can't Be Late" (NSDI'24).

A job of 48 hours of work has to be done within 60, may idle, and loses 0.2 h of work at each start of
an instance. Both policies go to on-demand for good when what is left of the time is what is left of the
work and two starts (the paper's safety net). *Greedy* takes spot whenever there is some, and idles
otherwise. *Uniform progress* takes on-demand when it is behind a straight line from start to deadline,
and leaves it for spot only once it is two starts ahead of that line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from domain.backtest.contract import NoData
from research.backtest.traces import Trace

WORK_H, DEADLINE_H, START_H = 48.0, 60.0, 0.2
TWO_WEEKS_H = 336.0
EVERY_H = 2.0  # a job begins this often
PUBLISHED = {"greedy": (30.8, 17.2), "uniform progress": (25.1, 22.9)}  # hours of work on-demand, on spot
NET_H = 2 * START_H


@dataclass
class Job:
    """A running job. Times in hours. `on`: where it runs; empty: it waits."""

    uniform: bool
    done_h: float = 0.0
    on: str = ""
    starting_h: float = 0.0
    for_good: bool = False

    def next(self, passed_h: float, spot: bool) -> str:
        """Where to run from now on."""
        if self.on == "spot" and spot:
            return "spot"
        if self.for_good or DEADLINE_H - passed_h <= WORK_H - self.done_h + NET_H:
            self.for_good = True
            return "on-demand"
        if self.on == "on-demand" and self.done_h < self._line(passed_h + NET_H):
            return "on-demand"
        if spot:
            return "spot"
        behind = self.uniform and self.done_h < self._line(passed_h)
        return "on-demand" if behind or self.on == "on-demand" else ""

    def work(self, on: str, hours: float) -> float:
        """Run there, and return the work done in hours."""
        if on and on != self.on:
            self.starting_h = START_H
        self.on = on
        if not on:
            return 0.0
        started = min(self.starting_h, hours)
        self.starting_h -= started
        worked = min(hours - started, WORK_H - self.done_h)
        self.done_h += worked
        return worked

    def _line(self, passed_h: float) -> float:
        return passed_h * WORK_H / DEADLINE_H


def hours_of_work(up: Sequence[bool], gap_h: float, uniform: bool) -> tuple[float, float]:
    """Hours of work on on-demand and on spot of one job that begins at the first tick."""
    job, found = Job(uniform), {"on-demand": 0.0, "spot": 0.0, "": 0.0}
    for tick, spot in enumerate(up):
        on = job.next(tick * gap_h, spot)
        found[on] += job.work(on, gap_h)
        if job.done_h >= WORK_H - 1e-9:
            return found["on-demand"], found["spot"]
    raise NoData("the series ends before the job")


def check(traces: Iterable[Trace]) -> dict[str, tuple[float, float]]:
    """Mean hours (on-demand, spot) of both policies over the first two weeks; all series have the same weight."""
    cut = [(trace.up[: round(TWO_WEEKS_H / trace.gap_h)], trace.gap_h) for trace in traces]
    if not cut:
        raise NoData("no series for the check of deadline jobs")
    return {name: _mean(cut, name == "uniform progress") for name in PUBLISHED}


def _mean(series: Sequence[tuple[Sequence[bool], float]], uniform: bool) -> tuple[float, float]:
    each = [[hours_of_work(up[start:], gap_h, uniform) for start in _starts(up, gap_h)] for up, gap_h in series]
    rows = [(mean(one for one, _ in jobs), mean(two for _, two in jobs)) for jobs in each if jobs]
    if not rows:
        raise NoData(f"no series of {DEADLINE_H:.0f} hours for the check of deadline jobs")
    return mean(one for one, _ in rows), mean(two for _, two in rows)


def _starts(up: Sequence[bool], gap_h: float) -> Iterator[int]:
    """A start every two hours, as long as the deadline is within the series."""
    return iter(range(0, len(up) - int(DEADLINE_H / gap_h) - 1, max(1, round(EVERY_H / gap_h))))
