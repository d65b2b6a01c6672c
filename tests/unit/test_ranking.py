"""Which pools are chosen, in what order, and why one is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.blueprint import Blueprint
from domain.pools import Candidate
from domain.ranking import (
    CurrentMarket,
    PoolImpossible,
    PoolRequirements,
    TypeFacts,
    explain_ranking,
    rank_pools,
    weighed_price,
)
from domain.servers import ServerPolicy

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"


def kind(name: str, vcpus: int = 2, gib: int = 8, *, arch: str = "x86_64", burstable: bool = False) -> TypeFacts:
    return TypeFacts(name, (arch,), ("hvm",), vcpus, gib * 1024, burstable=burstable)


TYPES = {
    t.name: t
    for t in (
        kind("m5.large"),
        kind("m6a.large"),
        kind("m5.xlarge", 4, 16),
        kind("m5.2xlarge", 8, 32),
        kind("c5.large", 2, 4),
        kind("r5.large", 2, 16),
        kind("m6g.large", arch="arm64"),
        kind("t3.large", burstable=True),
    )
}
MARKET = CurrentMarket(
    types=TYPES,
    spot={
        (A, "m5.large"): 0.040,
        (B, "m5.large"): 0.035,
        (A, "m6a.large"): 0.030,
        (B, "m6a.large"): 0.031,
        (A, "m5.xlarge"): 0.070,
        (A, "r5.large"): 0.050,
        (A, "m5.2xlarge"): 0.001,
        (A, "c5.large"): 0.001,
        (A, "m6g.large"): 0.001,
        (A, "t3.large"): 0.001,
        (C, "m5.large"): 0.001,
    },
    on_demand={"m5.large": 0.096, "m6a.large": 0.0864, "m5.xlarge": 0.192, "r5.large": 0.126},
    subnets={A: "subnet-a", B: "subnet-b"},
    closed={C: "no subnet in us-east-1c has a free address: subnet-c"},
)


def blueprint(pool: str = f"{A}/m5.large/on-demand") -> Blueprint:
    return Blueprint(
        instance_id="i-1",
        state="running",
        region="us-east-1",
        account_id="1",
        pool=pool,
        image_id="ami-1",
        architecture="x86_64",
        virtualization_type="hvm",
        root_device_type="ebs",
        root_device_name="/dev/xvda",
        vpc_id="vpc-1",
        subnet_id="subnet-a",
        zone=A,
        private_ip="10.0.0.1",
        public_ip="",
        network_interface_id="eni-1",
    )


def wanted(**changed: object) -> PoolRequirements:
    return replace(PoolRequirements(blueprint(), ServerPolicy()), **changed)  # type: ignore[arg-type]


def pools(wish: PoolRequirements, market: CurrentMarket = MARKET) -> list[str]:
    return [str(pool) for pool in rank_pools(wish, market)]


def ranked(wish: PoolRequirements, market: CurrentMarket = MARKET) -> list[Candidate]:
    return explain_ranking(rank_pools(wish, market), wish, market)


def test_spot_goes_by_price_and_the_list_ends_in_the_types_own_on_demand_nearest_first() -> None:
    assert pools(wanted()) == [
        f"{A}/m6a.large/spot",
        f"{B}/m6a.large/spot",
        f"{B}/m5.large/spot",
        f"{A}/m5.large/spot",
        f"{A}/r5.large/spot",
        f"{A}/m5.xlarge/spot",
        f"{A}/m5.large/on-demand",
        f"{B}/m5.large/on-demand",
    ]


def test_types_that_are_less_far_more_of_another_architecture_or_burstable_are_not_chosen() -> None:
    chosen = {pool.split("/")[1] for pool in pools(wanted(limit=99))}
    assert chosen == {"m5.large", "m6a.large", "m5.xlarge", "r5.large"}


def test_a_burstable_server_may_stay_burstable() -> None:
    chosen = pools(wanted(blueprint=blueprint(f"{A}/t3.large/on-demand"), limit=99))
    assert f"{A}/t3.large/spot" in chosen


def test_scarce_capacity_has_to_be_clearly_cheaper() -> None:
    # Given: zone a is 3 % cheaper, but EC2 gives it a score of 3 against 9
    market = replace(MARKET, scores={A: 3, B: 9})
    assert pools(wanted(), market)[0] == f"{B}/m6a.large/spot"
    assert weighed_price(1.0, 10) < weighed_price(1.0, None) < weighed_price(1.0, 1)


def test_prices_within_a_percent_are_alike_and_the_servers_own_type_goes_first() -> None:
    market = replace(MARKET, spot={(A, "m6a.large"): 0.03000, (A, "m5.large"): 0.03001})
    assert pools(wanted(), market)[0] == f"{A}/m5.large/spot"


def test_a_small_limit_keeps_a_place_for_on_demand() -> None:
    assert pools(wanted(limit=3)) == [f"{A}/m6a.large/spot", f"{A}/m5.large/on-demand", f"{B}/m5.large/on-demand"]
    assert pools(wanted(limit=1)) == [f"{A}/m5.large/on-demand"]
    assert pools(wanted(limit=2, asked=f"{B}/m5.large/spot")) == [f"{B}/m5.large/spot", f"{A}/m5.large/on-demand"]


def test_in_one_zone_on_demand_goes_on_with_other_types() -> None:
    chosen = pools(wanted(same_zone=A, limit=4))
    assert chosen[-2:] == [f"{A}/m5.large/on-demand", f"{A}/m6a.large/on-demand"]
    assert all(pool.startswith(A) for pool in chosen)


def test_avoided_pools_and_those_above_the_limit_or_on_demands_price_are_left_out() -> None:
    avoided = wanted(avoid=frozenset({f"{A}/m6a.large/spot", f"{A}/m5.large/on-demand"}))
    assert f"{A}/m6a.large/spot" not in pools(avoided)
    assert f"{A}/m5.large/on-demand" not in pools(avoided)
    cheap = wanted(policy=ServerPolicy(max_spot_usd_per_hour=0.033))
    assert [p for p in pools(cheap) if p.endswith("/spot")] == [f"{A}/m6a.large/spot", f"{B}/m6a.large/spot"]
    dear = replace(MARKET, spot={(A, "m5.large"): 0.10})
    assert not [p for p in pools(wanted(), dear) if p.endswith("/spot")]


def test_the_policy_names_types_and_zones() -> None:
    policy = ServerPolicy(instance_types=["m5.xlarge"], zones=[A])
    assert pools(wanted(policy=policy)) == [f"{A}/m5.xlarge/spot", f"{A}/m5.xlarge/on-demand"]


def test_what_is_not_sold_in_a_zone_is_not_offered_on_demand() -> None:
    market = replace(MARKET, offered=frozenset({(B, "m5.large")}))
    assert [p for p in pools(wanted(), market) if p.endswith("on-demand")] == [f"{B}/m5.large/on-demand"]


def test_the_asked_pool_goes_first_once_and_says_so() -> None:
    found = ranked(wanted(asked=f"{B}/m5.large/spot"))
    assert str(found[0].pool) == f"{B}/m5.large/spot"
    assert found[0].reason.startswith("asked for; 0.0350 USD/h, 64 % below on-demand m5.large (0.0960)")
    assert len({str(c.pool) for c in found}) == len(found) == 8


@pytest.mark.parametrize(
    ("asked", "wish", "says"),
    [
        ("nonsense", wanted(), "write zone/type/lifecycle"),
        (f"{A}/m5.gigantic/spot", wanted(), "no type m5.gigantic. Possible: m5.large"),
        (f"{A}/m6g.large/spot", wanted(), "its image is x86_64, m6g.large runs arm64"),
        ("us-east-1f/m5.large/spot", wanted(), f"no subnet in us-east-1f. Possible zones: {A}, {B}"),
        (f"{C}/m5.large/spot", wanted(), "free address"),
        (f"{B}/m5.xlarge/spot", wanted(), f"sells no spot m5.xlarge there. It does in: {A}"),
        (f"{B}/m5.large/spot", wanted(same_zone=A), "its volumes cannot leave us-east-1a"),
        (f"{B}/m5.large/spot", wanted(policy=ServerPolicy(zones=[A])), "allows the zones us-east-1a"),
        (f"{B}/m5.large/spot", wanted(policy=ServerPolicy(instance_types=["r5.large"])), "allows the types r5.large"),
        (f"{B}/m5.large/spot", wanted(policy=ServerPolicy(max_spot_usd_per_hour=0.01)), "above the policy's limit"),
        (f"{B}/m5.large/spot", wanted(avoid=frozenset({f"{B}/m5.large/spot"})), "gave a notice or had no capacity"),
    ],
)
def test_an_impossible_wish_is_refused_with_what_is_possible(asked: str, wish: PoolRequirements, says: str) -> None:
    with pytest.raises(PoolImpossible, match=says):
        rank_pools(replace(wish, asked=asked), MARKET)


def test_without_prices_on_demand_is_still_there() -> None:
    market = replace(MARKET, spot={}, on_demand={}, types={})
    found = ranked(wanted(), market)
    assert [str(c.pool) for c in found] == [f"{A}/m5.large/on-demand", f"{B}/m5.large/on-demand"]
    assert "price not known" in found[0].reason


def test_figures_stand_beside_the_reason() -> None:
    first = ranked(wanted(), replace(MARKET, scores={A: 9}))[0]
    assert (first.subnet_id, first.usd_per_hour, first.on_demand_usd_per_hour) == ("subnet-a", 0.030, 0.0864)
    assert first.placement_score == 9
    assert "placement score 9 of 10; same zone" in first.reason


# --- what its owner denies, and what it needs


def allowed_by(policy: ServerPolicy, market: CurrentMarket = MARKET, asked: str = "") -> list[str]:
    return [str(pool) for pool in rank_pools(PoolRequirements(blueprint(), policy, asked=asked), market)]


def test_denied_types_families_and_zones_are_never_chosen_not_even_on_demand() -> None:
    family = allowed_by(ServerPolicy(denied_types=["m5", "m6a.large"]))
    assert family
    assert not [pool for pool in family if "/m5." in pool or "/m6a.large/" in pool]
    assert {pool.split("/")[0] for pool in allowed_by(ServerPolicy(denied_zones=[A]))} == {B}


def test_a_type_has_the_network_and_the_way_to_ebs_that_its_owner_asks_for() -> None:
    types = TYPES | {"m5.large": replace(TYPES["m5.large"], network_gbps=10.0, ebs_mbps=650.0)}
    fast = replace(MARKET, types=types)
    for policy in (ServerPolicy(min_network_gbps=5.0), ServerPolicy(min_ebs_mbps=600.0)):
        spot = [pool for pool in allowed_by(policy, fast) if pool.endswith("/spot")]
        assert {pool.split("/")[1] for pool in spot} == {"m5.large"}, "of the others it is not known"


@pytest.mark.parametrize(
    ("policy", "asked", "words"),
    [
        (ServerPolicy(denied_types=["m6a"]), f"{A}/m6a.large/spot", "denies m6a.large"),
        (ServerPolicy(denied_zones=[B]), f"{B}/m5.large/spot", "denies the zone"),
        (ServerPolicy(min_network_gbps=5.0), f"{A}/m5.large/spot", "does not tell its Gbit/s of network"),
    ],
)
def test_a_pool_that_the_policy_denies_is_refused_with_the_reason(policy: ServerPolicy, asked: str, words: str) -> None:
    with pytest.raises(PoolImpossible, match=words):
        allowed_by(policy, asked=asked)


def test_lists_that_contradict_each_other_are_told() -> None:
    assert "m5.large" in ServerPolicy(instance_types=["m5.large"], denied_types=["m5"]).contradiction()
    assert A in ServerPolicy(zones=[A, B], denied_zones=[A]).contradiction()
    assert A in ServerPolicy(subnets={A: "subnet-a"}, denied_zones=[A]).contradiction()
    assert ServerPolicy(instance_types=["m5.large"], denied_types=["m6a"], denied_zones=[C]).contradiction() == ""
