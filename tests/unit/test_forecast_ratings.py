"""Models in the autopilot's pass: they inform their client's decisions alone, and who fails is not missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from activities.forecasters import RETRY_AFTER_S, GuardedForecaster
from domain.autopilot.decision_figures import decision_figures
from domain.autopilot.decision_inputs import Needs, Offer, ServerPosition
from domain.autopilot.fleet_evaluation import JudgedCase, OperationBudget, ServerCase, evaluate_fleet
from domain.autopilot.forecast_ratings import ForecastRatings, rate_by_forecast
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch
from domain.autopilot.policy_gates import ServerConditions
from domain.autopilot.pool_supply import RegionPlatform, Supply
from domain.autopilot.shadow_comparison import compare_shadow
from domain.forecasting.forecaster import Forecast, Forecaster, ForecastFailed
from domain.market.on_demand_prices import LINUX
from forecasting.model_process import ModelRefused
from forecasting.onnx_forecaster import OnnxForecaster
from tests.onnx_models import FEATURES, model, onnx_bytes, patience_with_models, sha256
from tests.unit.test_fleet_evaluation import AT_H, HOME, MARKET, NOW, A, B

__all__ = ["patience_with_models"]  # fixtures

ON = AutopilotPolicy(auto_switch=AutoSwitch.ON)
NEEDS = Needs(on_demand_pool=HOME, on_demand_usd=0.1, outage_usd_per_h=1.0)
SUPPLIES: dict[RegionPlatform, Supply] = {("", LINUX): Supply(MARKET)}


class Fearful(Forecaster):
    """Believes that one pool is lost every few hours."""

    def __init__(self, of: str = A, error: str = "") -> None:
        self.of, self.error, self.asked = of, error, 0

    @property
    def name(self) -> str:
        return "mdl-1"

    def forecast(self, offers: Sequence[Offer]) -> Sequence[Forecast]:
        self.asked += 1
        if self.error:
            raise ForecastFailed(self.error)
        return [Forecast(0.3 if one.pool == self.of else 0.0001, 1.0) for one in offers]


def case(number: int, client: str) -> ServerCase:
    return ServerCase(
        f"srv-{number}", client, ServerPosition(HOME, AT_H - 100), NEEDS, frozenset(MARKET), ServerConditions(ON)
    )


def decided(informed: dict[str, ForecastRatings], *clients: str) -> list[JudgedCase]:
    cases = [case(number, client) for number, client in enumerate(clients)]
    return evaluate_fleet(cases, SUPPLIES, AT_H, NOW, OperationBudget(100), informed=informed).judged


def test_a_model_informs_the_decisions_of_its_client_alone() -> None:
    mine, other = decided({"mine": rate_by_forecast(SUPPLIES, Fearful())}, "mine", "other")
    assert (mine.verdict.decision.pool, other.verdict.decision.pool) == (B, A)
    assert decision_figures(mine)["model"] == {"id": "mdl-1", "used": True, "fell_back": ""}
    assert decision_figures(other)["model"] is None


def test_two_models_inform_two_clients() -> None:
    class Second(Fearful):
        @property
        def name(self) -> str:
            return "mdl-2"

    informed = {"one": rate_by_forecast(SUPPLIES, Fearful(A)), "two": rate_by_forecast(SUPPLIES, Second(B))}
    one, two, three = decided(informed, "one", "two", "three")
    assert [judged.verdict.decision.pool for judged in (one, two, three)] == [B, A, A]
    assert two.informed is not None
    assert two.informed.label == "mdl-2"


@pytest.mark.parametrize("error", ["no answer within 2 s", "its process ended"])
def test_a_model_that_fails_leaves_the_same_decision_to_the_built_in_reckoning(error: str) -> None:
    [plain] = decided({}, "mine")
    [fallen] = decided({"mine": rate_by_forecast(SUPPLIES, Fearful(error=error))}, "mine")
    assert fallen.verdict == plain.verdict
    assert decision_figures(fallen)["model"] == {"id": "mdl-1", "used": False, "fell_back": error}
    assert fallen.informed is not None
    assert fallen.informed.label == "mdl-1:fell_back"


def test_a_model_is_asked_once_for_all_pools_of_all_regions() -> None:
    forecaster = Fearful()
    more: dict[RegionPlatform, Supply] = SUPPLIES | {("other", LINUX): Supply(MARKET)}
    informing = rate_by_forecast(more, forecaster)
    assert forecaster.asked == 1
    assert {where: set(rated) for where, rated in informing.rated.items()} == {where: set(MARKET) for where in more}


# --- in shadow


def shadows(informing: ForecastRatings, *clients: str) -> dict[str, tuple[int, int, int]]:
    cases = [case(number, client) for number, client in enumerate(clients)]
    learnt = evaluate_fleet(cases, SUPPLIES, AT_H, NOW, OperationBudget(100)).learnt
    found = compare_shadow(cases, SUPPLIES, informing, learnt, AT_H)
    return {one.client_id: (one.decisions, one.agreed, one.fell_back) for one in found}


def test_what_a_model_would_have_decided_is_counted_beside() -> None:
    assert shadows(rate_by_forecast(SUPPLIES, Fearful()), "one", "one", "two") == {"one": (2, 0, 0), "two": (1, 0, 0)}
    assert shadows(rate_by_forecast(SUPPLIES, Fearful("nowhere")), "one") == {"one": (1, 1, 0)}


def test_a_shadow_that_fails_is_counted_as_that() -> None:
    assert shadows(rate_by_forecast(SUPPLIES, Fearful(error="late")), "one", "one") == {"one": (0, 0, 2)}


def test_what_each_would_cost_is_reckoned_by_the_same_figures() -> None:
    cases = [case(1, "one")]
    learnt = evaluate_fleet(cases, SUPPLIES, AT_H, NOW, OperationBudget(100)).learnt
    [found] = compare_shadow(cases, SUPPLIES, rate_by_forecast(SUPPLIES, Fearful()), learnt, AT_H)
    assert found.cost_usd - found.built_in_cost_usd == pytest.approx(0.02), "B is two cents dearer than A"


# --- one that fails is left alone for a while


def test_a_model_that_failed_is_not_asked_again_at_once() -> None:
    clock, opened = [0.0], list[int]()

    def broken() -> OnnxForecaster:
        opened.append(1)
        raise ModelRefused("it is another file")

    guarded = GuardedForecaster("mdl-1", broken, lambda: clock[0])
    for expected in (1, 1):
        with pytest.raises(ForecastFailed, match="it is another file"):
            guarded.forecast([MARKET[A]])
        assert len(opened) == expected
    clock[0] = RETRY_AFTER_S + 1
    content = onnx_bytes(model(0.01))
    guarded._opened = lambda: OnnxForecaster("mdl-1", content, FEATURES, sha256(content))
    assert len(guarded.forecast([MARKET[A], replace(MARKET[B], zone="")])) == 2
    guarded.close()
