"""Reconciliation on the lab's EC2 and a real database: what is found, kept, told, and done about it."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.ec2.errors import Ec2Failure
from activities.ec2.resources import Removal, ResourceListing
from activities.reconciliation.activity import ReconciliationActivities
from db.engine.session import make_engine, make_session_factory
from db.tables import DriftRow, Resource
from domain.names import ownership_tags
from domain.reconciliation import contract
from domain.reconciliation.facts import GracePeriods, ResourceKind
from tests.database_schemas import unique
from tests.integration.lab_cloud import REGION, A, Cloud, clean, cloud
from tests.integration.reconciliation_site import FakeWorkflows, Site, site, tag_list

__all__ = ["clean", "cloud", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


def test_a_server_at_rest_has_no_drift(site: Site) -> None:
    site.one_pass()
    assert site.drift() == {}
    assert site.survey().resources >= 3


def test_an_orphan_is_told_first_and_removed_after_its_grace(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.one_pass()
    row = site.drift()[orphan]
    assert (row.kind, row.action, row.state, row.times) == ("unknown_resource", "remove", "open", 1)
    assert row.due_at == row.first_seen_at + timedelta(seconds=100)
    site.one_pass(later=70)  # a slow pass takes of what is left
    assert site.state_of("instances", orphan) == "running"
    site.one_pass(later=31)
    assert site.state_of("instances", orphan) in ("shutting-down", "terminated")
    assert site.drift()[orphan].state == "removed"
    assert site.told() == [("drift.found", orphan), ("drift.removed", orphan)]
    assert site.state_of("instances", site.instance_id) == "running"


def test_an_instance_of_a_lost_answer_is_removed_and_its_row_is_closed(site: Site) -> None:
    operation = site.operation("rolled_back")
    orphan = site.orphan(operation, token="t-lost-answer")
    site.record("instance", None, "intended", token="t-lost-answer", operation_id=operation)
    site.one_pass()
    site.one_pass(later=101)
    assert site.drift()[orphan].state == "removed"
    with site.sessions() as session:
        row = session.scalars(select(Resource).where(Resource.token == "t-lost-answer")).one()
    assert (row.state, row.how) == ("gone", "reconciled")


def test_what_a_backup_made_with_our_tags_is_told_and_never_touched(site: Site) -> None:
    """A backup service copies an instance's tags onto its images, its snapshots and what is restored from them."""
    operation = site.operation("committed")
    restored = site.tagged_instance(operation, ClientToken="of-the-backup-service")
    without_token = site.tagged_instance(operation)
    snapshot, volume = site.tagged_copy_of_data(site.operation("rolled_back"))
    tags = tag_list(ownership_tags(site.client_id, site.server_id, operation))
    images = [
        site.cloud.ec2.create_image(
            InstanceId=site.instance_id,
            Name=unique("nightly"),
            NoReboot=True,
            TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
        )["ImageId"]
        for _ in range(5)
    ]
    for later in (0, 1_001, 5 * 365 * 86_400):
        site.one_pass(later=later)
    told = {one: (row.action, row.reason, row.state) for one, row in site.drift().items()}
    assert {told[one] for one in (restored, without_token, snapshot, volume, *images)} == {
        ("report", "not_proven", "open")
    }
    assert {site.state_of("instances", one) for one in (restored, without_token)} == {"running"}
    assert (site.state_of("snapshots", snapshot), site.state_of("volumes", volume)) == ("completed", "available")
    assert len(site.cloud.ec2.describe_images(ImageIds=images)["Images"]) == 5
    for one in (restored, without_token):
        site.cloud.end(one)


def test_a_removal_is_refused_where_the_token_is_not_the_instances_own(site: Site) -> None:
    """The last look before the call: whatever the records say by now."""
    foreign = site.tagged_instance(site.operation("rolled_back"), ClientToken="of-somebody-else")
    removal = Removal(site.cloud.clients)
    for token, words in (("", "nothing proves that we made"), ("t-ours", "launched with another token")):
        with pytest.raises(Ec2Failure, match=words):
            removal.remove(REGION, ResourceKind.INSTANCE, foreign, token)
    with pytest.raises(Ec2Failure, match="nothing proves that we made"):
        removal.remove(REGION, ResourceKind.VOLUME, site.data_volume, "")
    assert site.state_of("instances", foreign) == "running"
    removal.remove(REGION, ResourceKind.INSTANCE, foreign, "of-somebody-else")
    assert site.state_of("instances", foreign) in ("shutting-down", "terminated")


