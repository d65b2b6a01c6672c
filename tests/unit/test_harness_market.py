"""A scenario buys where the market has enough for it, and says so where it has not."""

from __future__ import annotations

import pytest

from proof.harness.market import choose_market
from proof.harness.waiting import ScenarioFailed


def pool(zone: str, kind: str, spot: float | None, demand: float | None = 0.1) -> dict[str, object]:
    return {"zone": zone, "instance_type": kind, "spot_price": spot, "on_demand_price": demand}


def test_a_scenario_buys_where_most_types_are_sold_below_the_first_ones_price() -> None:
    kinds = ("m5.large", "m5a.large", "c5.xlarge")
    market = [pool(zone, kind, 0.03) for zone in ("z-b", "z-c") for kind in kinds]
    market += [pool("z-a", "m5.large", 0.03), pool("z-b", "r5.large", 0.2), pool("z-b", "x1.32xlarge", 0.01)]
    market_choice = choose_market(market)
    assert (market_choice.home, market_choice.kind) == ("z-b", "m5.large")
    assert set(market_choice.types) == set(kinds)
    assert (market_choice.zones, market_choice.other_zones) == (["z-b", "z-c"], ["z-c"])


@pytest.mark.parametrize("market", [[], [pool("z-a", kind, 0.03) for kind in ("m5.large", "m5a.large", "c5.xlarge")]])
def test_a_market_with_too_little_in_it_is_refused_in_words(market: list[dict[str, object]]) -> None:
    with pytest.raises(ScenarioFailed, match="ive another PRICES file"):
        choose_market(market)
