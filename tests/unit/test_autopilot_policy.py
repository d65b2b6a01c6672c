"""Whose word holds, what contradicts itself, and when the windows are open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.autopilot.maintenance_windows import MaintenanceWindow, Weekday, any_window_open
from domain.autopilot.policy import (
    AutopilotPolicy,
    AutopilotPreferences,
    AutoSwitch,
    Contradiction,
    ReplicaMode,
    Tolerance,
    check_policy,
    resolve_policy,
)

MONDAY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_the_servers_word_goes_before_the_clients_and_that_before_the_default() -> None:
    client = AutopilotPreferences(auto_switch=AutoSwitch.ON, min_saving=0.2, frozen=True)
    policy = resolve_policy(AutopilotPreferences(auto_switch=AutoSwitch.PROPOSE, frozen=False), client)
    assert (policy.auto_switch, policy.min_saving, policy.frozen) == (AutoSwitch.PROPOSE, 0.2, False)
    assert policy.max_moves_per_week == AutopilotPolicy().max_moves_per_week


def test_nobody_who_says_nothing_is_moved() -> None:
    assert resolve_policy(AutopilotPreferences(), AutopilotPreferences()).auto_switch is AutoSwitch.OFF


def test_an_outage_costs_what_is_said_or_what_the_tolerance_makes_of_the_price() -> None:
    assert AutopilotPolicy().outage_usd(0.1) == pytest.approx(1.0)
    assert AutopilotPolicy(tolerance=Tolerance.STRICT).outage_usd(0.1) == pytest.approx(5.0)
    assert AutopilotPolicy(outage_usd_per_hour=300).outage_usd(0.1) == 300
    client = AutopilotPreferences(outage_usd_per_hour=300)
    assert resolve_policy(AutopilotPreferences(tolerance=Tolerance.RELAXED), client).outage_usd(0.1) == pytest.approx(
        0.1
    )
    assert resolve_policy(AutopilotPreferences(), client).outage_usd(0.1) == 300


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (AutopilotPolicy(approval_needed=True), "nothing is moved"),
        (AutopilotPolicy(auto_switch=AutoSwitch.PROPOSE, approval_needed=True), "already"),
        (AutopilotPolicy(auto_switch=AutoSwitch.ON, max_moves_per_week=0), "allows no move"),
        (AutopilotPolicy(max_moves_per_week=20, minimum_stay_h=24), "lower one of them"),
        (AutopilotPolicy(replica=ReplicaMode.ON_RISK, outage_usd_per_hour=0.0), "name a cost"),
        (AutopilotPolicy(windows=[MaintenanceWindow("22:00", "22:00")]), "empty"),
        (AutopilotPolicy(windows=[MaintenanceWindow("25:00", "22:00")]), "HH:MM"),
        (AutopilotPolicy(windows=[MaintenanceWindow("20:00", "22:00", timezone="Mars/Base")]), "IANA"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(policy: AutopilotPolicy, words: str) -> None:
    with pytest.raises(Contradiction, match=words):
        check_policy(policy)


def test_an_old_instance_that_stays_as_replica_is_not_kept_for_a_while() -> None:
    with pytest.raises(Contradiction, match="keep_old_s"):
        check_policy(AutopilotPolicy(keep_old_s=60), keeps_replica=True)
    check_policy(AutopilotPolicy(keep_old_s=60))
    check_policy(AutopilotPolicy())


def test_a_freeze_ends_by_itself() -> None:
    policy = AutopilotPolicy(frozen_until=MONDAY)
    assert policy.is_frozen(MONDAY - timedelta(seconds=1))
    assert not policy.is_frozen(MONDAY)
    assert AutopilotPolicy(frozen=True).is_frozen(MONDAY)


def test_a_window_past_midnight_belongs_to_the_day_it_starts() -> None:
    night = MaintenanceWindow("22:00", "06:00", [Weekday.MONDAY], "Europe/Berlin")
    monday_midnight = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)  # 00:30 on Tuesday in Berlin
    assert night.holds(monday_midnight)
    assert not night.holds(monday_midnight - timedelta(days=1))  # Sunday's night
    assert not night.holds(MONDAY)
    assert night.holds(datetime(2026, 11, 23, 21, 0, tzinfo=UTC))  # 22:00 in Berlin


@given(
    st.integers(0, 365 * 24 * 60),
    st.sampled_from(["00:00", "06:30", "22:00"]),
    st.sampled_from(["03:15", "12:00", "23:59"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_a_window_and_its_counterpart_share_the_day_between_them(minutes: int, one: str, two: str, zone: str) -> None:
    now = MONDAY + timedelta(minutes=minutes)
    assert MaintenanceWindow(one, two, timezone=zone).holds(now) != MaintenanceWindow(two, one, timezone=zone).holds(
        now
    )


def test_without_windows_it_is_always_open() -> None:
    assert any_window_open([], MONDAY)
    assert not any_window_open([MaintenanceWindow("01:00", "02:00"), MaintenanceWindow("03:00", "04:00")], MONDAY)
    assert any_window_open([MaintenanceWindow("01:00", "02:00"), MaintenanceWindow("11:00", "13:00")], MONDAY)
