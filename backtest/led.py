"""The policy with its owner's gates, led through one server's history.

Approval is taken as given and `auto_switch` as on: what is asked is what it would have done. What is urgent waits for
no window, and a server whose pool is lost goes somewhere whatever is allowed: that is a rescue, not a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from backtest.market import ON_DEMAND, Market, Window
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch
from domain.autopilot.verdict import WEEK, Standing, judge
from domain.deciding.appraisal import Appraisal, Rated, appraise_rated, caution
from domain.deciding.decision import Kind
from domain.deciding.facts import Needs, Placement
from domain.deciding.policy import decide
from domain.deciding.tuning import Tuning
from domain.operations import Priority

LONG_AGO_H = -1e6


class Led:
    """One market, one kind of server. Appraisals are made once for all servers of the kind."""

    def __init__(
        self,
        market: Market,
        seen: Sequence[Sequence[Rated]],
        needs: Needs,
        policy: AutopilotPolicy,
        began: datetime,
        tuning: Tuning,
    ) -> None:
        self._market, self._seen, self._needs, self._tuning = market, seen, needs, tuning
        self._policy = replace(policy, auto_switch=AutoSwitch.ON, approval_needed=False)
        self._began = began
        self._index = {pool: number for number, pool in enumerate(market.pools)} | {needs.on_demand_pool: ON_DEMAND}
        self._appraised: dict[int, Appraisal] = {}

    def run(self, window: Window, start: int) -> list[int]:
        """The place at each tick of a server that was at `start` for long before."""
        placed, moved, found = Placement(self._name(start), LONG_AGO_H), list[datetime](), list[int]()
        for tick in range(window.start, window.stop):
            there, ordinary = self._next(tick, placed, moved)
            if there != placed.pool:
                placed = Placement(there, tick * self._market.gap_h)
                if ordinary:
                    moved.append(self._at(tick))
            found.append(self._index[there])
        return found

    def _next(self, tick: int, placed: Placement, moved: list[datetime]) -> tuple[str, bool]:
        """Where it is from this tick on, and whether it got there by an ordinary move."""
        decision, now = decide(placed, self._appraisal(tick), self._tuning), self._at(tick)
        wanted = decision.pool if decision.kind in (Kind.MOVE, Kind.ON_DEMAND) else placed.pool
        if not self._market.is_up(tick, self._index[placed.pool]):
            return (wanted if wanted != placed.pool else self._needs.on_demand_pool), False
        week = tuple(at for at in moved if at > now - WEEK)
        verdict = judge(decision, Standing(self._policy, moved_at=week), now)
        return (wanted if verdict.acts else placed.pool), verdict.priority is Priority.ORDINARY

    def _appraisal(self, tick: int) -> Appraisal:
        found = self._appraised.get(tick)
        if found is None:
            at_h = tick * self._market.gap_h
            found = appraise_rated(self._seen[tick], self._needs, at_h, caution(self._tuning))
            self._appraised[tick] = found
        return found

    def _at(self, tick: int) -> datetime:
        return self._began + timedelta(hours=tick * self._market.gap_h)

    def _name(self, place: int) -> str:
        return self._needs.on_demand_pool if place == ON_DEMAND else self._market.pools[place]
