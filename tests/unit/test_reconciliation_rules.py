"""The rules of reconciliation: what is only told, and what is adopted, removed, closed or asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.reconciliation import contract, unattended_servers
from domain.reconciliation.drift import REMOVED_FIRST, DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.explanations import explain_drift
from domain.reconciliation.facts import (
    FoundResource,
    GracePeriods,
    OperationFacts,
    RegionFacts,
    ResourceKind,
    ResourceRow,
    Retention,
    ServerFacts,
)
from domain.reconciliation.rules import drift_findings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
K, F, A, R = ResourceKind, DriftKind, DriftAction, DriftReason
SERVER = ServerFacts(
    "srv-1", "cli-1", "orders", True, "i-primary", agent_seen_at=NOW, created_at=NOW - timedelta(days=1)
)
UNDONE = OperationFacts("op-undone", "srv-1", "rolled_back")
COMMITTED = OperationFacts("op-done", "srv-1", "committed")
PRIMARY = FoundResource(K.INSTANCE, "i-primary", "running", "cli-1", "srv-1", "op-done", data_volumes=("vol-data",))
DATA = FoundResource(K.VOLUME, "vol-data", "in-use", "cli-1", "srv-1", "op-done", attached_to="i-primary")


def found(
    kind: ResourceKind, name: str, state: str = "available", operation: str = "op-undone", **more: Any
) -> FoundResource:
    if kind is K.INSTANCE:
        more = {"token": f"t-{name}", **more}
    return FoundResource(kind, name, state, "cli-1", "srv-1", operation, **more)


def row(kind: ResourceKind, name: str, state: str = "live", number: int = 0, **more: Any) -> ResourceRow:
    more = {"operation_id": "op-done", **more}
    return ResourceRow(
        number or abs(hash(name)) % 10_000 + 1, kind.value, state, "cli-1", "srv-1", resource_id=name, **more
    )


def made(*resources: FoundResource) -> tuple[ResourceRow, ...]:
    """Rows that prove that we made these, though the ledger counts them as gone."""
    return tuple(
        row(one.kind, one.resource_id, "gone", token=f"t-{one.resource_id}", operation_id=one.operation_id)
        for one in resources
    )


def facts(
    *more: FoundResource, rows: tuple[ResourceRow, ...] = (), server: ServerFacts = SERVER, **changed: Any
) -> RegionFacts:
    """A server at rest: a primary with a data volume, both in the ledger; and what a test adds."""
    told = {one.resource_id: one for one in (PRIMARY, DATA, *more)}
    ledger = (row(K.INSTANCE, "i-primary"), row(K.VOLUME, "vol-data"), *rows)
    operations = {one.operation_id: one for one in (UNDONE, COMMITTED)}
    whole = RegionFacts("us-east-1", NOW, told, ledger, {server.server_id: server}, operations)
    return replace(whole, **changed)


def only(given: RegionFacts) -> DriftFinding:
    [finding] = drift_findings(given, GracePeriods())
    return finding


def verdict(given: RegionFacts) -> tuple[DriftKind, DriftAction, DriftReason]:
    finding = only(given)
    return finding.kind, finding.action, finding.reason


def test_a_server_at_rest_has_no_finding() -> None:
    assert drift_findings(facts(), GracePeriods()) == []


def test_a_server_with_an_operation_in_progress_is_left_alone() -> None:
    orphan = found(K.INSTANCE, "i-orphan", "running")
    assert drift_findings(facts(orphan, rows=made(orphan)), GracePeriods()) != []
    assert drift_findings(facts(orphan, rows=made(orphan), server=replace(SERVER, busy=True)), GracePeriods()) == []


def test_an_instance_of_an_operation_that_has_ended_is_removed() -> None:
    orphan = found(K.INSTANCE, "i-orphan", "running")
    assert verdict(facts(orphan, rows=made(orphan))) == (F.UNKNOWN_RESOURCE, A.REMOVE, R.OPERATION_ENDED)


def test_an_instance_is_ours_by_the_token_that_ec2_says_it_was_launched_with() -> None:
    orphan = found(K.INSTANCE, "i-orphan", "running", token="t-1")
    intended = replace(row(K.INSTANCE, "", "intended", 7), token="t-1", operation_id="op-undone")
    ours = only(facts(orphan, rows=(intended,)))
    assert (ours.action, ours.grace_s, ours.row_id, ours.token) == (A.REMOVE, GracePeriods().ours_s, 7, "t-1")


# --- what carries our tags, and nothing proves that we made it


@pytest.mark.parametrize("age_days", [0, 5, 400, 4000])
@pytest.mark.parametrize(
    "foreign",
    [
        found(K.INSTANCE, "i-restored", "running", token="not-ours"),
        found(K.INSTANCE, "i-restored", "stopped"),
        found(K.INSTANCE, "i-restored", "running", "op-done"),
        found(K.VOLUME, "vol-lost", made_of="snap-1"),
        found(K.VOLUME, "vol-lost", token="t-copied"),
        found(K.SNAPSHOT, "snap-backup", "completed", made_of="vol-data"),
        found(K.SNAPSHOT, "snap-backup", "completed", "op-done", made_of="vol-data"),
        found(K.IMAGE, "ami-backup", operation="op-done"),
        found(K.ADDRESS, "eipalloc-1", "allocated"),
    ],
)
def test_what_a_backup_made_with_our_tags_is_told_whatever_its_age(foreign: FoundResource, age_days: int) -> None:
    """Copied tags include the token's: of all but an instance's own, a token proves nothing."""
    foreign = replace(foreign, made_at=NOW - timedelta(days=age_days))
    intended = replace(row(K.VOLUME, "", "intended", 7), token="t-copied", operation_id="op-undone")
    findings = drift_findings(facts(foreign, rows=(intended,)), GracePeriods())
    (finding,) = [one for one in findings if one.resource_id == foreign.resource_id]
    assert (finding.action, finding.token) == (A.REPORT, "")


def test_backups_with_our_tags_neither_go_nor_push_out_what_is_ours() -> None:
    backups = [
        found(K.IMAGE, f"ami-{days}", operation="op-done", made_at=NOW - timedelta(days=days))
        for days in (5, 35, 65, 95, 125, 155, 185)
    ]
    ours = found(K.IMAGE, "ami-ours", operation="op-done", made_at=NOW - timedelta(days=300))
    told = {
        one.resource_id: (one.action, one.reason)
        for one in drift_findings(facts(*backups, ours, rows=made(ours)), GracePeriods())
    }
    assert {told[one.resource_id] for one in backups} == {(A.REPORT, R.NOT_PROVEN)}
    words = explain_drift("unknown_resource", "report", "not_proven", "image")
    assert "backup services copy tags" in words.then
    assert "it is never touched" in words.todo
    assert told["ami-ours"] == (A.REPORT, R.RECENT)


def test_a_resource_that_was_adopted_into_an_intention_is_its_owners() -> None:
    """It carried a copied token and was attached to the primary: the ledger holds it, and nobody of us made it."""
    extra = found(
        K.SNAPSHOT, "snap-extra", "completed", "op-old", made_of="vol-data", made_at=NOW - timedelta(days=400)
    )
    newer = found(K.SNAPSHOT, "snap-new", "completed", "op-new", made_of="vol-data", made_at=NOW)
    adopted = row(K.SNAPSHOT, "snap-extra", token="t-7", how="adopted", operation_id="op-old")
    kept = row(K.SNAPSHOT, "snap-new", token="t-8", how="made", operation_id="op-new")
    assert verdict(facts(extra, newer, rows=(adopted, kept))) == (F.RETIRED_RESOURCE, A.REPORT, R.ADOPTED)
    ours = replace(adopted, how="made")
    assert verdict(facts(extra, newer, rows=(ours, kept))) == (F.RETIRED_RESOURCE, A.REMOVE, R.SUPERSEDED)


# --- what is ours


@pytest.mark.parametrize(
    ("orphan", "reason"),
    [
        (found(K.INSTANCE, "i-1", "running", "op-unheard-of"), R.STRANGE_TAGS),
        (found(K.INSTANCE, "i-1", "running", ""), R.STRANGE_TAGS),
        (replace(found(K.INSTANCE, "i-1", "running"), client_id="cli-2"), R.STRANGE_TAGS),
        (replace(found(K.VOLUME, "vol-1"), server_id="srv-strange"), R.STRANGE_TAGS),
        (found(K.INSTANCE, "i-1", "running", "adopt-srv-1"), R.ADOPTED),
        (found(K.INSTANCE, "i-1", "running", data_volumes=("vol-9",)), R.HOLDS_DATA),
        (found(K.ADDRESS, "eipalloc-1", "allocated"), R.ADDRESS),
        (found(K.VOLUME, "vol-1"), R.ONLY_COPY),
        (found(K.VOLUME, "vol-1", made_of="snap-unlisted"), R.ONLY_COPY),
        (found(K.SNAPSHOT, "snap-1", "completed", made_of="vol-strange"), R.ONLY_COPY),
        (found(K.SNAPSHOT, "snap-1", "completed", "op-done", made_of="vol-data"), R.ONLY_COPY),
        (found(K.IMAGE, "ami-1", made_at=NOW), R.RECENT),
    ],
)
def test_what_is_only_told(orphan: FoundResource, reason: DriftReason) -> None:
    """Also where the ledger proves that we made it."""
    finding = only(facts(orphan, rows=made(orphan)))
    assert (finding.kind, finding.action, finding.reason) == (F.UNKNOWN_RESOURCE, A.REPORT, reason)


def test_a_copy_that_an_undone_operation_made_is_removed_when_its_lineage_leads_to_what_serves() -> None:
    snapshot = found(K.SNAPSHOT, "snap-1", "completed", made_of="vol-data")
    copy = found(K.VOLUME, "vol-copy", made_of="snap-1")
    judged = drift_findings(facts(snapshot, copy, rows=made(snapshot, copy)), GracePeriods())
    told = {one.resource_id: (one.action, one.reason) for one in judged}
    assert {one.resource_id: one.details.get(REMOVED_FIRST) for one in judged} == {
        "vol-copy": None,
        "snap-1": "vol-copy",
    }
    removed = (A.REMOVE, R.OPERATION_UNDONE)
    assert told == {"vol-copy": removed, "snap-1": removed}


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "in-use", "attached_to": "i-other"},
        {"operation_id": "op-done"},
        {"made_of": ""},
    ],
)
def test_a_copy_that_may_hold_the_only_data_stays(changed: dict[str, Any]) -> None:
    snapshot = found(K.SNAPSHOT, "snap-1", "completed", made_of="vol-data")
    copy = replace(found(K.VOLUME, "vol-copy", made_of="snap-1"), **changed)
    given = facts(snapshot, copy, rows=made(snapshot, copy))
    told = {one.resource_id: one.action for one in drift_findings(given, GracePeriods())}
    assert told["vol-copy"] is A.REPORT


def test_without_a_primary_that_runs_nothing_proves_that_data_is_elsewhere() -> None:
    snapshot = found(K.SNAPSHOT, "snap-1", "completed", made_of="vol-data")
    given = facts(snapshot, rows=made(snapshot))
    stopped = replace(given, found={**given.found, "i-primary": replace(PRIMARY, state="stopped")})
    told = {one.resource_id: one.action for one in drift_findings(stopped, GracePeriods())}
    assert told["snap-1"] is A.REPORT


@pytest.mark.parametrize(
    "witness",
    [
        replace(DATA, attached_to="i-other"),
        replace(DATA, state="available", attached_to=""),
        replace(DATA, resource_id="vol-not-in-ledger"),
    ],
)
def test_only_a_volume_of_the_ledger_at_the_primary_proves_that_data_is_elsewhere(witness: FoundResource) -> None:
    snapshot = found(K.SNAPSHOT, "snap-1", "completed", made_of=witness.resource_id)
    copy = found(K.VOLUME, "vol-copy", made_of="snap-1")
    told = {one.resource_id: one for one in (PRIMARY, witness, snapshot, copy)}
    given = replace(facts(rows=made(snapshot, copy)), found=told)
    actions = {one.resource_id: one.action for one in drift_findings(given, GracePeriods())}
    assert (actions["snap-1"], actions["vol-copy"]) == (A.REPORT, A.REPORT)


def test_what_the_server_uses_is_taken_into_the_ledger() -> None:
    extra = found(K.VOLUME, "vol-extra", "in-use", attached_to="i-primary")
    address = found(K.ADDRESS, "eipalloc-1", "allocated", attached_to="i-primary")
    told = {one.resource_id: (one.action, one.reason) for one in drift_findings(facts(extra, address), GracePeriods())}
    assert set(told.values()) == {(A.ADOPT, R.IN_USE)}
    assert len(told) == 2


def test_an_instance_that_its_server_does_without_is_removed_when_its_time_is_over() -> None:
    retired = found(K.INSTANCE, "i-retired", "running", "op-done")
    kept = replace(row(K.INSTANCE, "i-retired"), token="t-i-retired")
    finding = only(facts(retired, rows=(kept,), server=replace(SERVER, retention=Retention(keep_retired_s=77))))
    assert (finding.kind, finding.action, finding.grace_s) == (F.RETIRED_RESOURCE, A.REMOVE, 77)
    for token in ("", "t-another"):
        given = facts(retired, rows=(replace(kept, token=token),))
        assert verdict(given) == (F.RETIRED_RESOURCE, A.REPORT, R.ADOPTED)


@pytest.mark.parametrize("status", ["needs_attention", "running", None])
def test_an_instance_whose_operation_did_not_end_cleanly_may_serve_and_stays(status: str | None) -> None:
    retired = found(K.INSTANCE, "i-new", "running", "op-broken")
    kept = replace(row(K.INSTANCE, "i-new"), token="t-i-new", operation_id="op-broken")
    known = {"op-broken": OperationFacts("op-broken", "srv-1", status)} if status else {}
    assert verdict(facts(retired, rows=(kept,), operations=known)) == (F.RETIRED_RESOURCE, A.REPORT, R.MAY_SERVE)
    if status == "needs_attention":
        gone = facts(retired, rows=made(retired), operations=known)
        assert verdict(gone) == (F.UNKNOWN_RESOURCE, A.REPORT, R.MAY_SERVE)


def test_while_a_servers_primary_does_not_run_no_instance_of_it_is_removed() -> None:
    orphan, kept = found(K.INSTANCE, "i-orphan", "running"), replace(row(K.INSTANCE, "i-retired"), token="t-i-retired")
    retired = found(K.INSTANCE, "i-retired", "running", "op-done")
    stopped = facts(replace(PRIMARY, state="stopped"), orphan, retired, rows=(kept, *made(orphan)))
    told = {one.resource_id: (one.action, one.reason) for one in drift_findings(stopped, GracePeriods())}
    assert told["i-orphan"] == told["i-retired"] == (A.REPORT, R.MAY_SERVE)
    ended = facts(orphan, rows=made(orphan), server=replace(SERVER, active=False, primary=""))
    assert {one.resource_id: one.action for one in drift_findings(ended, GracePeriods())}["i-orphan"] is A.REMOVE


def test_snapshots_go_by_count_and_age_and_only_when_their_data_serves() -> None:
    old, older = NOW - timedelta(days=40), NOW - timedelta(days=50)
    kept = [
        found(K.SNAPSHOT, "snap-new", "completed", "op-c", made_of="vol-gone", made_at=old),
        found(K.SNAPSHOT, "snap-b", "completed", "op-b", made_of="vol-data", made_at=older),
        found(K.SNAPSHOT, "snap-a", "completed", "op-a", made_of="vol-gone", made_at=older - timedelta(days=1)),
    ]
    rows = tuple(
        row(K.SNAPSHOT, one.resource_id, token=f"t-{one.resource_id}", operation_id=one.operation_id) for one in kept
    )
    told = {
        one.resource_id: (one.action, one.reason) for one in drift_findings(facts(*kept, rows=rows), GracePeriods())
    }
    assert told == {"snap-b": (A.REMOVE, R.SUPERSEDED), "snap-a": (A.REPORT, R.ONLY_COPY)}
    patient = replace(SERVER, retention=Retention(keep_snapshots_days=60))
    assert drift_findings(facts(*kept, rows=rows, server=patient), GracePeriods()) == []


def test_images_go_by_count_and_age_but_for_one_that_an_instance_was_launched_from() -> None:
    images = [found(K.IMAGE, f"ami-{n}", operation="op-done", made_at=NOW - timedelta(days=100 + n)) for n in range(5)]
    used = replace(PRIMARY, image_id="ami-4")
    given = facts(used, *images, rows=made(*images))
    told = {one.resource_id: (one.action, one.reason) for one in drift_findings(given, GracePeriods())}
    assert told["ami-3"] == (A.REMOVE, R.SUPERSEDED)
    assert told["ami-4"] == (A.REPORT, R.IN_USE)
    assert {told[f"ami-{n}"][0] for n in range(3)} == {A.REPORT}


def test_a_record_whose_resource_is_gone_is_closed_with_what_happened() -> None:
    ended = found(K.INSTANCE, "i-old", "terminated", why="Client.UserInitiatedShutdown")
    finding = only(facts(ended, rows=(row(K.INSTANCE, "i-old"),)))
    assert (finding.kind, finding.action, finding.grace_s) == (F.RECORD_GONE, A.CLOSE, 0.0)
    assert finding.details["what_happened"] == "Client.UserInitiatedShutdown"
    unlisted = only(facts(rows=(row(K.VOLUME, "vol-old"),)))
    assert (unlisted.reason, unlisted.grace_s) == (R.NOT_LISTED, GracePeriods().gone_s)


def test_an_intention_is_closed_once_its_operation_has_ended_and_not_before() -> None:
    intended = replace(row(K.INSTANCE, "", "intended", 7), token="t-1", operation_id="op-undone")
    assert verdict(facts(rows=(intended,))) == (F.NEVER_MADE, A.CLOSE, R.OPERATION_ENDED)
    running = {"op-undone": replace(UNDONE, status="running")}
    assert drift_findings(facts(rows=(intended,), operations=running), GracePeriods()) == []


@pytest.mark.parametrize("state", ["terminated", "shutting-down", "stopped"])
def test_a_primary_that_ec2_says_is_gone_is_asked_for_at_once(state: str) -> None:
    finding = only(facts(replace(PRIMARY, state=state, why="Server.SpotInstanceTermination")))
    assert (finding.kind, finding.action) == (F.VANISHED_PRIMARY, A.ASK)
    assert finding.certain
    assert finding.details["what_happened"] == "Server.SpotInstanceTermination"


def test_a_primary_that_is_not_listed_may_be_a_stale_answer() -> None:
    given = facts()
    finding = only(replace(given, found={"vol-data": DATA}))
    assert (finding.kind, finding.action, finding.certain) == (F.VANISHED_PRIMARY, A.ASK, False)
    assert finding.grace_s == GracePeriods().gone_s


def test_a_replica_that_is_gone_is_asked_for() -> None:
    finding = only(facts(server=replace(SERVER, replica="i-replica")))
    assert (finding.kind, finding.resource_id) == (F.VANISHED_REPLICA, "i-replica")


def test_a_silent_agent_is_told_and_an_impaired_host_is_replaced() -> None:
    silent = replace(SERVER, agent_seen_at=NOW - timedelta(seconds=121))
    assert verdict(facts(server=silent)) == (F.SILENT_AGENT, A.REPORT, R.STILL_RUNS)
    impaired = facts(replace(PRIMARY, impaired=True), server=silent)
    assert verdict(impaired) == (F.SILENT_AGENT, A.ASK, R.IMPAIRED)


def test_an_agent_that_is_to_be_heard_of_seldom_is_not_silent_before_it_is_due() -> None:
    seldom = replace(SERVER, agent_seen_at=NOW - timedelta(seconds=590), agent_due_at=NOW + timedelta(seconds=10))
    assert drift_findings(facts(server=seldom), GracePeriods()) == []
    late = replace(seldom, agent_due_at=NOW - timedelta(seconds=1))
    assert verdict(facts(server=late)) == (F.SILENT_AGENT, A.REPORT, R.STILL_RUNS)


def test_a_kind_that_ec2_did_not_tell_is_not_judged() -> None:
    given = facts(found(K.VOLUME, "vol-1"), rows=(row(K.VOLUME, "vol-gone"),))
    assert len(drift_findings(given, GracePeriods())) == 2
    assert drift_findings(replace(given, looked=given.looked - {K.VOLUME}), GracePeriods()) == []


def test_a_server_that_is_down_comes_first_and_what_a_person_settles_last() -> None:
    orphan = found(K.INSTANCE, "i-orphan", "running")
    given = facts(
        orphan,
        found(K.ADDRESS, "eipalloc-1", "allocated"),
        rows=made(orphan),
        server=replace(SERVER, replica="i-replica"),
    )
    assert [one.action for one in drift_findings(given, GracePeriods())] == [A.ASK, A.REMOVE, A.REPORT]


def test_a_server_without_an_instance_is_told() -> None:
    nothing = replace(SERVER, primary="")
    assert F.NO_PRIMARY in {one.kind for one in drift_findings(facts(server=nothing), GracePeriods())}


def test_a_server_without_a_workflow_is_told_with_what_to_look_at_first() -> None:
    one = unattended_servers.workflow_missing("srv-1", "cli-1", "us-east-1")
    assert (one.kind, one.action, one.key) == (F.NO_WORKFLOW, A.REPORT, "us-east-1/no_workflow/server/srv-1")
    words = explain_drift(one.kind, one.action, one.reason, one.resource_type)
    assert words.what == "the server is active, and Temporal runs no workflow for it"
    assert words.then.startswith("nothing by itself")
    assert words.todo.index("TEMPORAL_NAMESPACE") < words.todo.index("spot resume SERVER")


def test_two_looks_are_told_as_one_and_what_is_beyond_a_pass_is_named() -> None:
    lost = [
        unattended_servers.workflow_missing(f"srv-{n}", "cli-1", "us-east-1") for n in range(contract.MOST_FINDINGS)
    ]
    of_ec2 = contract.DriftSurvey(
        drift_findings(facts(found(K.VOLUME, "vol-1")), GracePeriods()), ["us-east-1/volume"], ["slow"]
    )
    both = of_ec2.after(contract.DriftSurvey(lost, ["us-east-1/workflow"], ["late"]))
    assert both.findings == lost
    assert (both.left_out, both.cut) == (1, ["us-east-1/unknown_resource"])
    assert (both.looked, both.problems) == (["us-east-1/workflow", "us-east-1/volume"], ["late", "slow"])
