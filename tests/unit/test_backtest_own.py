"""A client's own history: the policy with its owner's gates, beside what else could have been done."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from backtest.errors import NoData
from backtest.own import CHEAPEST, CLAIRVOYANT, MODEL, ON_DEMAND_ALWAYS, POLICY, STAY, market_of, replay
from backtest.own_process import answer
from domain.autopilot.policy import AutopilotPolicy, Tolerance
from domain.autopilot.windows import Weekday, Window
from domain.backtesting.history import KindPast, Model, Past, PoolPast, ServerPast
from domain.deciding.facts import Needs
from stack.settings import REPOSITORY
from tests.models import FEATURES, model, packed, sha256

HOME = "us-east-1a/m5.large/on-demand"
A, B = "us-east-1a/m5.large/spot", "us-east-1b/m5.large/spot"
WARM_H, HOURS = 336.0, 336.0 + 7 * 24.0
NEEDS = Needs(on_demand_pool=HOME, on_demand_usd=0.1, outage_usd_per_h=1.0, overlap_h=0.5)


def past(
    a: list[tuple[float, float]] | None = None,
    b: list[tuple[float, float]] | None = None,
    *,
    start: str = HOME,
    down: list[tuple[float, float]] | None = None,
    policy: AutopilotPolicy | None = None,
    needs: Needs = NEEDS,
    **changes: Any,
) -> Past:
    """Two pools and one server, from a Monday on; two weeks to warm up, then one week that is judged."""
    pools = [
        PoolPast(A, "us-east-1", a or [(0.0, 0.04)], down or [], 0.0001),
        PoolPast(B, "us-east-1", b or [(0.0, 0.05)], [], 0.0001),
    ]
    kind = KindPast(needs, policy or AutopilotPolicy(), [0, 1], [ServerPast("srv-1", "orders", start)])
    made = Past("2026-06-01T00:00:00+00:00", WARM_H, HOURS, 0.25, pools, [kind])
    return replace(made, **changes)


def outcomes(of: Past, **how: Any) -> dict[str, dict[str, Any]]:
    return {one["policy"]: one for one in replay(of, **how)["policies"]}


def test_a_server_on_demand_goes_to_the_cheapest_pool_and_stays_there() -> None:
    found = outcomes(past())
    assert found.keys() == {POLICY, STAY, ON_DEMAND_ALWAYS, CHEAPEST, CLAIRVOYANT}
    week = 7 * 24.0
    assert found[STAY]["money_usd"] == found[ON_DEMAND_ALWAYS]["money_usd"] == pytest.approx(week * 0.1)
    assert found[POLICY]["moves"] == 1
    assert found[POLICY]["money_usd"] == pytest.approx(week * 0.04 + 0.5 * 0.1)
    assert found[CLAIRVOYANT]["cost_usd"] <= found[POLICY]["cost_usd"] + 1e-9


def test_a_loss_is_an_interruption_with_its_outage_and_its_cost() -> None:
    found = outcomes(past(start=A, down=[(WARM_H + 50, WARM_H + 51)]))
    assert found[POLICY]["interruptions"] == 1
    assert found[POLICY]["outage_minutes"] == pytest.approx(10.0)
    assert found[POLICY]["cost_usd"] == pytest.approx(found[POLICY]["money_usd"] + 1.0 / 6)
    assert found[CLAIRVOYANT]["interruptions"] == 0


def test_a_freeze_moves_nothing_but_a_server_that_is_lost() -> None:
    frozen = AutopilotPolicy(frozen=True)
    assert outcomes(past(policy=frozen))[POLICY]["moves"] == 0
    lost = outcomes(past(start=A, policy=frozen, down=[(WARM_H + 50, WARM_H + 51)]))[POLICY]
    assert (lost["moves"], lost["interruptions"]) == (0, 1)


def test_ordinary_moves_wait_for_their_window() -> None:
    sunday = AutopilotPolicy(windows=[Window("00:00", "23:59", [Weekday.SUNDAY])])
    found = outcomes(past(policy=sunday))[POLICY]
    assert found["moves"] == 1
    assert found["money_usd"] == pytest.approx(6 * 24 * 0.1 + 24 * 0.04 + 0.5 * 0.1)


def test_no_more_moves_a_week_than_allowed_and_none_for_too_little() -> None:
    steps = [(WARM_H + 24.0 * day, 0.03 if day % 2 else 0.07) for day in range(7)]
    every = AutopilotPolicy(max_moves_per_week=1, minimum_stay_h=0.0)
    assert outcomes(past(a=[(0.0, 0.04), *steps], start=B, policy=every))[POLICY]["moves"] <= 1
    picky = AutopilotPolicy(min_saving=0.5)
    assert outcomes(past(a=[(0.0, 0.04)], start=B, policy=picky))[POLICY]["moves"] == 0


def test_a_pool_without_a_price_yet_cannot_be_had() -> None:
    late = past(a=[(WARM_H + 100.0, 0.01)])
    market = market_of(late, late.kinds[0])
    assert not market.up[int((WARM_H + 99) / 0.25)][0]
    assert market.up[int((WARM_H + 101) / 0.25)][0]


def test_where_nothing_has_a_price_there_is_no_data() -> None:
    nothing = past()
    nothing.pools[:] = [replace(one, steps=[]) for one in nothing.pools]
    with pytest.raises(NoData, match="none of the pools it could run in has a price in this time"):
        replay(nothing)
    assert answer(nothing)["type"] == "NoData"
    with pytest.raises(NoData, match="the on-demand price of x is not known"):
        replay(past(kinds=[], skipped={"srv-1": "the on-demand price of x is not known"}))


def test_the_period_is_asked_for_within_what_was_observed() -> None:
    with pytest.raises(NoData, match="Ask for a period within"):
        replay(past(warm_h=HOURS))


ABSURD = st.sampled_from([1e-9, 1e9, 1e-300, 1e308])


@given(st.integers(1, 160), ABSURD, st.booleans(), st.sampled_from(list(Tolerance)))
@settings(deadline=None, max_examples=15)
def test_a_poisoned_future_changes_nothing_before_it(hours: int, usd: float, down: bool, tolerance: Tolerance) -> None:
    """The week's replay up to an hour is the same, whatever comes after it."""
    from datetime import datetime

    from backtest.led import Led
    from backtest.market import Window
    from backtest.observed import observe
    from backtest.ours import rated
    from domain.deciding.tuning import DEFAULT

    def path(of: Past) -> list[int]:
        market, kind = market_of(of, of.kinds[0]), of.kinds[0]
        seen = rated(list(observe(market)), DEFAULT)
        led = Led(market, seen, kind.needs, kind.policy, datetime.fromisoformat(of.began), DEFAULT)
        return led.run(Window(round(WARM_H / 0.25), round(at / 0.25)), -1)

    at = WARM_H + hours
    needs = replace(NEEDS, outage_usd_per_h=tolerance.weight * 0.1)
    steps = [(0.0, 0.04), (WARM_H + 20.0, 0.06), (WARM_H + 90.0, 0.03)]
    plain = past(a=steps, down=[(WARM_H + 60, WARM_H + 61)], needs=needs)
    poisoned = past(
        a=[*(step for step in steps if step[0] < at), (at, usd)],
        b=[(0.0, 0.05), (at, usd)],
        down=[(WARM_H + 60, min(WARM_H + 61, at)), *([(at, HOURS)] if down else [])] if at > WARM_H + 60 else [],
        needs=needs,
    )
    assert path(poisoned) == path(plain)


def test_a_model_is_replayed_beside_the_policy() -> None:
    content = packed(model(0.0001, 1.0))
    given_model = Model("mdl-1", base64.b64encode(content).decode(), FEATURES, sha256(content))
    found = answer(past(model=given_model))["result"]["policies"]
    assert {one["policy"] for one in found} >= {POLICY, MODEL}


def test_a_model_that_cannot_be_run_ends_the_backtest_with_its_reason() -> None:
    content = packed(model(float("nan")))
    broken = Model("mdl-1", base64.b64encode(content).decode(), FEATURES, sha256(content))
    found = answer(past(model=broken))
    assert found["type"] == "BacktestFailed"
    assert "losses_per_h is nan" in found["problem"]
    other = replace(broken, sha256="0" * 64)
    assert "it is another file, or was changed on its way" in answer(past(model=other))["problem"]


def test_it_runs_in_a_process_of_its_own() -> None:
    given_past = TypeAdapter(Past).dump_json(past())
    command = [sys.executable, "-m", "backtest.own_process"]
    done = subprocess.run(command, input=given_past, capture_output=True, cwd=REPOSITORY, env={}, check=True)
    assert json.loads(done.stdout)["result"] == replay(past())
