"""Prices of files and of the Pricing API: read, or refused with the line that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.market import on_demand_prices, spot_advisor, spot_price_file
from domain.market.observed_prices import (
    SetAsideReason,
)
from domain.market.on_demand_prices import BadMarketFile
from tests.unit.test_price_tiers import T0, reason, said


def test_prices_are_read_from_csv_and_from_json() -> None:
    rows = "instance_type,az,timestamp,price_usd_h\nm5.large,us-east-1a,2026-03-01T12:00:00Z,0.035\n"
    answer = (
        '{"SpotPriceHistory": [{"InstanceType": "m5.large", "AvailabilityZone": "us-east-1a", "SpotPrice": "0.035",'
        ' "Timestamp": "2026-03-01T12:00:00Z", "ProductDescription": "Linux/UNIX"},'
        ' {"InstanceType": "m5.large", "AvailabilityZone": "us-east-1a", "SpotPrice": "0.2",'
        ' "Timestamp": "2026-03-01T12:00:00Z", "ProductDescription": "Windows"}]}'
    )
    wanted = said(at="2026-03-01T12:00:00Z")
    assert spot_price_file.read_price_file(rows) == spot_price_file.read_price_file(answer) == [wanted]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a,b\n", "missing column instance_type, az, timestamp, price_usd_h"),
        ("instance_type,az,timestamp,price_usd_h\n", "holds no price"),
        ("instance_type,az,timestamp,price_usd_h\nm5.large,us-east-1a\n", "line 2: 2 columns where 4"),
        ("{", "not JSON"),
        ("[]", "SpotPriceHistory"),
    ],
)
def test_a_file_that_is_no_price_file_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(BadMarketFile, match=words):
        spot_price_file.read_price_file(text)


def test_a_row_in_another_currency_is_read_and_then_set_aside() -> None:
    header = "instance_type,az,timestamp,price_usd_h,currency"
    (one,) = spot_price_file.read_price_file(f"{header}\nm5.large,us-east-1a,2026-03-01T12:00:00Z,0.25,CNY\n")
    assert reason(one) is SetAsideReason.CURRENCY


def test_on_demand_prices_are_read_from_csv() -> None:
    (one,) = on_demand_prices.read_on_demand_prices(
        "region,instance_type,vcpu,ondemand_usd_h,price_as_of,source\nus-east-1,m5.large,2,0.096,2019-04,scaled:m5\n"
    )
    assert (one.usd, one.valid_from, one.source) == (Decimal("0.096"), datetime(2019, 4, 1, tzinfo=UTC), "scaled")


def offer(price: str, unit: str = "Hrs", currency: str = "USD") -> str:
    dimension = f'{{"unit": "{unit}", "pricePerUnit": {{"{currency}": "{price}"}}}}'
    return f'{{"effectiveDate": "2026-02-01T00:00:00Z", "priceDimensions": {{"d": {dimension}}}}}'


def test_on_demand_prices_are_read_from_the_pricing_apis_list() -> None:
    ordinary = '"tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"'
    place = '"instanceType": "m5.large", "regionCode": "us-east-1", "operatingSystem": "Linux"'
    dedicated = ordinary.replace("Shared", "Dedicated")
    products = f'"A": {{"attributes": {{{place}, {ordinary}}}}}, "B": {{"attributes": {{{place}, {dedicated}}}}}'
    terms = f'"A": {{"A.1": {offer("0.096")}}}, "B": {{"B.1": {offer("0.2")}}}'
    listed = f'{{"products": {{{products}}}, "terms": {{"OnDemand": {{{terms}}}}}}}'
    (one,) = on_demand_prices.read_on_demand_prices(listed)
    assert (one.region, one.platform, one.usd) == ("us-east-1", "Linux/UNIX", Decimal("0.096"))
    assert one.valid_from == datetime(2026, 2, 1, tzinfo=UTC)


def test_the_pricing_apis_answer_for_a_type_is_its_cheapest_offer_in_usd() -> None:
    entries = [f'{{"terms": {{"OnDemand": {{"o": {text}}}}}}}' for text in (offer("0.1"), offer("0.096"), offer("0"))]
    entries.append(f'{{"terms": {{"OnDemand": {{"o": {offer("0.05", currency="CNY")}}}}}}}')
    found = on_demand_prices.price_from_api("us-east-1", "m5.large", "Linux/UNIX", entries)
    assert found is not None
    assert (found.usd, found.source) == (Decimal("0.096"), "api")
    assert on_demand_prices.price_from_api("us-east-1", "m5.large", "Linux/UNIX", []) is None


@pytest.mark.parametrize(
    "text", ["", "{}", "region,instance_type\n", "region,instance_type,ondemand_usd_h\nr,m.l,-1\n"]
)
def test_a_file_that_is_no_price_list_is_refused(text: str) -> None:
    with pytest.raises(BadMarketFile):
        on_demand_prices.read_on_demand_prices(text)


def test_bands_are_read_from_the_advisors_data_and_from_csv() -> None:
    data = '{"spot_advisor": {"us-east-1": {"Linux": {"m5.large": {"s": 70, "r": 3}}, "Windows": {}}}}'
    (one,) = spot_advisor.read_bands(data, T0)
    assert (one.instance_type, one.band, one.as_of) == ("m5.large", 3, T0)
    header = "snapshot_date,region,instance_type,interruption_band,savings_pct"
    (other,) = spot_advisor.read_bands(f"{header}\n2021-02-10,us-east-1,m5.large,2,70\n", T0)
    assert (other.band, other.as_of) == (2, datetime(2021, 2, 10, tzinfo=UTC))
    with pytest.raises(BadMarketFile, match="line 2: bad band '7'"):
        spot_advisor.read_bands(f"{header}\n2021-02-10,us-east-1,m5.large,7,70\n", T0)