def test_a_copy_of_an_undone_operation_goes_and_a_volume_without_lineage_stays(site: Site) -> None:
    operation = site.operation("rolled_back")
    snapshot, copy = site.copy_of_data(operation)
    tags = tag_list(ownership_tags(site.client_id, site.server_id, operation))
    lonely: str = site.cloud.ec2.create_volume(
        AvailabilityZone=A, Size=4, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )["VolumeId"]
    site.cloud.volume_available(lonely)
    site.record("volume", lonely, "gone", token="t-lonely", operation_id=operation)
    for later in (0, 1001, 100_000):
        site.one_pass(later=later)
    assert site.state_of("volumes", copy) == "none"
    assert site.state_of("snapshots", snapshot) == "none"
    assert site.state_of("volumes", lonely) == "available"
    assert (site.drift()[lonely].action, site.drift()[lonely].reason) == ("report", "only_copy")
    assert site.drift()[lonely].due_at is None


def test_a_snapshot_that_is_due_waits_for_the_copy_that_only_it_explains(site: Site) -> None:
    """Removed first, it would leave a volume of which nothing says any more that its data is elsewhere."""
    snapshot, copy = site.copy_of_data(site.operation("rolled_back"))
    now = site.survey()
    alone = [one for one in now.findings if one.resource_id == snapshot]
    site.run(site.reconciliation().report, contract.ReportInput(replace(now, findings=alone), site._at_rest(alone)))
    settled = site.one_pass(later=1001)
    assert f"{copy} was made of it" in next(iter(settled.left.values()))
    assert (site.state_of("snapshots", snapshot), site.drift()[copy].state) == ("completed", "open")
    for later in (1001, 1):
        site.one_pass(later=later)
    assert (site.drift()[copy].state, site.drift()[snapshot].state) == ("removed", "removed")


def test_resources_with_strange_tags_are_told_to_admins_and_stay(site: Site) -> None:
    tags = ownership_tags("cli-strange", "srv-strange", "op-strange")
    strange = site.cloud.original(TagSpecifications=[{"ResourceType": "instance", "Tags": tag_list(tags)}])
    for later in (0, 5_000):
        site.one_pass(later=later)
    with site.sessions() as session:
        row = session.scalars(select(DriftRow).where(DriftRow.resource_id == strange)).one()
    assert (row.client_id, row.action, row.reason, row.state) == ("", "report", "strange_tags", "open")
    assert site.state_of("instances", strange) == "running"
    assert site.told() == []
    site.cloud.end(strange)


def test_what_serves_and_is_in_no_record_is_adopted(site: Site) -> None:
    volume = site.data_volume
    with site.sessions.begin() as session:
        session.execute(delete(Resource).where(Resource.resource_id == volume))
    for later in (0, 51):
        site.one_pass(later=later)
    assert (site.ledger(volume).state, site.ledger(volume).how) == ("live", "adopted")
    assert site.told()[-2:] == [("drift.adopted", volume), ("resource.adopted", volume)]


def test_a_record_whose_resource_is_gone_is_closed_with_what_happened(site: Site) -> None:
    gone = site.orphan(site.operation("committed"))
    site.record("instance", gone, token="t-gone")
    site.cloud.end(gone)
    site.record("volume", "vol-0123456789abcdef0")
    site.one_pass()
    assert site.ledger(gone).state == "live"  # one look may be wrong
    site.one_pass(later=51)
    assert (site.ledger(gone).state, site.ledger(gone).how) == ("gone", "vanished")
    assert "UserInitiatedShutdown" in site.ledger(gone).details["what_happened"]
    assert site.ledger("vol-0123456789abcdef0").details["what_happened"] == "EC2 no longer lists it"


def test_an_intention_that_came_to_nothing_is_closed(site: Site) -> None:
    site.record("instance", None, "intended", token="t-never", operation_id=site.operation("cancelled"))
    site.record("instance", None, "intended", token="t-running", operation_id="op-not-written-yet")
    for later in (0, 101):
        site.one_pass(later=later)
    with site.sessions() as session:
        states = {one.token: (one.state, one.how) for one in session.scalars(select(Resource)) if one.token}
    assert states == {"t-never": ("gone", "never_made"), "t-running": ("intended", "")}


def test_what_went_away_is_resolved_though_findings_of_another_kind_were_left_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.patience = GracePeriods(silent_s=-1)
    first, other = site.orphan("op-strange"), site.orphan("op-strange")
    site.one_pass()
    site.patience = GracePeriods(silent_s=10_000)
    monkeypatch.setattr(contract, "MOST_FINDINGS", 1)
    assert site.survey().cut == [f"{REGION}/unknown_resource"]
    site.one_pass()
    assert site.drift()[site.instance_id].state == "resolved"
    assert {site.drift()[one].state for one in (first, other)} == {"open"}


def test_what_was_settled_is_forgotten_in_the_end_and_what_is_open_is_not(site: Site) -> None:
    site.patience = GracePeriods(silent_s=-1)
    site.one_pass()
    site.patience = GracePeriods(silent_s=10**9)
    site.one_pass()
    site.record("volume", "vol-0123456789abcdef0")
    site.workflows.mute.add(site.server_id)
    site.one_pass(later=89 * 86_400)
    assert site.drift()[site.instance_id].state == "resolved"
    site.one_pass(later=2 * 86_400)
    assert site.drift() == {}


