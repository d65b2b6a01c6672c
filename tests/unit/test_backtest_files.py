"""Files that are wrong: each has its own answer, with file and line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.backtest.contract import BadData, NoData
from research.backtest.price_histories import hourly, load_history
from research.backtest.traces import load_traces
from research.backtest.type_catalog import load_groups, load_hazards, load_on_demand
from tests.market_histories import write, write_history_folder

PRICE_HEAD = "instance_type,az,timestamp,price_usd_h"
NAME = "prices_us-east-1_2021.csv"
SERIES_HEAD = "series_id,kind,instance_type,zone,nodes,gap_seconds,n_ticks"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_history_folder(tmp_path / "data")


def test_a_good_folder_is_read_whole(data: Path) -> None:
    assert [len(trace.up) for trace in load_traces(data)] == [504, 504]
    assert set(load_history(data, NAME).steps) == {("m5.large", "us-east-1a"), ("m5.large", "us-east-1b")}
    assert load_on_demand(data)["us-east-1", "m5.large"] == 0.096
    assert load_groups(data) == {"gp-2x8": ["m5.large"]}
    assert 0 < load_hazards(data, "us-east-1", "2021-03-02")["m5.large"] < 0.001


def test_gzip_is_read_like_plain_text(data: Path) -> None:
    before = load_history(data, NAME)
    plain = data / NAME
    (data / f"{NAME}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert load_history(data, NAME) == before


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("m5.large,us-east-1a,2021-03-02T00:00:00Z", "3 cells, 4 expected"),
        ("m5.large,us-east-1a,2021-03-02T00:00:00Z,0", "price_usd_h is 0, not a positive number"),
        ("m5.large,us-east-1a,2021-03-02T00:00:00Z,-0.1", "price_usd_h is -0.1, not a positive number"),
        ("m5.large,us-east-1a,2021-03-02T00:00:00Z,nan", "price_usd_h is nan, not a positive number"),
        ("m5.large,us-east-1a,2021-03-02T00:00:00Z,inf", "price_usd_h is inf, not a positive number"),
        ("m5.large,us-east-1a,2021-03-02T00:00:00Z,cheap", "price_usd_h is 'cheap', not a number"),
        ("m5.large,us-east-1a,yesterday,0.1", "timestamp is 'yesterday', not like"),
        ("m5.large,us-east-1a,2021-03-02T00:00:00,0.1", "has no time zone"),
        (",us-east-1a,2021-03-02T00:00:00Z,0.1", "instance_type is empty"),
        ("m5.large,us-east-1a,2021-02-01T00:00:00Z,0.1", "its time is before that of the line above"),
        ("m5.large,us-east-1a,2021-03-01T00:00:00Z,0.2", "a second, different price"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    write(tmp_path, NAME, [PRICE_HEAD, "m5.large,us-east-1a,2021-03-01T00:00:00Z,0.1", line])
    with pytest.raises(BadData, match=why) as caught:
        load_history(tmp_path, NAME)
    assert caught.value.line == 3
    assert str(caught.value).startswith(f"{NAME}, line 3: ")


def test_a_column_that_lacks_is_named(tmp_path: Path) -> None:
    write(tmp_path, NAME, ["instance_type,az,price_usd_h"])
    with pytest.raises(BadData, match="line 1: no column timestamp"):
        load_history(tmp_path, NAME)


def test_an_empty_file_has_no_prices(tmp_path: Path) -> None:
    write(tmp_path, NAME, [PRICE_HEAD])
    with pytest.raises(NoData, match="has no prices"):
        load_history(tmp_path, NAME)


def test_a_file_that_is_not_there_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(NoData, match=r"has no ondemand\.csv, nor ondemand\.csv\.gz; name the folder"):
        load_on_demand(tmp_path)


def test_gzip_that_breaks_off_is_refused(data: Path) -> None:
    packed = gzip.compress((data / NAME).read_bytes())
    (data / NAME).unlink()
    (data / f"{NAME}.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BadData, match="cannot be read on"):
        load_history(data, NAME)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(PRICE_HEAD.encode() + b"\n\xff\xfe\x00")
    with pytest.raises(BadData, match="cannot be read on"):
        load_history(tmp_path, NAME)


def _series(line: str) -> Callable[[Path], None]:
    return lambda path: write(path, "traces_series.csv", [SERIES_HEAD, line])


def _runs(*lines: str) -> Callable[[Path], None]:
    return lambda path: write(path, "traces_runs.csv", ["series_id,start_tick,length,value", *lines])


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (_runs("a,0,5,1", "a,6,4,0"), "a starts at tick 6, 5 was next"),
        (_runs("a,0,5,1", "a,4,6,0"), "a starts at tick 4, 5 was next"),
        (_runs("a,0,9,1"), "n_ticks is 10, but there are 9 values"),
        (_runs("a,0,10,2"), "nodes is 1, but the series goes up to 2"),
        (_runs("a,0,10,-1"), "value is -1, less than 0"),
        (_runs("b,0,10,1"), "b is not in traces_series"),
        (_series("a,availability-1,p3.2xlarge,us-east-1a,1,0,10"), "gap_seconds is 0, not a positive number"),
        (_series("a,availability-1,p3.2xlarge,us-east-1a,0,3600,10"), "nodes is 0, less than 1"),
    ],
)
def test_a_series_that_cannot_be_is_refused(tmp_path: Path, break_it: Callable[[Path], None], why: str) -> None:
    _series("a,availability-1,p3.2xlarge,us-east-1a,1,3600,10")(tmp_path)
    _runs("a,0,10,1")(tmp_path)
    write(tmp_path, "traces_prices.csv", ["series_id,start_tick,length,price_usd_h"])
    assert load_traces(tmp_path)
    break_it(tmp_path)
    with pytest.raises(BadData, match=why):
        load_traces(tmp_path)


def test_a_series_without_its_values_is_no_data(tmp_path: Path) -> None:
    _series("a,availability-1,p3.2xlarge,us-east-1a,1,3600,10")(tmp_path)
    _runs()(tmp_path)
    write(tmp_path, "traces_prices.csv", ["series_id,start_tick,length,price_usd_h"])
    with pytest.raises(NoData, match="a is listed, but traces_runs has nothing of it"):
        load_traces(tmp_path)


def test_a_band_that_there_is_not_is_refused(data: Path) -> None:
    head = "snapshot_date,region,instance_type,interruption_band"
    write(data, "spot_advisor_linux.csv", [head, "2021-02-10,us-east-1,m5.large,7"])
    with pytest.raises(BadData, match="interruption_band is 7; there are 0 to 4"):
        load_hazards(data, "us-east-1", "2021-03-02")


def test_bands_of_a_later_time_are_not_used(data: Path) -> None:
    with pytest.raises(NoData, match="nothing of us-east-1 up to 2021-01-01"):
        load_hazards(data, "us-east-1", "2021-01-01")


def test_a_second_price_of_a_type_on_demand_is_refused(data: Path) -> None:
    write(data, "ondemand.csv", ["region,instance_type,ondemand_usd_h", *["us-east-1,m5.large,0.096"] * 2])
    with pytest.raises(BadData, match=r"a second price of m5\.large in us-east-1"):
        load_on_demand(data)


def test_a_pool_without_a_price_at_the_start_is_left_out() -> None:
    assert hourly([(10.0, 0.1), (12.5, 0.2)], 9, 5) is None
    assert hourly([(10.0, 0.1), (12.5, 0.2)], 10, 5) == [0.1, 0.1, 0.1, 0.2, 0.2]
