"""Checks of a refused request: its answer is as expected, and it changed nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from proof.harness.site import Site

# What EC2 has. Not `hosts`: the agents start and end processes by themselves.
_KINDS = ("instances", "volumes", "snapshots", "images", "addresses", "interfaces", "spot_requests")


@contextmanager
def nothing_changes(site: Site) -> Iterator[None]:
    """Check that the block changes nothing in EC2, and no server and no operation."""
    before, last = _everything(site), _last_call(site)
    yield
    after = _everything(site)
    gone = [row for row in before if row not in after]
    come = [row for row in after if row not in before]
    assert not gone and not come, f"no longer so: {gone}; so now: {come}"  # noqa: PT018 - one change, two sides
    assert not launches_since(site, last), "something was launched"


def launches_since(site: Site, call: int) -> list[dict[str, Any]]:
    """The calls that launched, without dry runs."""
    calls = site.ask_lab("GET", f"/_lab/calls?since={call}")["calls"]
    return [one for one in calls if one["action"] == "RunInstances" and one["params"].get("DryRun") != "true"]


def _last_call(site: Site) -> int:
    return max((int(one["seq"]) for one in site.ask_lab("GET", "/_lab/calls")["calls"]), default=0)


def _everything(site: Site) -> list[tuple[str, object]]:
    truth, servers = site.truth(), site.http.get("/api/servers").raise_for_status().json()["items"]
    found: list[tuple[str, object]] = [(kind, _without_hosts(row)) for kind in _KINDS for row in truth[kind]]
    found += [("server", _lasting(row)) for row in servers]
    return found + [("operation", one) for one in site.api.operation_ids()]


def _without_hosts(row: Mapping[str, Any]) -> dict[str, object]:
    """Without mounts: a host that boots mounts its volumes by itself."""
    return {name: value for name, value in row.items() if name != "mounted"}


def _lasting(server: Mapping[str, Any]) -> dict[str, object]:
    """Without the fields that agents report all the time."""
    primary = server["primary"] or {}
    return {name: server[name] for name in ("id", "name", "state", "handoff")} | {"primary": primary.get("id")}


def assert_refused(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check the answer; returns its problem document."""
    told = f"HTTP {answer.status_code} {answer.text[:600]}"
    assert answer.status_code == status, told
    assert answer.headers["content-type"] == "application/problem+json", told
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:spot-optimizer:problem:{kind}", told
    assert document["status"] == status
    assert document["title"]
    return document
