"""RANK_POOLS: gather the facts in few round trips; `domain.ranking` decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from activities.ec2.activity import ec2_activity, together
from activities.ec2.errors import Ec2Failure
from activities.ec2.market_facts import MarketFacts
from activities.ec2.subnets import subnet_by_zone
from domain import ec2 as contract
from domain.errors import Failure
from domain.pools import Pool
from domain.ranking import (
    CurrentMarket,
    PoolImpossible,
    PoolRequirements,
    TypeFacts,
    explain_ranking,
    possible_types,
    price,
    rank_pools,
)


class Ranking:
    def __init__(self, facts: MarketFacts) -> None:
        self._facts = facts

    @ec2_activity(contract.RANK_POOLS)
    def rank(self, given: contract.RankInput) -> contract.RankResult:
        return self.order(given)

    def order(self, given: contract.RankInput) -> contract.RankResult:
        try:
            wanted = self._wanted(given)
            market = self._market(given.region, wanted)
            pools = rank_pools(wanted, market)
        except PoolImpossible as error:
            raise Ec2Failure(Failure.REFUSED, str(error)) from error
        # The Pricing API answers for one type a call: ask only for those that were chosen.
        types = {pool.instance_type for pool in pools} | {wanted.home.instance_type}
        known = self._facts.on_demand_prices(given.region, types, wanted.blueprint.platform)
        market = replace(market, on_demand={**market.on_demand, **known})
        return contract.RankResult(
            candidates=explain_ranking(pools, wanted, market),
            hourly_now=price(wanted.home, market),
            on_demand_now=market.on_demand.get(wanted.home.instance_type, 0.0),
        )

    def on_demand(self, region: str, name: str, platform: str) -> float:
        """USD per hour of the type; 0 when none is named or the price is not known."""
        return self._facts.on_demand_prices(region, [name], platform).get(name, 0.0) if name else 0.0

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.rank]

    def _wanted(self, given: contract.RankInput) -> PoolRequirements:
        """The blueprint of a new server has only an image: the rest is read from it."""
        old = given.blueprint
        if not old.architecture:
            old = replace(old, **self._facts.image_facts(given.region, old.image_id))
        try:
            Pool.parse(old.pool)
            asked = [Pool.parse(given.asked)] if given.asked else []
        except ValueError as error:
            raise PoolImpossible(str(error)) from error
        return PoolRequirements(
            blueprint=old,
            policy=given.policy,
            asked=str(asked[0]) if asked else "",
            avoid=frozenset(given.avoid),
            same_zone=given.same_zone,
            limit=given.limit,
        )

    def _market(self, region: str, wanted: PoolRequirements) -> CurrentMarket:
        home, platform = wanted.home.instance_type, wanted.blueprint.platform
        types, subnets = together(
            lambda: self._types(region, wanted),
            lambda: self._facts.subnets(region, wanted.blueprint),
        )
        open_zones, closed = subnet_by_zone(subnets, wanted.blueprint, wanted.policy)
        possible = possible_types(wanted, types)
        named = sorted({*possible, *self._asked_types(wanted, types), *({home} & set(types))})
        spot, on_demand, scores, offered = together(
            lambda: self._facts.spot_prices(region, named, platform),
            lambda: self._facts.on_demand_prices(region, [home], platform),
            lambda: self._facts.scores(region, possible),
            lambda: self._facts.offered(region, named),
        )
        return CurrentMarket(types, spot, on_demand, open_zones, closed, scores, offered)

    def _types(self, region: str, wanted: PoolRequirements) -> dict[str, TypeFacts]:
        asked = [Pool.parse(wanted.asked).instance_type] if wanted.asked else []
        home = wanted.home.instance_type
        types = dict(self._facts.named_types(region, [home, *asked, *wanted.policy.instance_types]))
        if not wanted.policy.instance_types and home in types:
            types |= self._facts.similar_types(region, types[home])
        return types

    def _asked_types(self, wanted: PoolRequirements, types: dict[str, TypeFacts]) -> set[str]:
        return {Pool.parse(wanted.asked).instance_type} & set(types) if wanted.asked else set()
