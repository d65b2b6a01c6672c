"""`python -m db load`: files of prices and of the Spot Advisor, good and bad."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from db.__main__ import main
from db.engine.session import SessionFactory
from db.market.canonical import canonical_checksum
from db.market.on_demand import on_demand_prices
from db.market.scores_and_bands import bands_of
from domain.market.contract import ThinOutInput
from domain.market.observed_prices import SetAsideReason
from domain.market.price_series import confidence_at
from tests.price_records import set_aside_since, step_at

pytest_plugins = ["tests.database_fixtures"]
REGION, ZONE = "us-east-1", "us-east-1a"
TODAY = datetime.now(UTC).replace(microsecond=0)
HEADER = "instance_type,az,timestamp,price_usd_h,currency\n"


@pytest.fixture(autouse=True)
def database(sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sessions.kw["bind"].url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)


def row(kind: str = "m5.large", zone: str = ZONE, ago_h: float = 1.0, usd: str = "0.031", currency: str = "USD") -> str:
    return f"{kind},{zone},{(TODAY - timedelta(hours=ago_h)).isoformat()},{usd},{currency}\n"


def test_spot_prices_go_through_the_tiers_and_what_cannot_be_true_is_set_aside(
    tmp_path: Path, sessions: SessionFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {
        SetAsideReason.ZERO: row(usd="0"),
        SetAsideReason.NEGATIVE: row(usd="-0.03"),
        SetAsideReason.IN_THE_FUTURE: row(ago_h=-2),
        SetAsideReason.UNKNOWN_TYPE: row(kind="large"),
        SetAsideReason.UNKNOWN_ZONE: row(zone="nowhere-1"),
        SetAsideReason.CURRENCY: row(currency="CNY"),
        SetAsideReason.NOT_A_NUMBER: row(usd="cheap"),
    }
    path = tmp_path / "prices.csv.gz"
    path.write_bytes(gzip.compress((HEADER + row(ago_h=3, usd="0.030") + row() + "".join(bad.values())).encode()))
    assert main(["load", "spot-prices", str(path)]) == 0
    assert "2 spot prices, 7 set aside" in capsys.readouterr().out
    with sessions() as session:
        price = step_at(session, "m5.large", TODAY)
        assert sorted(one.reason for one in set_aside_since(session, TODAY - timedelta(minutes=5))) == sorted(bad)
    assert price is not None
    assert (price.usd, confidence_at(price, TODAY)) == (Decimal("0.031"), 0.8)
    with sessions() as session:
        before = canonical_checksum(session, REGION)
    assert main(["load", "spot-prices", str(path)]) == 0
    with sessions() as session:
        assert canonical_checksum(session, REGION) == before, "the same file again changes nothing"


def test_on_demand_prices_and_the_spot_advisor(tmp_path: Path, sessions: SessionFactory) -> None:
    prices, bands, feed = tmp_path / "ondemand.csv", tmp_path / "advisor.csv", tmp_path / "advisor.json"
    prices.write_text(
        "region,instance_type,ondemand_usd_h,price_as_of,source\nus-east-1,m5.large,0.096,2019-04,ec2info\n"
    )
    bands.write_text(
        "snapshot_date,region,instance_type,interruption_band,savings_pct\n2021-02-10,us-east-1,m5.large,3,60\n"
    )
    feed.write_text(json.dumps({"spot_advisor": {"us-east-1": {"Linux": {"m5.large": {"s": 60, "r": 1}}}}}))
    assert main(["load", "on-demand", str(prices)]) == 0
    assert main(["load", "advisor", str(bands)]) == 0
    assert main(["load", "advisor", str(feed), "--as-of", "2025-06-28"]) == 0
    with sessions() as session:
        assert on_demand_prices(session, REGION, TODAY) == {"m5.large": Decimal("0.096")}
        assert bands_of(session, REGION, TODAY) == {"m5.large": 1}
        assert bands_of(session, REGION, datetime(2022, 1, 1, tzinfo=UTC)) == {"m5.large": 3}


@pytest.mark.parametrize(
    ("what", "text", "said"),
    [
        ("spot-prices", "", "the file is empty"),
        ("spot-prices", "instance_type,az\nm5.large,us-east-1a\n", "missing column timestamp, price_usd_h"),
        ("spot-prices", '{"Spot": []}', "expected {'SpotPriceHistory': [...]}"),
        ("on-demand", "region,instance_type,ondemand_usd_h\nus-east-1,m5.large,-1\n", "line 2: no on-demand price"),
        (
            "advisor",
            "snapshot_date,region,instance_type,interruption_band\n2021-02-10,us-east-1,m5.large,9\n",
            "bad band",
        ),
        ("advisor", '{"spot_advisor":', "not JSON"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, text: str, said: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert main(["load", what, str(path), str(tmp_path / "missing")]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "No such file" in told


def test_how_long_tiers_are_kept_is_said_in_days() -> None:
    assert ThinOutInput.read("7/30/100") == ThinOutInput(7, 30, 100)
    for wrong in ("14", "14/90", "a/b/c", "90/14/400", "0/1/2", ""):
        with pytest.raises(ValueError, match="14/90/400"):
            ThinOutInput.read(wrong)
