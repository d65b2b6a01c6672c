"""The audit finds each way in which EC2, the ledger and the hosts can disagree."""

from __future__ import annotations

from typing import Any

from proof.harness.api_client import Operation
from proof.harness.audit import LedgerRow, WorkloadRun, duplicates, orphans, overlaps, primaries, runs, unrequested

OURS = {"spot-optimizer:server": "srv-1", "spot-optimizer:operation": "op-1"}


def truth(**more: list[dict[str, Any]]) -> dict[str, Any]:
    empty: dict[str, Any] = {place: [] for place in ("instances", "volumes", "snapshots", "addresses", "spot_requests")}
    return {**empty, **more}


def instance(name: str, state: str = "running", token: str = "t-1", tags: Any = OURS) -> dict[str, Any]:
    return {"id": name, "state": state, "client_token": token, "tags": tags}


def row(kind: str, name: str, token: str = "t-1", state: str = "live") -> LedgerRow:
    return LedgerRow(kind, state, name, token, "op-1")


def test_when_both_say_the_same_there_is_no_orphan() -> None:
    there = truth(
        instances=[instance("i-1"), instance("i-0", "terminated"), instance("i-9", tags={"Name": "another's"})],
        volumes=[{"id": "vol-1", "state": "in-use", "attached_to": "i-1", "tags": OURS}],
        addresses=[{"id": "eipalloc-1", "tags": OURS}],
        spot_requests=[
            {"id": "sir-1", "state": "active", "tags": OURS},
            {"id": "sir-0", "state": "cancelled", "tags": OURS},
        ],
    )
    ledger = [
        row("instance", "i-1"),
        row("volume", "vol-1"),
        row("address", "eipalloc-1"),
        row("spot_request", "sir-1"),
    ]
    assert orphans(there, ledger) == []


def test_what_carries_our_tags_and_is_not_in_the_ledger_is_an_orphan() -> None:
    there = truth(snapshots=[{"id": "snap-1", "state": "completed", "tags": OURS}])
    assert orphans(there, []) == ["EC2 has snapshot snap-1, the ledger does not"]


def test_a_volume_that_nothing_uses_was_left_behind_even_without_tags() -> None:
    there = truth(volumes=[{"id": "vol-1", "state": "available", "attached_to": None, "tags": {}}])
    assert orphans(there, []) == ["EC2 has volume vol-1, the ledger does not"]


def test_what_the_ledger_takes_for_alive_and_ec2_has_ended_is_a_difference_too() -> None:
    there = truth(instances=[instance("i-1", "terminated")])
    assert orphans(there, [row("instance", "i-1")]) == ["the ledger has instance i-1, EC2 does not"]


def test_an_intention_that_came_to_nothing_has_to_be_closed() -> None:
    assert orphans(truth(), [row("instance", "", state="intended")]) == [
        "the ledger still intends instance t-1 of op-1"
    ]


def test_a_resource_of_the_owners_own_needs_no_tag_to_stand_in_the_ledger() -> None:
    there = truth(instances=[instance("i-1", tags={})])
    assert orphans(there, [row("instance", "i-1")]) == []


def test_one_token_makes_one_instance() -> None:
    there = truth(instances=[instance("i-1"), instance("i-2")])
    assert duplicates(there, [row("instance", "i-1")], ()) == ["token t-1 made 2 instances"]


def test_an_instance_that_no_token_of_the_ledger_made_is_one_too_many_also_when_it_is_gone() -> None:
    there = truth(instances=[instance("i-1"), instance("i-2", "terminated", "t-2"), instance("i-3", token="")])
    found = duplicates(there, [row("instance", "i-1")], ())
    assert found == [f"instance {name} was made by no token of the ledger" for name in ("i-2", "i-3")]
    assert duplicates(there, [row("instance", "i-1")], {"i-2", "i-3"}) == []


def test_an_operation_nobody_asked_for_is_found() -> None:
    operation = Operation("op-2", "operation/op-2", "srv-1", "switch", "committed", "", "", "", "", 1.0, 2.0)
    assert unrequested([operation], {"op-1"}) == ["nobody asked for switch op-2"]
    assert unrequested([operation], {"op-2"}) == []


def line(event: str, who: str, pid: int, at: float, volume: str = "vol-1") -> dict[str, Any]:
    return {"event": event, "instance": who, "pid": pid, "at": at, "volume": volume}


def test_a_journal_is_read_as_runs_and_those_of_no_volume_are_left_out() -> None:
    journal = [
        line("start", "i-1", 10, 1.0),
        line("start", "i-7", 11, 1.5, volume=""),
        line("stop", "i-1", 10, 2.0),
        line("start", "i-2", 12, 3.0),
    ]
    assert runs(journal, now=9.0) == [WorkloadRun("i-1", 1.0, 2.0), WorkloadRun("i-2", 3.0, 9.0)]


def test_one_server_on_two_instances_at_once_is_found_also_on_two_volumes() -> None:
    owners = {"i-1": "orders", "i-2": "orders", "i-3": "ledger"}
    apart = [WorkloadRun("i-1", 1.0, 2.0), WorkloadRun("i-3", 1.5, 9.0), WorkloadRun("i-2", 2.0, 9.0)]
    assert overlaps(apart, owners) == []
    both = [WorkloadRun("i-1", 1.0, 2.5), WorkloadRun("i-2", 2.0, 9.0)]
    assert overlaps(both, owners) == ["orders ran on i-1 and i-2 at once"]


def test_a_long_run_is_compared_with_every_later_one() -> None:
    owners = {"i-1": "orders", "i-2": "orders"}
    found = overlaps([WorkloadRun("i-1", 1.0, 9.0), WorkloadRun("i-2", 2.0, 3.0), WorkloadRun("i-2", 4.0, 5.0)], owners)
    assert len(found) == 2


def test_primaries_are_counted_per_server_and_none_counts_as_none() -> None:
    rows: list[dict[str, Any]] = [
        {"server_id": "a", "role": "primary"},
        {"server_id": "a", "role": None},
        {"server_id": "b", "role": "replica"},
    ]
    assert primaries(rows) == {"a": 1, "b": 0}
