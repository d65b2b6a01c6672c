"""Ports and networks are chosen so that several stacks on one machine do not meet."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.stack import ports
from lab.stack.ports import InvalidPort, Leases, PortsInUse


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[Leases]:
    with Leases(tmp_path / "leases") as held:
        yield held


@pytest.fixture
def rival(tmp_path: Path, leases: Leases) -> Iterator[Leases]:
    """Another stack's leases on the same machine."""
    with Leases(tmp_path / "leases") as held:
        yield held


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_every_port_is_different_and_free(leases: Leases) -> None:
    chosen = ports.choose(leases, {}, standard=False)
    assert set(chosen) == set(ports.VARIABLES)
    assert len(set(chosen.values())) == len(chosen)
    assert all(ports.is_free(port) for port in chosen.values())


def test_a_variable_decides_the_port(leases: Leases) -> None:
    wanted = leases.port()
    leases.close()
    assert ports.choose(leases, {"SPOT_API_PORT": str(wanted)}, standard=False)["api"] == wanted


def test_ports_in_use_are_all_named_with_the_way_to_choose_others(leases: Leases, busy_port: int) -> None:
    with pytest.raises(PortsInUse) as refused:
        ports.choose(leases, {"SPOT_API_PORT": str(busy_port), "LAB_PORT": str(busy_port)}, standard=False)
    assert set(refused.value.taken) == {"api", "lab"}
    assert f"SPOT_API_PORT={busy_port} (api) is in use" in str(refused.value)
    assert re.search(r"Choose others, for example: SPOT_API_PORT=\d+ LAB_PORT=\d+ make up$", str(refused.value))


@pytest.mark.parametrize("text", ["http", "-1", "0", "65536", "80.5"])
def test_what_is_no_port_is_refused(leases: Leases, text: str) -> None:
    with pytest.raises(InvalidPort, match="SPOT_API_PORT"):
        ports.choose(leases, {"SPOT_API_PORT": text}, standard=False)


def test_a_leased_port_is_no_longer_offered_to_others(leases: Leases, rival: Leases) -> None:
    port = leases.port()
    assert not rival.take(f"port-{port}")
    leases.close()
    assert rival.take(f"port-{port}")


def test_two_stacks_get_different_networks(leases: Leases, rival: Leases) -> None:
    assert leases.network() != rival.network()


def test_a_port_is_taken_when_somebody_listens_on_any_loopback_address(leases: Leases) -> None:
    port = leases.port()
    with socket.socket() as server:
        server.bind(("127.99.1.1", port))
        server.listen()
        assert not ports.is_free(port)
