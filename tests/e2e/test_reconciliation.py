"""Changes that the product did not make: resources appear in EC2 or disappear, and somebody terminates a primary."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from db.engine.session import make_engine, make_session_factory
from db.tables import Resource
from domain.names import ownership_tags, server_workflow_id
from lab.stack import temporal
from lab.stack.settings import REPOSITORY
from proof.harness.invariants import broken_invariants
from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import Site
from proof.harness.waiting import until

OWN_SERVERS = True

EXTRA = {
    "SPOT_RECONCILE_EVERY_S": "3",
    "SPOT_GRACE_OURS_S": "4",
    "SPOT_GRACE_GONE_S": "3",
    "SPOT_LOG_LEVEL": "INFO",
}
_SETTLED_S = 120.0


@pytest.fixture(scope="module")
def server(site: Site) -> AdoptedServer:
    [made] = site.adopt_servers(ServerSpec("orders", "volumes", 8))
    return made


@pytest.fixture(scope="module")
def undone(site: Site, server: AdoptedServer) -> str:
    """A cancelled switch. Resources with its tags belong to an operation that came to nothing."""
    operation_id = site.ask(server, "switch", "to-be-cancelled")
    site.http.post(f"/api/operations/{operation_id}/cancel", headers={"Idempotency-Key": "cancel-it"})
    assert site.end_of(operation_id).outcome in ("cancelled", "rolled_back")
    return operation_id


def drift(site: Site, resource_id: str, state: str = "") -> dict[str, Any] | None:
    rows = site.http.get("/api/drift", params={"limit": 500}).raise_for_status().json()["items"]
    found = [row for row in rows if row["resource_id"] == resource_id and state in ("", row["state"])]
    return found[0] if found else None


def awaited(site: Site, resource_id: str, state: str) -> dict[str, Any]:
    return until(f"{resource_id} is {state}", _SETTLED_S, lambda: drift(site, resource_id, state))


def ended_at(site: Site, instance_id: str) -> datetime:
    """When EC2 was asked to end the instance."""
    calls = site.ask_lab("GET", "/_lab/calls")["calls"]
    ended = [one for one in calls if one["action"] == "TerminateInstances" and instance_id in one["params"].values()]
    return datetime.fromisoformat(ended[0]["time"])


def events_of(site: Site, resource_id: str) -> list[str]:
    """The types of the events about this difference, in order."""
    events = site.http.get("/api/events", params={"type": "drift.", "limit": 200}).raise_for_status().json()["items"]
    return [str(one["type"]) for one in events if resource_id in json.dumps(one["payload"])]


def state_of(site: Site, kind: str, resource_id: str) -> str:
    return next((str(row["state"]) for row in site.truth()[kind] if row["id"] == resource_id), "none")


def tagged(site: Site, server: AdoptedServer, operation_id: str, kind: str) -> list[Any]:
    client = site.stack.credentials.client_id
    tags = ownership_tags(client, server.id, operation_id)
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def record_made(
    site: Site, server: AdoptedServer, operation_id: str, kind: str, token: str, resource_id: str = ""
) -> None:
    """The ledger: a call of ours with this token made it, and it counts as gone."""
    engine = make_engine(site.stack.environment["DATABASE_URL"], pool_size=1)
    row = {"client_id": site.stack.credentials.client_id, "server_id": server.id, "operation_id": operation_id}
    with make_session_factory(engine).begin() as session:
        made = Resource(**row, type=kind, state="gone", how="deleted", token=token, resource_id=resource_id or None)
        session.add(made)
    engine.dispose()


def doctor(site: Site, token: str, *options: str) -> tuple[int, str]:
    return spot(site, token, *options, "doctor")


def spot(site: Site, token: str, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "SPOT_URL": site.stack.urls["api"], "SPOT_TOKEN": token, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_SETTLED_S)
    return done.returncode, done.stdout + done.stderr


def data_volume(site: Site, server: AdoptedServer) -> str:
    primary = site.primary(server)["id"]
    return next(str(v["id"]) for v in site.truth()["volumes"] if v["attached_to"] == primary and not v["root"])


def test_an_orphan_is_told_and_then_removed(site: Site, server: AdoptedServer, undone: str) -> None:
    record_made(site, server, undone, "instance", "t-orphan")
    made = site.ec2.run_instances(
        ClientToken="t-orphan",
        ImageId=site.world["images"]["x86_64"],
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        SubnetId=next(iter(site.world["subnets"].values())),
        TagSpecifications=tagged(site, server, undone, "instance"),
    )
    orphan = str(made["Instances"][0]["InstanceId"])
    row = awaited(site, orphan, "removed")
    assert (row["kind"], row["action"]) == ("unknown_resource", "remove")
    told, due = (datetime.fromisoformat(row[name]) for name in ("first_seen_at", "due_at"))
    assert told < due <= ended_at(site, orphan), "told before anything is done"
    assert events_of(site, orphan) == ["drift.found", "drift.removed"]
    until("it ends", _SETTLED_S, lambda: state_of(site, "instances", orphan) in ("terminated", "none") or None)
    site.say(f"orphan {orphan}: found {row['first_seen_at']}, due {row['due_at']}, removed")


def test_a_copy_is_removed_and_a_volume_that_may_be_the_only_copy_is_not(
    site: Site, server: AdoptedServer, undone: str
) -> None:
    snapshot = str(
        site.ec2.create_snapshot(
            VolumeId=data_volume(site, server),
            TagSpecifications=tagged(site, server, undone, "snapshot"),
        )["SnapshotId"]
    )
    record_made(site, server, undone, "snapshot", "t-snapshot", snapshot)
    until("snapshot", _SETTLED_S, lambda: state_of(site, "snapshots", snapshot) == "completed" or None)
    zone = site.primary(server)["pool"].split("/")[0]
    wanted = {"AvailabilityZone": zone, "TagSpecifications": tagged(site, server, undone, "volume")}
    copy = str(site.ec2.create_volume(SnapshotId=snapshot, **wanted)["VolumeId"])
    lonely = str(site.ec2.create_volume(Size=4, **wanted)["VolumeId"])
    for number, volume in enumerate((copy, lonely)):
        record_made(site, server, undone, "volume", f"t-volume-{number}", volume)
    awaited(site, copy, "removed")
    awaited(site, snapshot, "removed")
    row = awaited(site, lonely, "open")
    assert (row["action"], row["reason"], row["due_at"]) == ("report", "only_copy", None)
    assert state_of(site, "volumes", lonely) == "available"
    assert state_of(site, "volumes", data_volume(site, server)) == "in-use"

    code, said = doctor(site, site.stack.credentials.admin_token)
    assert code == 1, said
    assert lonely in said
    assert "nothing by itself" in said
    site.say(said)
    site.ec2.delete_volume(VolumeId=lonely)
    awaited(site, lonely, "resolved")


def test_a_record_whose_resource_is_gone_is_closed(site: Site, server: AdoptedServer) -> None:
    volume = "vol-0fedcba9876543210"
    engine = make_engine(site.stack.environment["DATABASE_URL"], pool_size=1)
    row = {"client_id": site.stack.credentials.client_id, "server_id": server.id, "type": "volume", "state": "live"}
    with make_session_factory(engine).begin() as session:
        session.add(Resource(**row, resource_id=volume, how="made", live_at=datetime.now(UTC)))
    assert awaited(site, volume, "closed")["outcome"] == "EC2 no longer lists it"
    with make_session_factory(engine)() as session:
        kept = session.query(Resource).where(Resource.resource_id == volume).one()
        assert (kept.state, kept.how) == ("gone", "vanished")
    engine.dispose()


def test_a_primary_that_somebody_terminates_is_one_failover(site: Site, server: AdoptedServer) -> None:
    before, known = site.primary(server)["id"], site.api.operation_ids(server.id, "failover")
    site.ec2.terminate_instances(InstanceIds=[before])
    rescue = site.end_of(site.new_operation(server, "failover", known))
    assert rescue.outcome == "committed", rescue.reason
    assert site.primary(server)["id"] != before
    until("it is whole again", _SETTLED_S, lambda: drift(site, before, "open") is None or None)
    assert len(site.api.operation_ids(server.id, "failover")) == len(known) + 1
    found = drift(site, before) or {"state": "found by the watch first"}
    site.say(f"terminated by hand: {rescue.outcome}; drift {found['state']}")


def terminated_in_temporal(site: Site, workflow_id: str) -> None:
    async def terminate() -> None:
        client = await Client.connect(site.stack.environment["TEMPORAL_ADDRESS"])
        await client.get_workflow_handle(workflow_id).terminate(reason="by hand")

    asyncio.run(terminate())


def test_a_server_whose_workflow_is_lost_is_told_resumed_and_rescued_again(site: Site, server: AdoptedServer) -> None:
    workflow, credentials = server_workflow_id(server.id), site.stack.credentials
    site.commit_operation(server, "switch", "to-spot")  # nothing else is interrupted
    terminated_in_temporal(site, workflow)
    row = awaited(site, workflow, "open")
    assert (row["kind"], row["action"], row["server_id"]) == ("no_workflow", "report", server.id)
    code, said = doctor(site, credentials.admin_token)
    assert (code, "spot resume SERVER" in said) == (1, True), said
    code, said = spot(site, credentials.client_token, "switch", server.name)
    assert (code, "spot resume" in said) == (1, True), said

    code, said = spot(site, credentials.client_token, "resume", server.name, "--dry-run")
    assert (code, "nothing was changed" in said) == (0, True), said
    code, said = spot(site, credentials.client_token, "resume", server.name, "--key", "bring-it-back")
    assert code == 0, said
    site.say(said)
    again = spot(site, credentials.client_token, "resume", server.name, "--key", "bring-it-back")
    assert again == (0, said), "the same key is the same answer"
    code, said = spot(site, credentials.client_token, "resume", server.name)
    assert (code, "there is nothing to resume" in said) == (1, True), said
    awaited(site, workflow, "resolved")

    doomed, known = site.primary(server)["id"], site.api.operation_ids(server.id, "failover")
    site.interrupt(doomed)
    rescue = site.end_of(site.new_operation(server, "failover", known))
    assert rescue.outcome == "committed", rescue.reason
    assert site.primary(server)["id"] != doomed


def test_a_server_that_lost_its_workflow_and_its_instance_is_let_go_and_its_data_stays(site: Site) -> None:
    [left] = site.adopt_servers(ServerSpec("left", "volumes", 8))
    token, workflow = site.stack.credentials.client_token, server_workflow_id(left.id)
    instance, volume = site.primary(left)["id"], data_volume(site, left)
    terminated_in_temporal(site, workflow)
    awaited(site, workflow, "open")
    code, said = spot(site, token, "resume", left.name, "--let-go")
    assert (code, f"EC2 still has {instance}" in said) == (1, True), said
    site.ec2.terminate_instances(InstanceIds=[instance])
    until("it has ended", _SETTLED_S, lambda: state_of(site, "instances", instance) in ("terminated", "none") or None)

    code, said = spot(site, token, "resume", left.name, "--let-go", "--key", "let-it-go")
    assert (code, "let go" in said) == (0, True), said
    assert spot(site, token, "resume", left.id, "--let-go", "--key", "let-it-go") == (0, said)
    awaited(site, workflow, "resolved")
    told = site.http.get(f"/api/servers/{left.id}").raise_for_status().json()
    assert (told["state"], told["ended_how"], told["primary"]) == ("ended", "let go", None)
    assert state_of(site, "volumes", volume) == "available"
    assert site.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Tags"], "what holds its data is as it was"
    del site.servers[left.name]  # it is ended: no primary is expected of it


def test_the_doctor_finds_nothing_at_rest_and_tells_a_client_what_is_known(site: Site, server: AdoptedServer) -> None:
    def healthy() -> str | None:
        code, said = doctor(site, site.stack.credentials.admin_token)
        return said if code == 0 else None

    said = until("nothing differs", _SETTLED_S, healthy, every_s=2.0)
    assert "no difference" in said
    code, said = doctor(site, site.stack.credentials.client_token, "--json")
    assert (code, json.loads(said)["items"]) == (0, [])
    assert "needs an admin's token" in json.loads(said)["why_not"]
    # The orphan that a test launched was made by no token of ours, and never will have been.
    assert [one for one in broken_invariants(site, (server,)) if "was made by no token" not in one] == []


def test_with_ec2_away_the_doctor_says_so_and_nothing_is_done(site: Site, server: AdoptedServer) -> None:
    with site.faults({"action": "DescribeInstances", "kind": "fail", "code": "InternalError", "times": 200}):
        code, said = doctor(site, site.stack.credentials.admin_token)
    assert code == 1
    assert "could not look" in said
    assert drift(site, site.primary(server)["id"], "open") is None


# --- what the processes measure


@pytest.fixture(scope="module")
def scraped(site: Site, server: AdoptedServer) -> dict[str, set[str]]:
    """The names of all samples of each endpoint, after some operations."""
    admin = {"Authorization": f"Bearer {site.stack.credentials.admin_token}"}
    ports = site.stack.ports
    return {
        "api": _names(f"{site.stack.urls['api']}/metrics", admin),
        "worker": _names(f"http://127.0.0.1:{ports['metrics']}/metrics", {}),
        "sdk": _names(f"http://127.0.0.1:{ports['temporal_metrics']}/metrics", {}),
    }


def _names(url: str, headers: dict[str, str]) -> set[str]:
    text = httpx.get(url, headers=headers, timeout=60).raise_for_status().text
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def test_every_metric_of_temporals_in_a_dashboard_is_measured(scraped: dict[str, set[str]]) -> None:
    wanted: set[str] = set()
    for path in (REPOSITORY / "deploy" / "grafana" / "dashboards").glob("*.json"):
        wanted |= set(re.findall(r"temporal_\w+", _queries(path)))
    # A request that failed is counted only once there is one.
    missing = wanted - scraped["sdk"] - {"temporal_request_failure_total"}
    assert wanted
    assert not missing, sorted(scraped["sdk"])


def _queries(path: Path) -> str:
    panels = json.loads(path.read_text())["panels"]
    return "\n".join(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("api", "spot_optimizer_servers"),
        ("api", "spot_optimizer_event_readers"),
        ("worker", "spot_optimizer_launch_duration_seconds_bucket"),
        ("worker", "spot_optimizer_failover_duration_seconds_bucket"),
        ("worker", "spot_optimizer_ec2_calls_total"),
        ("worker", "spot_optimizer_agents_online"),
    ],
)
def test_a_running_process_tells_what_it_did(scraped: dict[str, set[str]], endpoint: str, name: str) -> None:
    assert name in scraped[endpoint]


# --- the last, since what the workers have measured goes with it


def test_a_server_is_resumed_in_a_temporal_that_has_lost_everything(site: Site, server: AdoptedServer) -> None:
    stack, token = site.stack, site.stack.credentials.client_token
    stack.stop("temporal")
    temporal.delete_state(stack.settings.var / "temporal.db")
    stack.restart("temporal")
    for name in [one for one in stack.processes if one.startswith("worker")]:
        stack.restart(name)  # they make their schedules anew
    awaited(site, server_workflow_id(server.id), "open")
    code, said = spot(site, token, "resume", server.name)
    assert code == 0, said
    known = site.api.operation_ids(server.id)
    site.commit_operation(server, "switch", "after-the-loss")
    assert len(site.api.operation_ids(server.id)) == len(known) + 1, "nothing of before runs again"
    awaited(site, server_workflow_id(server.id), "resolved")
