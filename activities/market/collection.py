"""Collection: spot prices, on-demand prices and placement scores, from AWS into the records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities.database_errors import database_unavailable
from activities.ec2.activity import ec2_activity
from activities.ec2.clients import Clients
from activities.ec2.errors import Ec2Failure
from activities.ec2.market_facts import MarketFacts
from activities.ec2.spot_history import SpotHistory
from db.autopilot.fleet import home_types
from db.engine.session import SessionFactory, in_transaction
from db.market.incoming_prices import collected_until, keep_in_batches, mark_collected
from db.market.on_demand import keep_on_demand, on_demand_prices, types_to_price
from db.market.scores_and_bands import keep_scores
from domain.errors import Failure
from domain.market import contract
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import LINUX
from domain.market.placement_scores import MOST_GROUPS, types_asked_together
from domain.ranking import is_similar_type

# EC2 may list a price some minutes after it came into force, and its clock may differ from ours.
COLLECTION_OVERLAP = timedelta(hours=2)
# A piece is some ten thousand prices of a large region. A collection that was cut off continues with its last piece.
PIECE = timedelta(days=5)
_VPC = " (Amazon VPC)"


def _now() -> datetime:
    return datetime.now(UTC)


class MarketCollection:
    def __init__(self, clients: Clients, sessions: SessionFactory, clock: Callable[[], datetime] = _now) -> None:
        self._history = SpotHistory(clients)
        self._facts = MarketFacts(clients)
        self._sessions = sessions
        self._clock = clock

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.spot, self.on_demand, self.scores]

    @ec2_activity(contract.COLLECT_SPOT)
    def spot(self, given: contract.CollectSpotInput) -> contract.CollectSpotResult:
        """Collect the spot prices of the region's pools since the last collection, into all three tiers."""
        _refuse_other_platforms(given.products)
        now, name = self._clock(), contract.spot_collection(given.region)
        with database_unavailable(f"collecting the spot prices of {given.region}"):
            start = given.since or self._since(name, given.first_days, now)
            observed = aside = changes = 0
            for piece_start, piece_end in _pieces(start, now):
                for kept in self._piece(given, piece_start, piece_end, now):
                    observed, aside = observed + kept[0], aside + kept[1]
                    changes += kept[2]
                self._mark(name, given, piece_start, piece_end)
        return contract.CollectSpotResult(observed, aside, changes, now)

    @ec2_activity(contract.COLLECT_ON_DEMAND)
    def on_demand(self, given: contract.CollectOnDemandInput) -> contract.CollectOnDemandResult:
        """Collect on-demand prices, one call for each type. Each is kept at once, so that a retry continues."""
        now, priced = self._clock(), 0
        with database_unavailable(f"collecting the on-demand prices of {given.region}"):
            before = now - timedelta(hours=given.older_than_h)
            types = given.types or self._in_transaction(types_to_price, given.region, before, given.platform)
            for name in types:
                _beat(name)
                found = self._history.on_demand(given.region, name, given.platform)
                if found is not None:
                    priced += self._in_transaction(keep_on_demand, [found], now)
        return contract.CollectOnDemandResult(len(types), priced)

    @ec2_activity(contract.COLLECT_SCORES)
    def scores(self, given: contract.CollectScoresInput) -> contract.CollectScoresResult:
        """Collect placement scores of each group of types. A group without scores is left out."""
        now, kept = self._clock(), 0
        for types in given.groups or self._groups(given.region):
            _beat(types)
            scores = self._facts.scores(given.region, types)
            with database_unavailable(f"recording the placement scores of {given.region}"):
                self._in_transaction(keep_scores, given.region, types, scores, now)
            kept += len(scores)
        return contract.CollectScoresResult(kept)

    def _groups(self, region: str) -> list[list[str]]:
        """Groups of types that the region's servers may run on, one for each home type."""
        with database_unavailable(f"looking for what runs in {region}"):
            homes = [home for home, _ in self._in_transaction(home_types, region).most_common(MOST_GROUPS)]
        found: list[list[str]] = []
        for name, home in sorted(self._facts.named_types(region, homes).items()):
            possible = {
                kind.name: kind
                for kind in self._facts.similar_types(region, home).values()
                if is_similar_type(home, kind)
            }
            if (group := types_asked_together(home, possible)) and group not in found:
                found.append(group)
            _beat(name)
        return found

    def _piece(
        self, given: contract.CollectSpotInput, start: datetime, end: datetime, now: datetime
    ) -> Iterator[tuple[int, int, int]]:
        said: list[ReportedPrice] = []
        for page in self._history.pages(given.region, given.products, start, end):
            said += page
            _beat(len(said))
        prices = self._in_transaction(on_demand_prices, given.region, now)
        known = PriceBounds(now, on_demand={(given.region, name): usd for name, usd in prices.items()})
        for kept in keep_in_batches(self._sessions, said, PriceSource.EC2, known):
            _beat(kept.observed)
            yield kept.observed, kept.set_aside, len(kept.changes)

    def _since(self, name: str, first_days: float, now: datetime) -> datetime:
        until = self._in_transaction(collected_until, name)
        return now - timedelta(days=first_days) if until is None else min(until, now) - COLLECTION_OVERLAP

    def _mark(self, name: str, given: contract.CollectSpotInput, start: datetime, end: datetime) -> None:
        """Record the progress, unless it hides a hole: a collection since some time tells nothing of before."""
        until = self._in_transaction(collected_until, name)
        if given.since is None or (until is not None and start <= until):
            self._in_transaction(mark_collected, name, end)

    def _in_transaction(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return in_transaction(self._sessions, lambda session: work(session, *arguments))


def _refuse_other_platforms(products: list[str]) -> None:
    if {product.removesuffix(_VPC) for product in products} != {LINUX}:
        message = f"prices of {', '.join(products) or 'no product'} cannot be collected: a pool's series holds {LINUX}"
        raise Ec2Failure(Failure.REFUSED, message)


def _pieces(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Pieces from old to new, so that each pool's series grows at its end."""
    while start < end:
        yield start, min(start + PIECE, end)
        start += PIECE


def _beat(progress: object) -> None:
    if activity.in_activity():
        activity.heartbeat(progress)
