"""Forecasts inform the rating of pools; what fails is as if it had never been asked, in the same decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.autopilot.appraisal import appraise_rated, caution, rate_offers
from domain.autopilot.decision import DecisionKind
from domain.autopilot.decision_inputs import Needs, Offer, ServerPosition
from domain.autopilot.forecast_ratings import rate_with_forecaster
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import DEFAULT_TUNING
from domain.forecasting.features import FEATURES, feature_rows
from domain.forecasting.forecaster import Forecast, ForecastFailed
from tests.onnx_models import offer

ON_DEMAND, A, B = "us-east-1a/m5.large/on-demand", "us-east-1a/m5.large/spot", "us-east-1b/m5.large/spot"
NEEDS = Needs(on_demand_pool=ON_DEMAND, on_demand_usd=1.0, outage_usd_per_h=10.0)


@dataclass
class Fake:
    answers: Sequence[Forecast] = ()
    error: str = ""
    asked: int = 0
    name: str = "mdl-1"
    seen: list[Offer] = field(default_factory=list)

    def forecast(self, offers: Sequence[Offer]) -> Sequence[Forecast]:
        self.asked += 1
        self.seen = list(offers)
        if self.error:
            raise ForecastFailed(self.error)
        return self.answers


def test_without_a_forecaster_the_built_in_reckoning_rates() -> None:
    assert rate_with_forecaster([offer(A), offer(B)], DEFAULT_TUNING).rated == rate_offers(
        [offer(A), offer(B)], DEFAULT_TUNING
    )


def test_a_forecast_takes_the_place_of_hazard_and_price() -> None:
    found = rate_with_forecaster([offer(A, usd=0.4)], DEFAULT_TUNING, Fake([Forecast(0.5, 1.5)]))
    assert (found.model, found.fell_back) == ("mdl-1", "")
    assert found.rated[0].hazard_per_h == 0.5
    assert found.rated[0].price_usd == pytest.approx(0.6)


def test_a_model_does_not_silence_what_aws_says_of_a_pool() -> None:
    warned = replace(offer(A), warning=math.log(6))
    [found] = rate_with_forecaster([warned], DEFAULT_TUNING, Fake([Forecast(0.5, 1.0)])).rated
    assert found.hazard_per_h == pytest.approx(3.0)


def test_a_pool_that_is_down_needs_no_forecast() -> None:
    down = offer(A, up=False)
    assert rate_with_forecaster([down], DEFAULT_TUNING, Fake([Forecast(0.5, 1.5)])).rated == rate_offers(
        [down], DEFAULT_TUNING
    )


def test_forecasts_change_where_a_server_goes() -> None:
    offers = [offer(A, usd=0.3), offer(B, usd=0.31)]
    position = ServerPosition(ON_DEMAND, -100.0)

    def decided(forecaster: Fake | None) -> str:
        rated = rate_with_forecaster(offers, DEFAULT_TUNING, forecaster).rated
        decision = decide_server(position, appraise_rated(rated, NEEDS, 0.0, caution(DEFAULT_TUNING)), DEFAULT_TUNING)
        assert decision.kind is DecisionKind.MOVE
        return decision.pool

    assert decided(None) == A
    assert decided(Fake([Forecast(0.2, 1.0), Forecast(0.001, 1.0)])) == B


ABSURD = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -0.001, 60.1, 1e30]),
    st.floats(max_value=-1e-9, allow_nan=False),
)


@given(ABSURD, st.booleans())
def test_nonsense_from_one_pool_leaves_all_to_the_built_in_reckoning(absurd: float, in_price: bool) -> None:
    bad = Forecast(0.1, absurd) if in_price else Forecast(absurd, 1.0)
    offers = [offer(A), offer(B)]
    found = rate_with_forecaster(offers, DEFAULT_TUNING, Fake([Forecast(0.1, 1.0), bad]))
    assert found.rated == rate_offers(offers, DEFAULT_TUNING)
    assert found.model == "mdl-1"
    assert found.fell_back.startswith("nonsense for pool 2 of 2: ")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_or_too_many_forecasts_are_none(count: int) -> None:
    offers = [offer(A), offer(B)]
    found = rate_with_forecaster(offers, DEFAULT_TUNING, Fake([Forecast(0.1, 1.0)] * count))
    assert found.rated == rate_offers(offers, DEFAULT_TUNING)
    assert found.fell_back == f"{count} forecasts for 2 pools"


def test_what_a_forecaster_says_of_its_failure_is_kept() -> None:
    assert (
        rate_with_forecaster([offer(A)], DEFAULT_TUNING, Fake(error="no answer within 2 s")).fell_back
        == "no answer within 2 s"
    )


def test_nothing_is_asked_about_no_pools() -> None:
    fake = Fake()
    assert rate_with_forecaster([], DEFAULT_TUNING, fake).fell_back == ""
    assert fake.asked == 0


@given(
    st.floats(0.0, 1e6),
    st.floats(0.0, 1.0),
    st.floats(0.0, 100.0),
    st.floats(1e-6, 100.0),
    st.booleans(),
)
def test_every_feature_of_every_offer_is_a_finite_number(
    up_h: float, up_share: float, losses: float, usd: float, up: bool
) -> None:
    from dataclasses import replace

    one = offer(up_h=up_h, usd=usd, up=up)
    one = replace(one, reliability=replace(one.reliability, up_share=up_share, losses=losses, expected=losses / 2))
    (row,) = feature_rows([one], list(FEATURES))
    assert all(math.isfinite(value) and abs(value) < 1000 for value in row)
