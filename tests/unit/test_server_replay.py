"""A client's own history: the policy with its owner's gates, beside what else could have been done."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from activities.backtests.replay_process import answer
from domain.autopilot.decision_inputs import Needs
from domain.autopilot.maintenance_windows import MaintenanceWindow, Weekday
from domain.autopilot.move_cost import MoveProfile
from domain.autopilot.policy import AutopilotPolicy, Tolerance
from domain.backtest.contract import NoData
from domain.backtest.history import ForecastModel, KindHistory, PoolHistory, RegionHistory, ReplayHistory, ServerHistory
from domain.backtest.offers_by_tick import supply_by_tick
from domain.backtest.server_replay import (
    CHEAPEST,
    CLAIRVOYANT,
    MODEL,
    ON_DEMAND_ALWAYS,
    POLICY,
    STAY,
    market_of,
    replay_history,
)
from lab.stack.settings import REPOSITORY
from tests.onnx_models import FEATURES, model, onnx_bytes, patience_with_models, sha256

__all__ = ["patience_with_models"]  # fixtures

HOME = "us-east-1a/m5.large/on-demand"
A, B = "us-east-1a/m5.large/spot", "us-east-1b/m5.large/spot"
MONDAY_H = datetime(2026, 6, 1, tzinfo=UTC).timestamp() / 3600  # when the week begins that is judged
WEEK_H = 7 * 24.0
WAY = MoveProfile(overlap_h=0.5)
NEEDS = Needs(on_demand_pool=HOME, on_demand_usd=0.1, outage_usd_per_h=1.0, within=WAY, beyond=WAY)
EARLIER_H = -200.0
Steps = list[tuple[float, float]]


def past(
    a: Steps | None = None,
    b: Steps | None = None,
    *,
    start: str = HOME,
    lost: Sequence[float] = (),
    policy: AutopilotPolicy | None = None,
    needs: Needs = NEEDS,
    data_gib: int = 0,
    **changes: Any,
) -> ReplayHistory:
    """Two pools and one server, from a Monday on; hours count from then. An instance of ours runs in A."""

    def at(steps: Steps) -> Steps:
        return [(MONDAY_H + hour, usd) for hour, usd in steps]

    facts = [("lost", MONDAY_H + hour) for hour in lost]
    pools = [
        PoolHistory(A, at(a or [(EARLIER_H, 0.04)]), facts, at([(EARLIER_H, WEEK_H + MONDAY_H)])),
        PoolHistory(B, at(b or [(EARLIER_H, 0.05)])),
    ]
    kind = KindHistory(needs, policy or AutopilotPolicy(), [A, B], [ServerHistory("srv-1", "orders", start, data_gib)])
    region = RegionHistory("us-east-1", "Linux/UNIX", pools, [kind], {"m5.large": 0})
    return replace(ReplayHistory(MONDAY_H, MONDAY_H + WEEK_H, 0.25, [region]), **changes)


def outcomes(of: ReplayHistory, **how: Any) -> dict[str, dict[str, Any]]:
    return {one["policy"]: one for one in replay_history(of, **how)["policies"]}


def test_a_server_on_demand_goes_to_the_cheapest_pool_and_stays_there() -> None:
    found = outcomes(past())
    assert found.keys() == {POLICY, STAY, ON_DEMAND_ALWAYS, CHEAPEST, CLAIRVOYANT}
    assert found[STAY]["money_usd"] == found[ON_DEMAND_ALWAYS]["money_usd"] == pytest.approx(WEEK_H * 0.1)
    assert found[POLICY]["moves"] == 1
    assert found[POLICY]["money_usd"] == pytest.approx(WEEK_H * 0.04 + 0.5 * 0.1)
    assert found[CLAIRVOYANT]["cost_usd"] <= found[POLICY]["cost_usd"] + 1e-9


def test_a_loss_is_an_interruption_with_its_outage_and_its_cost() -> None:
    found = outcomes(past(start=A, lost=[50.0]))
    assert found[POLICY]["interruptions"] == 1
    assert found[POLICY]["outage_minutes"] == pytest.approx(10.0)
    assert found[POLICY]["cost_usd"] == pytest.approx(found[POLICY]["money_usd"] + 1.0 / 6)
    assert found[CLAIRVOYANT]["interruptions"] == 0


def test_a_planned_move_is_billed_with_its_outage_and_its_snapshots() -> None:
    """B is in another zone: who begins there goes to A, and stays."""
    way = MoveProfile(0.5, outage_h=0.02, copies=True)
    needs = replace(NEEDS, within=WAY, beyond=way)
    small, large = (outcomes(past(b=[(EARLIER_H, 0.07)], start=B, needs=needs, data_gib=gib)) for gib in (10, 10_000))
    moved = small[POLICY]
    assert (moved["moves"], moved["interruptions"]) == (1, 0)
    assert moved["snapshot_usd"] == pytest.approx(way.snapshot_usd(10), abs=1e-6)
    assert moved["money_usd"] == pytest.approx(WEEK_H * 0.04 + 0.5 * 0.07 + moved["snapshot_usd"])
    assert moved["outage_minutes"] == moved["move_outage_minutes"] == pytest.approx(1.2)
    assert moved["cost_usd"] == pytest.approx(moved["money_usd"] + 0.02)
    assert small[CLAIRVOYANT]["cost_usd"] <= moved["cost_usd"] + 1e-9
    assert large[POLICY]["moves"] == large[CLAIRVOYANT]["moves"] == 0, "that much is not copied for so little"


def test_outage_of_moves_stands_beside_that_of_interruptions() -> None:
    needs = replace(NEEDS, within=MoveProfile(0.5, outage_h=0.02), beyond=MoveProfile(0.5, outage_h=0.02))
    found = outcomes(past(start=HOME, lost=[50.0], needs=needs))[POLICY]
    assert (found["interruptions"], found["moves"]) == (1, 2)
    assert found["move_outage_minutes"] == pytest.approx(found["moves"] * 1.2)
    assert found["outage_minutes"] == pytest.approx(10.0 + found["move_outage_minutes"])


def test_servers_of_one_kind_with_different_volumes_are_each_billed_for_their_own() -> None:
    way = MoveProfile(0.5, copies=True)
    needs = replace(NEEDS, beyond=way)
    both = past(b=[(EARLIER_H, 0.07)], start=B, needs=needs, data_gib=10)
    both.regions[0].kinds[0].servers.append(ServerHistory("srv-2", "payments", B, 20))
    billed = [server["outcomes"][0]["snapshot_usd"] for server in replay_history(both)["servers"]]
    assert billed == pytest.approx([way.snapshot_usd(10), way.snapshot_usd(20)], abs=1e-6)
    assert replay_history(replace(both, left_out={"srv-2": "its snapshots"}))["left_out"] == {"srv-2": "its snapshots"}


def test_a_freeze_moves_nothing_but_a_server_that_is_lost() -> None:
    frozen = AutopilotPolicy(frozen=True)
    assert outcomes(past(policy=frozen))[POLICY]["moves"] == 0
    lost = outcomes(past(start=A, policy=frozen, lost=[50.0]))[POLICY]
    assert (lost["moves"], lost["interruptions"]) == (0, 1)


def test_ordinary_moves_wait_for_their_window() -> None:
    sunday = AutopilotPolicy(windows=[MaintenanceWindow("00:00", "23:59", [Weekday.SUNDAY])])
    found = outcomes(past(policy=sunday))[POLICY]
    assert found["moves"] == 1
    assert found["money_usd"] == pytest.approx(6 * 24 * 0.1 + 24 * 0.04 + 0.5 * 0.1)


def test_no_more_moves_a_week_than_allowed_and_none_for_too_little() -> None:
    steps = [(24.0 * day, 0.03 if day % 2 else 0.07) for day in range(7)]
    every = AutopilotPolicy(max_moves_per_week=1, minimum_stay_h=0.0)
    assert outcomes(past(a=[(EARLIER_H, 0.04), *steps], start=B, policy=every))[POLICY]["moves"] <= 1
    picky = AutopilotPolicy(min_saving=0.5)
    assert outcomes(past(a=[(EARLIER_H, 0.04)], start=B, policy=picky))[POLICY]["moves"] == 0


def test_a_pool_without_a_price_yet_cannot_be_had() -> None:
    late = past(a=[(100.0, 0.01)])
    market = market_of(late, late.regions[0], late.regions[0].kinds[0])
    assert not market.up[int(99 / 0.25)][0]
    assert market.up[int(101 / 0.25)][0]


def test_where_nothing_has_a_price_there_is_no_data() -> None:
    nothing = past()
    nothing.regions[0].pools[:] = [replace(one, steps=[]) for one in nothing.regions[0].pools]
    with pytest.raises(NoData, match="none of the pools it could run in has a price in this time"):
        replay_history(nothing)
    assert answer(nothing)["type"] == "NoData"
    with pytest.raises(NoData, match="the on-demand price of x is not known"):
        replay_history(past(regions=[], skipped={"srv-1": "the on-demand price of x is not known"}))


def test_a_period_that_is_too_short_is_no_data() -> None:
    with pytest.raises(NoData, match="too short to decide in even once"):
        replay_history(past(until_h=MONDAY_H))


ABSURD = st.sampled_from([1e-9, 1e9, 1e-300, 1e308])


@given(st.integers(1, 160), ABSURD, st.booleans(), st.sampled_from(list(Tolerance)))
@settings(deadline=None, max_examples=15)
def test_a_poisoned_future_changes_nothing_before_it(hours: int, usd: float, lost: bool, tolerance: Tolerance) -> None:
    """What was seen up to an hour, and what was decided on it, is the same whatever comes after."""
    needs = replace(NEEDS, outage_usd_per_h=tolerance.weight * 0.1)
    steps = [(EARLIER_H, 0.04), (20.0, 0.06), (90.0, 0.03)]
    plain = past(a=steps, lost=[60.0], needs=needs)
    known = [hour for hour in (60.0,) if hour < hours]
    poisoned = past(
        a=[*(step for step in steps if step[0] < hours), (float(hours), usd)],
        b=[(EARLIER_H, 0.05), (float(hours), usd)],
        lost=[*known, *([float(hours)] if lost else [])],
        needs=needs,
    )
    until = round(hours / 0.25)
    one, other = (list(islice(supply_by_tick(of, of.regions[0]), until)) for of in (plain, poisoned))
    assert one == other
    cut = [replace(of, until_h=MONDAY_H + hours) for of in (plain, poisoned)]
    assert replay_history(cut[0])["policies"][0] == replay_history(cut[1])["policies"][0]


def test_a_model_is_replayed_beside_the_policy() -> None:
    content = onnx_bytes(model(0.0001, 1.0))
    given_model = ForecastModel("mdl-1", base64.b64encode(content).decode(), FEATURES, sha256(content))
    found = answer(past(model=given_model))["result"]["policies"]
    assert {one["policy"] for one in found} >= {POLICY, MODEL}


def test_a_model_that_cannot_be_run_ends_the_backtest_with_its_reason() -> None:
    content = onnx_bytes(model(float("nan")))
    broken = ForecastModel("mdl-1", base64.b64encode(content).decode(), FEATURES, sha256(content))
    found = answer(past(model=broken))
    assert found["type"] == "BacktestFailed"
    assert "losses_per_h is nan" in found["problem"]
    other = replace(broken, sha256="0" * 64)
    assert "it is another file, or was changed on its way" in answer(past(model=other))["problem"]


def test_it_runs_in_a_process_of_its_own() -> None:
    given_past = TypeAdapter(ReplayHistory).dump_json(past())
    command = [sys.executable, "-m", "activities.backtests.replay_process"]
    done = subprocess.run(command, input=given_past, capture_output=True, cwd=REPOSITORY, env={}, check=True)
    assert json.loads(done.stdout)["result"] == replay_history(past())
