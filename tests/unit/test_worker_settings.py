"""What worker and API are told by their environment, and what they say to what cannot be."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from activities.settings import SettingsError, WorkerSettings, read_settings, variable_name
from api.settings import Settings
from domain.market.contract import ThinOutInput
from domain.reconciliation.facts import GracePeriods

URL = "mysql+pymysql://x:very-secret@y/z"


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> WorkerSettings:
    for field in WorkerSettings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"DATABASE_URL": URL, **environment}.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_a_worker_needs_no_more_than_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert found.database_url.get_secret_value() == URL
    assert (found.temporal_address, found.temporal_namespace) == ("127.0.0.1:7233", "default")
    assert (found.regions, found.notice_queue_region) == (("us-east-1",), "us-east-1")
    assert (found.control_slots, found.emergency_slots, found.autopilot_moves) == (40, 40, 20)
    assert (found.autopilot_every_s, found.prices_every_s, found.reconcile_every_s) == (60.0, 300.0, 120.0)
    assert (found.savings_every_s, found.webhooks_every_s, found.events_days) == (900.0, 10.0, 90.0)
    assert (found.metrics_host, found.metrics_port, found.temporal_metrics_port) == ("127.0.0.1", 0, 0)
    assert found.grace_periods == GracePeriods(900.0, 120.0, 120.0)
    assert found.keep_prices == ThinOutInput(14.0, 90.0, 400.0)
    assert not found.webhooks_private


def test_each_variable_has_its_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch,
        SPOT_KEEP_PRICES="1/2/3",
        SPOT_REGIONS="eu-west-1,eu-west-2",
        SPOT_GRACE_GONE_S="7",
        SPOT_AGENT_SILENT_S="8",
        SPOT_WEBHOOKS_PRIVATE="Yes",
        SPOT_PRICES_EVERY_S="0",
    )
    assert found.keep_prices == ThinOutInput(1.0, 2.0, 3.0)
    assert found.regions == ("eu-west-1", "eu-west-2")
    assert (found.grace_periods.gone_s, found.grace_periods.silent_s) == (7.0, 8.0)
    assert (found.webhooks_private, found.prices_every_s) == (True, 0.0)


@pytest.mark.parametrize(
    "environment",
    [{"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "x"}, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-3"}],
    ids=["region", "default region"],
)
def test_the_region_is_that_of_awss_own_variables(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    found = settings(monkeypatch, **environment)
    assert (found.regions, found.notice_queue_region) == (("eu-west-3",), "eu-west-3")


def test_every_variable_that_cannot_be_is_named_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(
            monkeypatch,
            DATABASE_URL="",
            SPOT_CONTROL_SLOTS="many",
            SPOT_METRICS_PORT="99999",
            SPOT_KEEP_PRICES="14",
            SPOT_LOG_LEVEL="LOUD",
        )
    lines = str(refused.value).splitlines()
    assert lines[0] == "DATABASE_URL is not set; write mysql+pymysql://user:password@host:3306/name"
    assert lines[1] == "SPOT_CONTROL_SLOTS is 'many'; write a whole number above 0, as 40"
    assert lines[2] == "SPOT_METRICS_PORT is '99999'; write a port, or 0 for none"
    assert lines[3].startswith("SPOT_KEEP_PRICES is '14': write the days")
    assert lines[4] == "SPOT_LOG_LEVEL is 'LOUD'; write DEBUG, INFO, WARNING or ERROR"


def test_no_secret_is_in_what_is_printed_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, SPOT_SIGNING_KEY="very-secret-key", SPOT_METRICS_TOKEN="very-secret-token")
    assert "very-secret" not in repr(found)


def test_a_worker_hears_a_hundred_beats_a_second_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).watch_beats_per_second == 100
    assert settings(monkeypatch, SPOT_WATCH_BEATS_PER_SECOND="1250").watch_beats_per_second == 1250


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "many", ""])
def test_beats_that_cannot_be_are_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    with pytest.raises(SettingsError, match=r"SPOT_WATCH_BEATS_PER_SECOND is .*write a number above 0"):
        settings(monkeypatch, SPOT_WATCH_BEATS_PER_SECOND=said)


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "many", ""])
def test_heartbeats_that_cannot_be_are_refused_by_the_api(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("SPOT_HEARTBEATS_PER_SECOND", said)
    with pytest.raises(ValidationError, match="heartbeats_per_second"):
        Settings(database_url=SecretStr("mysql+pymysql://x@y/z"), signing_key=SecretStr("k" * 32))
