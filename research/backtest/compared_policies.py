"""Policies that only the backtests on published data compare: the product's own, and two of a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.autopilot.appraisal import Appraisal, RatedOffer, appraise_rated
from domain.autopilot.decision import Decision, DecisionKind
from domain.autopilot.decision_inputs import Needs, ServerPosition
from domain.autopilot.experience import Experience, learn
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import Tuning
from domain.backtest.market_history import ON_DEMAND, MarketHistory
from domain.backtest.offers_by_tick import Offers

ON_DEMAND_POOL = "on-demand"


class ProductPolicy:
    """The policy of the product: decides once for each tick and place, for all runs over the same market.

    `weight`: hours of on-demand that an hour of outage costs.
    """

    def __init__(
        self, market: MarketHistory, seen: Sequence[Sequence[RatedOffer]], weight: float, tuning: Tuning
    ) -> None:
        self._market, self._seen, self._tuning = market, seen, tuning
        self._needs = Needs(
            on_demand_pool=ON_DEMAND_POOL,
            on_demand_usd=market.on_demand_usd,
            outage_usd_per_h=weight * market.on_demand_usd if weight else 0.0,
            loss_outage_h=market.rules.outage_h,
            within=market.rules.within,
            beyond=market.rules.beyond,
        )
        self._index = {pool: number for number, pool in enumerate(market.pools)} | {ON_DEMAND_POOL: ON_DEMAND}
        self._appraised: dict[int, Appraisal] = {}
        self._chosen: dict[tuple[int, int | None], int] = {}
        self._cautions: list[float] = []
        self._experience = Experience(0.0)

    def choose(self, tick: int, current: int | None) -> int:
        found = self._chosen.get((tick, current))
        if found is None:
            found = self._chosen[tick, current] = self._choice(self.decide(tick, current), current)
        return found

    def decide(self, tick: int, current: int | None) -> Decision:
        """There is no minimum stay here, so it does not matter since when the server has been there."""
        position = ServerPosition(self._name(current), 0.0)
        return decide_server(position, self._appraisal(tick), self._tuning)

    def _choice(self, decision: Decision, current: int | None) -> int:
        if decision.kind in (DecisionKind.MOVE, DecisionKind.ON_DEMAND):
            return self._index[decision.pool]
        assert current is not None
        return current

    def _name(self, place: int | None) -> str:
        if place is None:
            return ""
        return ON_DEMAND_POOL if place == ON_DEMAND else self._market.pools[place]

    def _appraisal(self, tick: int) -> Appraisal:
        found = self._appraised.get(tick)
        if found is None:
            at_h, learnt = tick * self._market.gap_h, self._caution(tick)
            found = appraise_rated(self._seen[tick], self._needs, at_h, learnt)
            self._appraised[tick] = found
        return found

    def _caution(self, tick: int) -> float:
        """What was learnt from everything observed up to this tick, in order."""
        while len(self._cautions) <= tick:
            now = len(self._cautions)
            at_h = now * self._market.gap_h
            self._experience = learn(self._experience, self._seen[now], self._needs, at_h, self._tuning)
            self._cautions.append(self._experience.caution(self._tuning))
        return self._cautions[tick]


@dataclass(frozen=True)
class AnyUp:
    """The first pool that is up, until it is lost."""

    market: MarketHistory

    def choose(self, tick: int, current: int | None) -> int:
        up = self.market.up[tick]
        if current is not None and current != ON_DEMAND and up[current]:
            return current
        return next((pool for pool, is_up in enumerate(up) if is_up), ON_DEMAND)


@dataclass(frozen=True)
class BestAvailability:
    """The pool of the best decaying mean among those up for `after_h`, until it is lost."""

    offers: Sequence[Offers]
    after_h: float = 0.0
    found: dict[int, int] = field(default_factory=dict)  # by tick: the same for all runs

    def choose(self, tick: int, current: int | None) -> int:
        if current is not None and current != ON_DEMAND and self.offers[tick][current].reliability.up:
            return current
        if tick not in self.found:
            self.found[tick] = self._best(tick)
        return self.found[tick]

    def _best(self, tick: int) -> int:
        records = [offer.reliability for offer in self.offers[tick]]
        ready = [pool for pool, record in enumerate(records) if record.up and record.up_h >= self.after_h]
        return max(ready, key=lambda pool: records[pool].availability, default=ON_DEMAND)
