"""The agent and the control plane: registered for ever, heard as soon as possible, never dependent."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.control_plane import (
    ControlPlane,
    ControlPlaneError,
    ControlPlaneRefusal,
    ControlPlaneUnreachable,
    Registration,
)
from agent.hooks import Hooks
from agent.http_call import Backoff
from agent.imds import Identity
from agent.notice_board import NoticeBoard
from agent.prices import PriceSender, read_spot_prices
from agent.registrar import Registrar
from agent.senders import HeartbeatSender, NoticeSender
from agent.state_dir import StateDir
from agent.temporal_addresses import Address, TemporalAddresses
from domain.host import Notice, NoticeKind, NoticeSource
from tests.unit.test_agent_fakes import CLIENT_TOKEN, INSTANCE, INSTANCE_TOKEN, FakeControl, eventually

REGISTER, NOTICE, HEARTBEAT = "/api/agents/register", "/api/agents/notice", "/api/agents/heartbeat"
IDENTITY = Identity(INSTANCE, "us-east-1", "us-east-1a", '{"instanceId": "i"}', "c2lnbmVk")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Rig:
    """A registrar at work, and what it said."""

    def __init__(self, control: FakeControl, stop: threading.Event) -> None:
        self.control, self.stop = control, stop
        self.accepted: list[Registration] = []
        self.failed: list[ControlPlaneError] = []
        self.registrar = Registrar(
            ControlPlane(control.url), IDENTITY, CLIENT_TOKEN, stop, self.accepted.append, self.failed.append
        )

    def start(self) -> Rig:
        self.registrar.start()
        return self


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr("agent.registrar.Backoff", lambda first, most: Backoff(0.02, 0.1))
    stop = threading.Event()
    with FakeControl().serving() as control:
        assert isinstance(control, FakeControl)
        yield Rig(control, stop)
        stop.set()


def notice(deadline: datetime | None = NOW) -> Notice:
    return Notice(INSTANCE, NoticeKind.INTERRUPTION, NoticeSource.IMDS, NOW, deadline=deadline)


def test_a_registration_shows_the_signed_identity(rig: Rig) -> None:
    rig.start()
    eventually(lambda: bool(rig.accepted))
    body = rig.control.bodies(REGISTER)[0]
    assert (body["identity_document"], body["signature"]) == (IDENTITY.document, IDENTITY.signature)
    assert datetime.fromisoformat(body["booted_at"]) < datetime.now(UTC)


def test_a_registration_is_renewed_before_its_token_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.registrar.SHORTEST_LIFE_S", 0.0)
    rig.control.life_s = 0.2
    rig.start()
    eventually(lambda: len(rig.accepted) >= 3)


@pytest.mark.parametrize(
    ("status", "error", "advice"),
    [
        (401, ControlPlaneRefusal, "SPOT_TOKEN"),
        (403, ControlPlaneRefusal, "client that owns"),
        (404, ControlPlaneRefusal, "adopt"),
        (503, ControlPlaneUnreachable, "503"),
    ],
)
def test_a_refusal_says_what_to_do_and_is_tried_again(
    rig: Rig, status: int, error: type[ControlPlaneError], advice: str
) -> None:
    rig.control.status[REGISTER] = status
    rig.start()
    eventually(lambda: bool(rig.failed))
    assert type(rig.failed[0]) is error
    assert advice in str(rig.failed[0])
    del rig.control.status[REGISTER]
    eventually(lambda: bool(rig.accepted))


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(ControlPlaneUnreachable):
        ControlPlane("http://127.0.0.1:1").heartbeat(INSTANCE, "token", NOW)


def test_a_notice_is_delivered_with_the_instance_token(rig: Rig) -> None:
    board = NoticeBoard()
    NoticeSender(board, ControlPlane(rig.control.url), rig.start().registrar, rig.stop).start()
    board.put(notice())
    eventually(lambda: bool(rig.control.bodies(NOTICE)))
    body = rig.control.bodies(NOTICE)[0]
    assert body == {
        "instance_id": INSTANCE,
        "kind": "interruption",
        "source": "imds",
        "seen_at": NOW.isoformat(),
        "action": "terminate",
        "deadline": NOW.isoformat(),
    }


def test_a_notice_is_sent_until_it_is_taken_and_again_with_a_new_deadline(rig: Rig) -> None:
    board = NoticeBoard()
    rig.control.status[NOTICE] = 500
    NoticeSender(board, ControlPlane(rig.control.url), rig.start().registrar, rig.stop).start()
    board.put(notice())
    eventually(lambda: len(rig.control.bodies(NOTICE)) >= 2)
    del rig.control.status[NOTICE]
    board.put(notice(NOW + timedelta(seconds=9)))
    eventually(lambda: "2026-01-02T03:04:14" in rig.control.bodies(NOTICE)[-1]["deadline"])


def test_a_token_that_is_refused_leads_to_a_new_registration(rig: Rig) -> None:
    rig.control.status[HEARTBEAT] = 401
    HeartbeatSender(INSTANCE, ControlPlane(rig.control.url), rig.start().registrar, rig.stop).start()
    eventually(lambda: len(rig.accepted) >= 2)


def test_heartbeats_go_on_after_one_has_failed(rig: Rig) -> None:
    rig.control.status[HEARTBEAT] = 500
    HeartbeatSender(INSTANCE, ControlPlane(rig.control.url), rig.start().registrar, rig.stop).start()
    eventually(lambda: len(rig.control.bodies(HEARTBEAT)) >= 2)
    assert rig.control.bodies(HEARTBEAT)[0]["instance_id"] == INSTANCE


def test_heartbeats_come_as_often_as_the_last_answer_said(rig: Rig) -> None:
    rig.control.heartbeat_s, rig.control.next_in_s = 3600.0, 0.02
    HeartbeatSender(INSTANCE, ControlPlane(rig.control.url), rig.start().registrar, rig.stop).start()
    eventually(lambda: len(rig.control.bodies(HEARTBEAT)) >= 3)


@pytest.mark.parametrize("said", [0.0, -1.0, float("inf"), float("nan")])
def test_an_interval_that_cannot_be_is_not_followed(rig: Rig, said: float) -> None:
    rig.control.next_in_s = said
    registration = rig.start().registrar
    eventually(lambda: registration.current is not None)
    assert ControlPlane(rig.control.url).heartbeat(INSTANCE, INSTANCE_TOKEN, NOW) is None


def test_a_heartbeat_that_failed_is_tried_again_soon_however_seldom_they_are(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.senders.AGAIN_S", 0.02)
    rig.control.heartbeat_s, rig.control.status[HEARTBEAT] = 3600.0, 503
    HeartbeatSender(INSTANCE, ControlPlane(rig.control.url), rig.start().registrar, rig.stop).start()
    eventually(lambda: len(rig.control.bodies(HEARTBEAT)) >= 3)


def test_debug_logs_show_each_call_without_its_token(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        rig.start()
        eventually(lambda: bool(rig.accepted))
    calls = [vars(record) for record in caplog.records if hasattr(record, "path")]
    assert {"method": "POST", "path": REGISTER, "status": 200}.items() <= calls[0].items()
    assert CLIENT_TOKEN not in caplog.text
    assert INSTANCE_TOKEN not in repr(rig.accepted)


# --- where Temporal is ---

CONFIGURED = Address("configured:7233", "default")


@pytest.fixture
def addresses(tmp_path: Path) -> Callable[[Address | None], TemporalAddresses]:
    return lambda configured: TemporalAddresses(configured, StateDir(tmp_path))


def test_a_failing_address_gives_way_to_the_next(addresses: Callable[..., TemporalAddresses]) -> None:
    known = addresses(CONFIGURED)
    known.registered("named:7233", "default", "srv-1")
    assert [known.pick(failures) for failures in (0, 1, 2)] == [
        Address("named:7233", "default"),
        CONFIGURED,
        Address("named:7233", "default"),
    ]


def test_the_address_of_the_last_registration_is_recalled(addresses: Callable[..., TemporalAddresses]) -> None:
    addresses(None).registered("named:7233", "ns", "srv-1")
    restarted = addresses(None)
    assert restarted.pick(0) is None
    restarted.recall()
    assert restarted.pick(0) == Address("named:7233", "ns")


def test_a_connection_that_works_is_left_only_when_temporal_moves(addresses: Callable[..., TemporalAddresses]) -> None:
    known = addresses(CONFIGURED)
    at = known.pick(0)
    assert at is not None
    known.registered("named:7233", "default", "srv-1")
    assert not known.moved_from(at)
    known.registered("moved:7233", "default", "srv-1")
    assert known.moved_from(at)


# --- prices that its owner lets it see

SEEN = {
    "SpotPriceHistory": [
        {
            "AvailabilityZone": "us-east-1a",
            "InstanceType": "m5.large",
            "ProductDescription": system,
            "SpotPrice": "0.031200",
            "Timestamp": "2026-01-02T03:04:05+00:00",
        }
        for system in ("Linux/UNIX", "Windows")
    ]
}
PRICES = "/api/agents/prices"


class CountingHooks(Hooks):
    looked = 0

    def path(self, name: str) -> Path | None:
        self.looked += 1
        return super().path(name)


def prices_of(rig: Rig, tmp_path: Path, script: str | None, monkeypatch: pytest.MonkeyPatch) -> CountingHooks:
    monkeypatch.setattr("agent.prices.FIRST_S", 0.02)
    monkeypatch.setattr("agent.prices.EVERY_S", 0.05)
    if script is not None:
        (tmp_path / "prices").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "prices").chmod(0o755)
    rig.start()
    hooks = CountingHooks(tmp_path)
    PriceSender(hooks, ControlPlane(rig.control.url), rig.registrar, rig.stop).start()
    return hooks


def test_what_the_hook_prints_is_sent_without_other_systems_prices(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices_of(rig, tmp_path, f"echo '{json.dumps(SEEN)}'", monkeypatch)
    eventually(lambda: len(rig.control.bodies(PRICES)) >= 2)
    assert rig.control.bodies(PRICES)[0] == {
        "prices": [
            {
                "zone": "us-east-1a",
                "instance_type": "m5.large",
                "usd_per_hour": 0.0312,
                "at": "2026-01-02T03:04:05+00:00",
            }
        ]
    }


@pytest.mark.parametrize("script", ["echo nothing of use", "echo no credentials >&2; exit 255"])
def test_a_hook_that_fails_or_prints_something_else_is_said_and_tried_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    prices_of(rig, tmp_path, script, monkeypatch)
    eventually(lambda: sum("prices were not sent" in line for line in caplog.messages) >= 2)
    assert rig.control.bodies(PRICES) == []


def test_without_the_hook_no_price_is_sent(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = prices_of(rig, tmp_path, None, monkeypatch)
    eventually(lambda: bool(rig.accepted))
    before = hooks.looked
    eventually(lambda: hooks.looked >= before + 3)
    assert rig.control.bodies(PRICES) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"SpotPriceHistory": [1]}', '{"SpotPriceHistory": [{"SpotPrice": "x"}]}']
)
def test_what_is_no_price_history_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="describe-spot-price-history"):
        list(read_spot_prices(text))
