"""Addresses, load balancers and instance metadata in front of the lab's hosts."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from lab.contracts import HealthCheck
from tests.integration.lab_hosts import NETWORK, Lab, fetch, free_port, lab, until

__all__ = ["lab"]  # a fixture


def test_imds_asks_for_a_token_and_shows_notices(lab: Lab) -> None:
    lab.boot("i-1", f"{NETWORK}.10")
    base = f"http://{NETWORK}.10:{lab.settings.imds_port}/latest"

    def read(path: str, **headers: str) -> str:
        with urllib.request.urlopen(urllib.request.Request(f"{base}/{path}", headers=headers), timeout=30) as got:
            return str(got.read().decode())

    with pytest.raises(urllib.error.HTTPError, match="401"):
        read("meta-data/instance-id")
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    asked = urllib.request.Request(f"{base}/api/token", method="PUT", headers=ttl)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        token = {"X-aws-ec2-metadata-token": answer.read().decode()}
    assert read("meta-data/instance-id", **token) == "i-1"
    assert read("meta-data/placement/", **token) == "availability-zone\nregion"
    assert read("meta-data/tags/instance/Name", **token) == "name-of-i-1"
    assert json.loads(read("dynamic/instance-identity/document", **token))["instanceId"] == "i-1"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read("meta-data/spot/instance-action", **token)
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    lab.room.spot_notice("i-1", "terminate", at)
    lab.room.rebalance_notice("i-1", at - timedelta(minutes=5))
    action = {"action": "terminate", "time": "2026-11-23T12:00:00Z"}
    assert json.loads(read("meta-data/spot/instance-action", **token)) == action
    rebalance = json.loads(read("meta-data/events/recommendations/rebalance", **token))
    assert rebalance == {"noticeTime": "2026-11-23T11:55:00Z"}


def test_a_re_pointed_address_reaches_the_new_host_and_cuts_the_old_connections(lab: Lab) -> None:
    address = f"{NETWORK}.200"
    for name, last in (("i-1", 10), ("i-2", 11)):
        lab.boot(name, f"{NETWORK}.{last}")
        until(lambda n=name, ip=f"{NETWORK}.{last}": lab.serves(ip, n), "it serves")  # type: ignore[misc]
    lab.room.forward(address, "i-1")
    assert lab.get(address)["instance"] == "i-1"
    kept = socket.create_connection((address, lab.settings.service_port), timeout=30)
    kept.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert kept.recv(15) == b"HTTP/1.1 200 OK"
    lab.room.forward(address, "i-2")
    with suppress(ConnectionResetError):
        while kept.recv(4096):
            pass
    kept.close()
    assert lab.get(address)["instance"] == "i-2"
    lab.room.forward(address, None)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, lab.settings.service_port), timeout=30)


def test_targets_are_swapped_without_a_failed_request(lab: Lab) -> None:
    port, front = free_port(), f"{NETWORK}.201"
    lab.room.open_listener("tg", front, port, HealthCheck(interval_s=0.05, unhealthy_threshold=100_000))

    def register(name: str, last: int) -> None:
        lab.room.register_target("tg", name, f"{NETWORK}.{last}", lab.settings.service_port)
        assert lab.room.target_health("tg")[name] == "initial"
        lab.boot(name, f"{NETWORK}.{last}")
        until(lambda: lab.room.target_health("tg")[name] == "healthy", f"{name} is healthy")

    register("i-1", 10)
    answered: list[str] = []
    over = threading.Event()

    def ask_all_the_time() -> None:
        while not over.is_set():
            answered.append(fetch(f"http://{front}:{port}/")["instance"])

    asker = threading.Thread(target=ask_all_the_time)
    asker.start()
    until(lambda: len(answered) > 5, "the first serves")
    register("i-2", 11)
    lab.room.deregister_target("tg", "i-1", 2.0)
    until(lambda: set(lab.room.target_health("tg")) == {"i-2"}, "the first is drained")
    lab.room.power_off("i-1")
    done = len(answered)
    until(lambda: len(answered) > done + 5 or not asker.is_alive(), "the second serves")
    assert asker.is_alive(), "a request failed"
    over.set()
    asker.join()
    assert set(answered) == {"i-1", "i-2"}
    assert set(answered[done + 1 :]) == {"i-2"}


def test_a_connection_goes_to_another_target_when_the_chosen_one_is_down(lab: Lab) -> None:
    port, front = free_port(), f"{NETWORK}.202"
    lab.room.open_listener("tg", front, port, HealthCheck(interval_s=60.0, healthy_threshold=1))
    for name, last in (("i-1", 10), ("i-2", 11)):
        lab.boot(name, f"{NETWORK}.{last}")
        until(lambda n=name, ip=f"{NETWORK}.{last}": lab.serves(ip, n), "it serves")  # type: ignore[misc]
        lab.room.register_target("tg", name, f"{NETWORK}.{last}", lab.settings.service_port)
    until(lambda: set(lab.room.target_health("tg").values()) == {"healthy"}, "both are healthy")
    lab.room.power_off("i-1")  # which no health check has seen yet
    assert {fetch(f"http://{front}:{port}/")["instance"] for _ in range(4)} == {"i-2"}
