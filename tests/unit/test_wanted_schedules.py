"""What a worker keeps on schedule, what a setting leaves out, and how long a run may take."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import ScheduleActionStartWorkflow

from activities.settings import read_settings
from activities.wanted_schedules import wanted_schedules
from domain.autopilot import contract as contract_of_autopilot
from domain.savings import contract


def schedules(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, tuple[timedelta, object]]:
    for name in ("SPOT_SAVINGS_EVERY_S", "SPOT_WEBHOOKS_EVERY_S", "SPOT_SIGNING_KEY", "SPOT_EVENTS_DAYS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"DATABASE_URL": "mysql+pymysql://x@y/z", **environment}.items():
        monkeypatch.setenv(name, value)
    return {one.schedule_id: (one.every, one.argument) for one in wanted_schedules(read_settings())}


def test_the_ledger_is_kept_every_quarter_of_an_hour_and_looked_at_again_every_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = schedules(monkeypatch)
    assert found["savings/accrue"] == (timedelta(minutes=15), contract.AccrueInput())
    assert found["savings/recheck"] == (timedelta(days=1), contract.AccrueInput(again_h=168.0))
    assert found["events/expire"] == (timedelta(days=1), contract.ExpireInput(90.0))
    assert "savings/week" in found


def test_settings_change_or_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = schedules(monkeypatch, SPOT_SAVINGS_EVERY_S="60", SPOT_EVENTS_DAYS="7")
    assert found["savings/accrue"][0] == timedelta(minutes=1)
    assert found["events/expire"][1] == contract.ExpireInput(7.0)
    assert not {"savings/accrue", "savings/week"} & schedules(monkeypatch, SPOT_SAVINGS_EVERY_S="0").keys()


def test_without_the_key_that_opens_their_secrets_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "webhooks/dispatch" not in schedules(monkeypatch)
    found = schedules(monkeypatch, SPOT_SIGNING_KEY="k" * 32)
    assert found["webhooks/dispatch"][0] == timedelta(seconds=10)


def test_the_key_is_not_in_what_is_printed_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules(monkeypatch, SPOT_SIGNING_KEY="very-secret-key")
    assert "very-secret-key" not in repr(read_settings())


def test_a_pass_of_the_autopilot_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules(monkeypatch)
    [autopilot] = [
        one for one in wanted_schedules(read_settings()) if one.schedule_id == contract_of_autopilot.AUTOPILOT_SCHEDULE
    ]
    action = autopilot.schedule().action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert action.execution_timeout == contract_of_autopilot.PASS_LIMIT
