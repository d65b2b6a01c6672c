"""What worker and API are told of beats by their environment, and what they say to what cannot be."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from api.settings import Settings
from worker import WorkerSettings


def beats(monkeypatch: pytest.MonkeyPatch, **environment: str) -> float:
    monkeypatch.delenv("SPOT_WATCH_BEATS_PER_SECOND", raising=False)
    for name, value in {"DATABASE_URL": "mysql+pymysql://x@y/z", **environment}.items():
        monkeypatch.setenv(name, value)
    return WorkerSettings.from_environment().watch_beats_per_second


def test_a_worker_hears_a_hundred_beats_a_second_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beats(monkeypatch) == 100
    assert beats(monkeypatch, SPOT_WATCH_BEATS_PER_SECOND="1250") == 1250


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "many", ""])
def test_beats_that_cannot_be_are_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    with pytest.raises(SystemExit, match=r"SPOT_WATCH_BEATS_PER_SECOND is .*write a number above 0"):
        beats(monkeypatch, SPOT_WATCH_BEATS_PER_SECOND=said)


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "many", ""])
def test_heartbeats_that_cannot_be_are_refused_by_the_api(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("SPOT_HEARTBEATS_PER_SECOND", said)
    with pytest.raises(ValidationError, match="heartbeats_per_second"):
        Settings(database_url=SecretStr("mysql+pymysql://x@y/z"), signing_key=SecretStr("k" * 32))
