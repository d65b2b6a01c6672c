"""The policy with its owner's gates, run through one server's history.

Approval counts as given and `auto_switch` as on, since the question is what the policy would have done. Urgent moves
wait for no window. A server whose pool is lost always goes somewhere: that is a rescue, not a decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from domain.autopilot.appraisal import Appraisal
from domain.autopilot.decision import DecisionKind
from domain.autopilot.decision_inputs import Needs, ServerPosition
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch
from domain.autopilot.policy_gates import WEEK, ServerConditions, apply_gates
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import Tuning
from domain.backtest.market_history import ON_DEMAND, MarketHistory, TickWindow
from domain.operations import Priority

LONG_AGO_H = 0.0


class GatedPolicy:
    """One market, one kind of server. `appraisal`: how the market looked to it at a tick."""

    def __init__(
        self,
        market: MarketHistory,
        appraisal: Callable[[int], Appraisal],
        needs: Needs,
        policy: AutopilotPolicy,
        tuning: Tuning,
    ) -> None:
        self._market, self._appraisal, self._needs, self._tuning = market, appraisal, needs, tuning
        self._policy = replace(policy, auto_switch=AutoSwitch.ON, approval_needed=False)
        self._index = {pool: number for number, pool in enumerate(market.pools)} | {needs.on_demand_pool: ON_DEMAND}

    def run(self, window: TickWindow, start: int, data_gib: int = 0) -> list[int]:
        """The place at each tick of a server that had been at `start` for a long time, with `data_gib` of data."""
        position = ServerPosition(self._name(start), LONG_AGO_H, data_gib=data_gib)
        moved, found = list[datetime](), list[int]()
        for tick in range(window.start, window.stop):
            market = self._appraisal(tick)
            there, ordinary = self._next(tick, position, market, moved)
            if there != position.pool:
                position = replace(position, pool=there, since_h=market.at_h)
                if ordinary:
                    moved.append(_at(market))
            found.append(self._index[there])
        return found

    def _next(self, tick: int, position: ServerPosition, market: Appraisal, moved: list[datetime]) -> tuple[str, bool]:
        """Where it is from this tick on, and whether it got there by an ordinary move."""
        if not self._market.is_up(tick, self._index[position.pool]):
            rescue = decide_server(ServerPosition("", market.at_h), market, self._tuning)
            return (rescue.pool or self._needs.on_demand_pool), False
        decision, now = decide_server(position, market, self._tuning), _at(market)
        wanted = decision.pool if decision.kind in (DecisionKind.MOVE, DecisionKind.ON_DEMAND) else position.pool
        week = tuple(at for at in moved if at > now - WEEK)
        verdict = apply_gates(decision, ServerConditions(self._policy, moved_at=week), now)
        return (wanted if verdict.acts else position.pool), verdict.priority is Priority.ORDINARY

    def _name(self, place: int) -> str:
        return self._needs.on_demand_pool if place == ON_DEMAND else self._market.pools[place]


def _at(market: Appraisal) -> datetime:
    return datetime.fromtimestamp(market.at_h * 3600, UTC)