def test_what_ec2_lists_in_many_pages_is_seen_whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = site.operation("rolled_back")
    orphans = {site.orphan(operation) for _ in range(3)}
    client = site.cloud.ec2
    real = client.get_paginator
    paginator = real("describe_instances")
    monkeypatch.setattr(paginator, "paginate", functools.partial(paginator.paginate, PaginationConfig={"PageSize": 5}))
    monkeypatch.setattr(client, "get_paginator", lambda name: paginator if name == "describe_instances" else real(name))
    found = {one.resource_id for one in site.survey().findings if one.server_id == site.server_id}
    assert found == orphans


def test_ec2_that_asks_to_slow_down_is_left_alone_until_the_next_pass(site: Site) -> None:
    site.orphan(site.operation("rolled_back"))
    site.cloud.post("/faults", action="DescribeVolumes", kind="fail", code="RequestLimitExceeded", times=50)
    surveyed = site.survey()
    assert (surveyed.findings, surveyed.looked) == ([], [])
    assert "RequestLimitExceeded" in surveyed.problems[0]


def test_two_reconciliations_at_once_make_one_finding_and_one_removal(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    surveyed = site.survey()
    resting = site._at_rest(surveyed.findings)
    work = site.reconciliation()
    for _ in range(2):
        site.run(work.report, contract.ReportInput(surveyed, resting))
    site.later = timedelta(seconds=1001)
    due = site.run(work.report, contract.ReportInput(surveyed, resting)).due
    for _ in range(2):
        site.run(work.settle, contract.SettleInput(due, resting))
    assert site.told() == [("drift.found", orphan), ("drift.removed", orphan)]


def test_a_permission_that_is_missing_is_named_and_nothing_of_that_kind_is_judged(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.record("volume", "vol-0123456789abcdef0")
    site.cloud.post("/permissions", deny=["ec2:DescribeVolumes"])
    surveyed = site.survey()
    assert "ec2:DescribeVolumes is denied" in surveyed.problems[0]
    assert f"{REGION}/volume" not in surveyed.looked
    assert {one.resource_id for one in surveyed.findings if one.server_id == site.server_id} == {orphan}


def test_without_the_permission_to_remove_it_stays_open_and_says_why(site: Site) -> None:
    orphan = site.orphan(site.operation("rolled_back"))
    site.one_pass()
    site.cloud.post("/permissions", deny=["ec2:TerminateInstances"])
    site.one_pass(later=1001)
    row = site.drift()[orphan]
    assert row.state == "open"
    assert "ec2:TerminateInstances is denied" in row.outcome


def test_removals_that_always_fail_keep_no_other_from_its_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    orphans = {site.orphan(site.operation("rolled_back")) for _ in range(2)}
    site.one_pass()
    monkeypatch.setattr(contract, "MOST_REMOVALS", 1)
    site.cloud.post("/permissions", deny=["ec2:TerminateInstances"])
    tried: set[str] = set()
    for _ in range(2):
        tried |= site.one_pass(later=1001).left.keys()
    assert {key.rsplit("/", 1)[1] for key in tried} == orphans


def test_ec2_that_is_away_changes_nothing(site: Site) -> None:
    site.orphan(site.operation("rolled_back"))
    site.one_pass()
    before = {key: row.state for key, row in site.drift().items()}
    site.cloud.post("/faults", action="DescribeInstances", kind="fail", code="InternalError", times=50)
    surveyed = site.survey()
    assert (surveyed.findings, surveyed.looked) == ([], [])
    assert "listing what carries our tags" in surveyed.problems[0]
    site.one_pass(later=5000)
    assert {key: row.state for key, row in site.drift().items()} == before
    assert site.workflows.told == []


def test_a_large_account_is_listed_page_by_page(clean: Cloud) -> None:
    """EC2 may throttle what asks for everything at once."""
    for kind in ResourceKind:
        ResourceListing(clean.clients).tagged(REGION, kind)
    for action in ("Instances", "Volumes", "Snapshots", "Images", "SpotInstanceRequests"):
        assert clean.calls(f"Describe{action}")[-1]["params"]["MaxResults"] == "500", action


def test_records_that_are_away_are_worth_another_try(clean: Cloud) -> None:
    engine = make_engine("mysql+pymysql://nobody@127.0.0.1:1/none")
    away = ReconciliationActivities(make_session_factory(engine), clean.clients, FakeWorkflows(), [REGION])
    with pytest.raises(ApplicationError) as caught:
        ActivityEnvironment().run(away.survey, contract.ReconcileInput())
    assert caught.value.type == "Unavailable"
