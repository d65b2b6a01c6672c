"""The rules of reconciliation: what is only told, and what is adopted, removed, closed or asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    return FoundResource(kind, name, state, "cli-1", "srv-1", operation, **more)


def row(kind: ResourceKind, name: str, state: str = "live", number: int = 0, **more: Any) -> ResourceRow:
    more = {"operation_id": "op-done", **more}
    return ResourceRow(
        number or abs(hash(name)) % 10_000 + 1, kind.value, state, "cli-1", "srv-1", resource_id=name, **more
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
    assert drift_findings(facts(orphan), GracePeriods()) != []
    assert drift_findings(facts(orphan, server=replace(SERVER, busy=True)), GracePeriods()) == []


def test_an_instance_of_an_operation_that_has_ended_is_removed() -> None:
    assert verdict(facts(found(K.INSTANCE, "i-orphan", "running"))) == (
        F.UNKNOWN_RESOURCE,
        A.REMOVE,
        R.OPERATION_ENDED,
    )


def test_what_our_own_call_made_has_a_shorter_grace_than_what_only_carries_our_tags() -> None:
    orphan = found(K.INSTANCE, "i-orphan", "running", token="t-1")
    intended = replace(row(K.INSTANCE, "", "intended", 7), token="t-1", operation_id="op-undone")
    ours = only(facts(orphan, rows=(intended,)))
    assert (ours.action, ours.grace_s, ours.row_id) == (A.REMOVE, GracePeriods().ours_s, 7)
    assert only(facts(orphan)).grace_s == GracePeriods().unexplained_s


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
    finding = only(facts(orphan))
    assert (finding.kind, finding.action, finding.reason) == (F.UNKNOWN_RESOURCE, A.REPORT, reason)


def test_a_copy_that_an_undone_operation_made_is_removed_when_its_lineage_leads_to_what_serves() -> None:
    snapshot = found(K.SNAPSHOT, "snap-1", "completed", made_of="vol-data")
    copy = found(K.VOLUME, "vol-copy", made_of="snap-1")
    judged = drift_findings(facts(snapshot, copy), GracePeriods())
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
    told = {one.resource_id: one.action for one in drift_findings(facts(snapshot, copy), GracePeriods())}
    assert told["vol-copy"] is A.REPORT


def test_without_a_primary_that_runs_nothing_proves_that_data_is_elsewhere() -> None:
    snapshot = found(K.SNAPSHOT, "snap-1", "completed", made_of="vol-data")
    given = facts(snapshot)
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
    actions = {one.resource_id: one.action for one in drift_findings(replace(facts(), found=told), GracePeriods())}
    assert (actions["snap-1"], actions["vol-copy"]) == (A.REPORT, A.REPORT)


def test_what_the_server_uses_is_taken_into_the_ledger() -> None:
    extra = found(K.VOLUME, "vol-extra", "in-use", attached_to="i-primary")
    address = found(K.ADDRESS, "eipalloc-1", "allocated", attached_to="i-primary")
    told = {one.resource_id: (one.action, one.reason) for one in drift_findings(facts(extra, address), GracePeriods())}
    assert set(told.values()) == {(A.ADOPT, R.IN_USE)}
    assert len(told) == 2


def test_an_instance_that_its_server_does_without_is_removed_when_its_time_is_over() -> None:
    retired = found(K.INSTANCE, "i-retired", "running", "op-done")
    made = replace(row(K.INSTANCE, "i-retired"), token="t-9")
    finding = only(facts(retired, rows=(made,), server=replace(SERVER, retention=Retention(keep_retired_s=77))))
    assert (finding.kind, finding.action, finding.grace_s) == (F.RETIRED_RESOURCE, A.REMOVE, 77)
    assert verdict(facts(retired, rows=(replace(made, token=""),))) == (F.RETIRED_RESOURCE, A.REPORT, R.ADOPTED)


@pytest.mark.parametrize("status", ["needs_attention", "running", None])
def test_an_instance_whose_operation_did_not_end_cleanly_may_serve_and_stays(status: str | None) -> None:
    retired = found(K.INSTANCE, "i-new", "running", "op-broken")
    made = replace(row(K.INSTANCE, "i-new"), token="t-9", operation_id="op-broken")
    known = {"op-broken": OperationFacts("op-broken", "srv-1", status)} if status else {}
    assert verdict(facts(retired, rows=(made,), operations=known)) == (F.RETIRED_RESOURCE, A.REPORT, R.MAY_SERVE)
    if status == "needs_attention":
        assert verdict(facts(retired, operations=known)) == (F.UNKNOWN_RESOURCE, A.REPORT, R.MAY_SERVE)


def test_while_a_servers_primary_does_not_run_no_instance_of_it_is_removed() -> None:
    orphan, made = found(K.INSTANCE, "i-orphan", "running"), replace(row(K.INSTANCE, "i-retired"), token="t-9")
    retired = found(K.INSTANCE, "i-retired", "running", "op-done")
    stopped = facts(replace(PRIMARY, state="stopped"), orphan, retired, rows=(made,))
    told = {one.resource_id: (one.action, one.reason) for one in drift_findings(stopped, GracePeriods())}
    assert told["i-orphan"] == told["i-retired"] == (A.REPORT, R.MAY_SERVE)
    ended = facts(orphan, server=replace(SERVER, active=False, primary=""))
    assert {one.resource_id: one.action for one in drift_findings(ended, GracePeriods())}["i-orphan"] is A.REMOVE


def test_snapshots_go_by_count_and_age_and_only_when_their_data_serves() -> None:
    old, older = NOW - timedelta(days=40), NOW - timedelta(days=50)
    kept = [
        found(K.SNAPSHOT, "snap-new", "completed", "op-c", made_of="vol-gone", made_at=old),
        found(K.SNAPSHOT, "snap-b", "completed", "op-b", made_of="vol-data", made_at=older),
        found(K.SNAPSHOT, "snap-a", "completed", "op-a", made_of="vol-gone", made_at=older - timedelta(days=1)),
    ]
    rows = tuple(replace(row(K.SNAPSHOT, one.resource_id), operation_id=one.operation_id) for one in kept)
    told = {
        one.resource_id: (one.action, one.reason) for one in drift_findings(facts(*kept, rows=rows), GracePeriods())
    }
    assert told == {"snap-b": (A.REMOVE, R.SUPERSEDED), "snap-a": (A.REPORT, R.ONLY_COPY)}
    patient = replace(SERVER, retention=Retention(keep_snapshots_days=60))
    assert drift_findings(facts(*kept, rows=rows, server=patient), GracePeriods()) == []


def test_images_go_by_count_and_age_but_for_one_that_an_instance_was_launched_from() -> None:
    images = [found(K.IMAGE, f"ami-{n}", operation="op-done", made_at=NOW - timedelta(days=100 + n)) for n in range(5)]
    used = replace(PRIMARY, image_id="ami-4")
    given = facts(used, *images)
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
    given = facts(
        found(K.INSTANCE, "i-orphan", "running"),
        found(K.ADDRESS, "eipalloc-1", "allocated"),
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


# --- whatever the world looks like

# Few names, so that lineages meet.
NAMES = st.sampled_from(["0", "1", "2"])
SERVERS = st.sampled_from(["srv-1", "srv-1", "srv-1", "srv-2", "srv-strange", ""])
OPERATIONS = st.sampled_from(
    ["op-undone", "op-undone", "op-undone", "op-done", "op-running", "op-strange", "adopt-srv-1", ""]
)


@st.composite
def worlds(draw: st.DrawFn) -> RegionFacts:
    """Two servers, and resources with any tags, any attachment, any lineage, in the ledger or not."""
    things: dict[str, FoundResource] = {}
    rows: list[ResourceRow] = []
    for kind, prefix in ((K.INSTANCE, "i"), (K.VOLUME, "vol"), (K.SNAPSHOT, "snap"), (K.IMAGE, "ami")):
        for name in draw(st.sets(NAMES)):
            resource_id = f"{prefix}-{name}"
            server = draw(SERVERS)
            states = {"i": ["running", "stopped", "terminated"], "vol": ["available", "in-use", "deleting"]}
            things[resource_id] = FoundResource(
                kind,
                resource_id,
                draw(st.sampled_from(states.get(prefix, ["completed"]))),
                "cli-1",
                server,
                draw(OPERATIONS),
                made_at=NOW - timedelta(days=draw(st.integers(0, 200))),
                attached_to=f"i-{draw(NAMES)}" if kind is K.VOLUME and draw(st.booleans()) else "",
                made_of=draw(st.sampled_from(["", f"vol-{draw(NAMES)}", f"snap-{draw(NAMES)}"])),
                data_volumes=(f"vol-{draw(NAMES)}",) if kind is K.INSTANCE and draw(st.booleans()) else (),
            )
            if draw(st.booleans()):
                state = draw(st.sampled_from(["live", "intended", "gone"]))
                owner = draw(st.sampled_from(["srv-1", "srv-2"]))
                made = ResourceRow(
                    len(rows) + 1, kind.value, state, "cli-1", owner, "op-done", resource_id, f"t-{len(rows)}"
                )
                rows.append(made)
    servers = {
        name: ServerFacts(
            name,
            "cli-1",
            name,
            draw(st.booleans()),
            f"i-{draw(NAMES)}",
            busy=draw(st.booleans()),
            agent_seen_at=NOW,
            retention=Retention(0.0, draw(st.integers(0, 2)), draw(st.integers(0, 40)), 0, 0),
        )
        for name in ("srv-1", "srv-2")
    }
    operations = {
        name: OperationFacts(name, "srv-1", status)
        for name, status in (("op-undone", "rolled_back"), ("op-done", "committed"), ("op-running", "running"))
    }
    return RegionFacts("us-east-1", NOW, things, tuple(rows), servers, operations)


def serving_by_hand(world: RegionFacts, server_id: str) -> set[str]:
    """Not the rules' own word for it: volumes that the server's running primary holds, and the ledger too."""
    server = world.servers.get(server_id)
    if server is None or server.primary not in world.found or world.found[server.primary].state != "running":
        return set()
    held = {r.resource_id for r in world.rows if (r.state, r.server_id) == ("live", server_id)}
    return {v for v in held if v in world.found and world.found[v].attached_to == server.primary}


@settings(max_examples=250, deadline=None)
@given(worlds())
def test_never_is_the_only_copy_removed(world: RegionFacts) -> None:
    """After every removal of a pass, each volume and snapshot that went has a relative that serves and stays."""
    removed = {one.resource_id for one in drift_findings(world, GracePeriods()) if one.action is A.REMOVE}
    for name in removed:
        one = world.found[name]
        if one.kind not in (K.VOLUME, K.SNAPSHOT):
            continue
        serving = serving_by_hand(world, one.server_id)
        source = world.found.get(one.made_of)
        ancestors = {one.made_of} | ({source.made_of} if source else set())
        relatives = {v for v in serving if v in ancestors or world.found[v].made_of == name}
        assert relatives - removed, f"{name} was the only copy"


@settings(max_examples=250, deadline=None)
@given(worlds())
def test_never_is_anything_removed_that_a_server_runs_on_or_that_holds_data(world: RegionFacts) -> None:
    used = {name for server in world.servers.values() for name in server.instances}
    for one in drift_findings(world, GracePeriods()):
        if one.action is not A.REMOVE:
            continue
        thing = world.found[one.resource_id]
        assert one.resource_id not in used
        assert thing.attached_to not in used or not thing.attached_to
        assert not thing.data_volumes
        assert not world.servers[one.server_id].busy


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_each_difference_is_one_finding_with_words_for_people(world: RegionFacts) -> None:
    findings = drift_findings(world, GracePeriods())
    assert len({one.key for one in findings}) == len(findings)
    for one in findings:
        words = explain_drift(one.kind, one.action, one.reason, one.resource_type)
        assert "{" not in "".join((words.what, words.matters, words.then, words.todo))
        assert words.matters
        assert words.todo
