"""The lab's market: files are checked line by line, and the generator resembles what was measured."""

from __future__ import annotations

import gzip
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab.market import generator, measure
from lab.market.history import BadPrices, load
from lab.market.market import Market, open_market
from lab.market.on_demand import on_demand_prices

HEADER = "instance_type,az,timestamp,price_usd_h\n"
GOOD = "m5.large,us-east-1a,2021-03-02T00:00:00Z,0.035\n"


def write(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "empty"),
        (HEADER, 1, "no price"),
        ("instance_type,az,timestamp\n", 1, "missing column price_usd_h"),
        (HEADER + GOOD + "m5.large,us-east-1a,2021-03-02T01:00:00Z,cheap\n", 3, "not a number"),
        (HEADER + GOOD + "m5.large,us-east-1a,2021-03-02T01:00:00Z,nan\n", 3, "not a number"),
        (HEADER + GOOD + "m5.large,us-east-1a,2021-03-02T01:00:00Z,0\n", 3, "zero"),
        (HEADER + "m5.large,us-east-1a,2021-03-02T01:00:00Z,-1\n", 2, "negative"),
        (HEADER + GOOD + "m5.large,us-east-1a,yesterday,0.03\n", 3, "bad timestamp"),
        (HEADER + "m5.large,us-east-1a\n", 2, "columns"),
        (HEADER + "m5.large,narnia,2021-03-02T00:00:00Z,0.03\n", 2, "bad availability zone"),
        (HEADER + GOOD + "m5.large,sa-east-1a,2021-03-02T00:00:00Z,0.03\n", 3, "one region"),
        ('{"SpotPriceHistory": [\n', 2, "not JSON"),
        ('{"Prices": []}', 1, "SpotPriceHistory"),
        (
            '{"SpotPriceHistory": [\n{"InstanceType": "m5.large",\n"AvailabilityZone": "us-east-1a",\n'
            '"Timestamp": "2021-03-02T00:00:00Z"}]}',
            2,
            "missing column SpotPrice",
        ),
        (
            '{"SpotPriceHistory": [\n{"InstanceType": "m5.large", "AvailabilityZone": "us-east-1a",'
            ' "Timestamp": "2021-03-02T00:00:00Z", "SpotPrice": "-0.1"}]}',
            2,
            "negative",
        ),
    ],
)
def test_a_bad_price_file_is_refused_with_its_line_and_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadPrices) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert f"line {line}:" in message
    assert reason in message


def test_the_same_history_is_read_from_json_csv_and_gzip(tmp_path: Path) -> None:
    entry = {
        "InstanceType": "m5.large",
        "AvailabilityZone": "us-east-1a",
        "Timestamp": "2021-03-02T00:00:00+00:00",
        "SpotPrice": "0.035",
        "ProductDescription": "Linux/UNIX",
    }
    windows = {**entry, "ProductDescription": "Windows", "SpotPrice": "0.1"}
    as_json = load(write(tmp_path, json.dumps({"SpotPriceHistory": [entry, windows]}), "p.json"))
    as_csv = load(write(tmp_path, HEADER + GOOD))
    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress((HEADER + GOOD).encode()))
    assert as_json == as_csv == load(packed)


def test_a_file_is_moved_so_that_its_middle_is_now(tmp_path: Path) -> None:
    rows = "".join(
        f"m5.large,sa-east-1{zone},2021-03-0{day}T00:00:00Z,0.0{day}\n" for zone in "ac" for day in (2, 4, 6)
    )
    before = time.time()
    market = open_market(write(tmp_path, HEADER + rows), "us-east-1", 1)
    assert market.region == "sa-east-1"
    assert market.zones == ("sa-east-1a", "sa-east-1c")
    quotes = market.quotes(["m5.large"], ["sa-east-1a"], None, None)
    assert [quote.price for quote in quotes] == [0.04, 0.02]  # the third is still to come
    assert market.spot_price("sa-east-1a", "m5.large") == 0.04
    assert before - 1 <= quotes[0].at <= time.time() + 1


def generated(seed: int) -> dict[str, Any]:
    prices = on_demand_prices("us-east-1")
    zones = [f"us-east-1{letter}" for letter in "abcdef"]
    history = generator.generate("us-east-1", zones, prices, seed, time.time())
    return measure.statistics(history.series, prices)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_generator_resembles_what_was_measured(seed: int) -> None:
    found = generated(seed)
    for name, quantiles, tolerance in (
        ("ratio", generator.RATIO, 0.05),
        ("changes_per_day", generator.CHANGES_PER_DAY, 0.7),
        ("change_size", generator.CHANGE_SIZE, 0.001),
        ("zone_spread", generator.ZONE_SPREAD, 0.12),
    ):
        for share, value in quantiles[1:-1]:
            assert found[name][f"p{round(share * 100)}"] == pytest.approx(value, abs=tolerance), (name, share)
    assert found["never_changes"] == pytest.approx(generator.NEVER_CHANGES, abs=0.1)


def test_the_generator_is_seeded() -> None:
    prices = on_demand_prices("us-east-1")
    one, same, other = (generator.generate("us-east-1", ["us-east-1a"], prices, seed, 1e9).series for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_no_price_is_above_on_demand_and_time_runs_forward() -> None:
    prices = on_demand_prices("sa-east-1")
    history = generator.generate("sa-east-1", ["sa-east-1a", "sa-east-1b"], prices, 7, 1e9)
    for (_, kind), series in history.series.items():
        assert all(0 < price <= prices[kind] for _, price in series)
        assert all(a[0] < b[0] for a, b in pairwise(series))


def test_capacity_is_taken_and_not_given_back() -> None:
    market: Market = open_market(None, "us-east-1", 1)
    pool = ("us-east-1a", "m5.large", "spot")
    assert market.take(*pool, most=3, least=1) == 3
    market.set_capacity(*pool, 2)
    assert market.take(*pool, most=3, least=3) == 0
    assert market.take(*pool, most=3, least=1) == 2
    assert market.take(*pool, most=1, least=1) == 0
    market.set_capacity(*pool, None)
    assert market.take(*pool, most=1, least=1) == 1


def test_a_price_that_is_set_holds_from_now_on() -> None:
    market = open_market(None, "us-east-1", 1)
    market.set_price("us-east-1a", "m5.large", 0.09)
    assert market.spot_price("us-east-1a", "m5.large") == 0.09
    assert market.quotes(["m5.large"], ["us-east-1a"], None, None)[0].price == 0.09


def test_scores_fall_where_there_is_no_room() -> None:
    market = open_market(None, "us-east-1", 1)
    kinds = ["m5.large", "m5a.large", "m6i.large"]
    before = market.score("us-east-1a", kinds, 1)
    for kind in kinds:
        market.set_capacity("us-east-1a", kind, "spot", 0)
    assert market.score("us-east-1a", kinds, 1) == 1 < before <= 10
