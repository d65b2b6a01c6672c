"""The rules of reconciliation, whatever the world looks like: what is never removed, and what is always told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.reconciliation.explanations import explain_drift
from domain.reconciliation.facts import (
    FoundResource,
    GracePeriods,
    OperationFacts,
    RegionFacts,
    ResourceRow,
    Retention,
    ServerFacts,
)
from domain.reconciliation.rules import drift_findings
from tests.unit.test_reconciliation_rules import NOW, A, K, facts, found, made, only

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
                token=f"t-{resource_id}" if draw(st.booleans()) else "t-of-somebody",
                made_of=draw(st.sampled_from(["", f"vol-{draw(NAMES)}", f"snap-{draw(NAMES)}"])),
                data_volumes=(f"vol-{draw(NAMES)}",) if kind is K.INSTANCE and draw(st.booleans()) else (),
            )
            if draw(st.booleans()):
                state = draw(st.sampled_from(["live", "intended", "gone"]))
                owner = draw(st.sampled_from(["srv-1", "srv-2"]))
                made = ResourceRow(
                    len(rows) + 1, kind.value, state, "cli-1", owner, "op-done", resource_id, f"t-{resource_id}"
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


@settings(max_examples=500, deadline=None)
@given(worlds())
def test_nothing_is_removed_that_no_call_of_ours_is_proven_to_have_made(world: RegionFacts) -> None:
    for finding in drift_findings(world, GracePeriods()):
        if finding.action is not A.REMOVE:
            continue
        rows = [row for row in world.rows if row.token == finding.token and row.kind == finding.resource_type]
        assert finding.token
        assert rows
        if finding.resource_type == K.INSTANCE:
            assert world.found[finding.resource_id].token == finding.token
        else:
            assert finding.resource_id in {row.resource_id for row in rows}


def test_what_was_released_to_its_owner_is_ours_no_more() -> None:
    """Its tags may still be there, or be there again."""
    released = found(K.INSTANCE, "i-released", "running")
    (row,) = made(released)
    for how, action in (("deleted", A.REMOVE), ("released", A.REPORT)):
        assert only(facts(released, rows=(replace(row, how=how),))).action is action
