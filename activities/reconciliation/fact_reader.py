"""The facts of one region: what EC2 has, and the records before and after.

The records are read before EC2 and after it. A server that was busy at either time is left alone: an operation writes
what it makes to the ledger before the call that makes it, and only the second reading has an intention that is newer
than the first. EC2's list is compared with the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from activities.ec2.errors import Ec2Failure
from activities.ec2.resources import ResourceListing
from db.engine.session import SessionFactory
from db.reconciliation import records
from db.tables import Resource
from domain.errors import Failure
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

# After one of these every further call would fail too: there is no point in going on.
_GIVE_UP = frozenset({Failure.UNAVAILABLE, Failure.THROTTLED})


class FactReader:
    def __init__(self, sessions: SessionFactory, listing: ResourceListing, clock: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._listing = listing
        self._clock = clock

    def facts(self, region: str, patience: GracePeriods) -> tuple[RegionFacts, list[str]]:
        """The facts, and what could not be read. No facts at all when EC2 does not answer or asks to slow down."""
        with self._sessions() as session:
            busy = records.busy_servers(session)
            expected = [_row(one) for one in records.open_rows(session, region)]
        found, looked, problems = self._listed(region, expected)
        with self._sessions() as session:
            facts = self._with_records(session, region, found, looked, busy)
        return replace(facts, found=self._with_checks(facts, patience, problems)), problems

    def _listed(
        self, region: str, expected: list[ResourceRow]
    ) -> tuple[dict[str, FoundResource], frozenset[ResourceKind], list[str]]:
        found: dict[str, FoundResource] = {}
        looked, problems = set(), []
        for kind in ResourceKind:
            try:
                listed = {one.resource_id: one for one in self._listing.tagged(region, kind)}
                # Somebody may have removed our tags from a resource of the ledger.
                ours = {row.resource_id for row in expected if row.kind == kind and row.state == "live"}
                listed |= {one.resource_id: one for one in self._listing.by_id(region, kind, ours - listed.keys())}
            except Ec2Failure as failed:
                problems.append(failed.message)
                if failed.failure in _GIVE_UP:
                    return {}, frozenset(), problems
                continue
            looked.add(kind)
            found |= listed
        return found, frozenset(looked), problems

    def _with_records(
        self,
        session: Session,
        region: str,
        found: Mapping[str, FoundResource],
        looked: frozenset[ResourceKind],
        busy_before: set[str],
    ) -> RegionFacts:
        busy = busy_before | records.busy_servers(session)
        rows = [*records.open_rows(session, region)]
        listed = {row.resource_id for row in rows}
        unexplained = [one for one in found.values() if one.resource_id not in listed]
        rows += records.rows_about(
            session, {one.resource_id for one in unexplained}, {one.token for one in unexplained if one.token}
        )
        servers = {one.server_id: one for one in records.servers_of_region(session, region)}
        named = {one.server_id for one in found.values() if one.server_id} | {row.server_id for row in rows}
        servers |= {one.server_id: one for one in records.servers_by_id(session, named - servers.keys())}
        return RegionFacts(
            region=region,
            at=self._clock(),
            found=found,
            rows=tuple(map(_row, rows)),
            servers={key: _server(one, key in busy) for key, one in servers.items()},
            operations=_operations(session, found.values(), rows),
            looked=looked,
        )

    def _with_checks(self, facts: RegionFacts, patience: GracePeriods, problems: list[str]) -> dict[str, FoundResource]:
        """Status checks, of silent servers alone."""
        silent = [
            server.primary
            for server in facts.servers.values()
            if server.active
            and server.is_silent(facts.at, patience.silent_s)
            and _runs(facts.found.get(server.primary))
        ]
        found = dict(facts.found)
        if silent:
            try:
                impaired = self._listing.impaired(facts.region, silent)
            except Ec2Failure as failed:
                problems.append(failed.message)
                impaired = set()
            found |= {one: replace(found[one], impaired=True) for one in impaired if one in found}
        return found


def _runs(found: FoundResource | None) -> bool:
    return found is not None and found.state == "running"


def _row(one: Resource) -> ResourceRow:
    return ResourceRow(
        one.id,
        one.type,
        one.state,
        one.client_id,
        one.server_id,
        one.operation_id,
        one.resource_id or "",
        one.token or "",
        one.how,
        one.gone_at or one.live_at or one.intended_at,
    )


def _server(one: records.ServerState, busy: bool) -> ServerFacts:
    return ServerFacts(
        one.server_id,
        one.client_id,
        one.name,
        one.active,
        one.primary,
        one.replica,
        busy,
        one.agent_seen_at,
        one.agent_due_at,
        one.created_at,
        _retention(one.policy),
    )


def _retention(policy: Mapping[str, Any]) -> Retention:
    """A policy from before these fields existed has their defaults."""
    usual = Retention()
    return Retention(
        float(policy.get("keep_retired_s", usual.keep_retired_s)),
        int(policy.get("keep_snapshots", usual.keep_snapshots)),
        float(policy.get("keep_snapshots_days", usual.keep_snapshots_days)),
        int(policy.get("keep_images", usual.keep_images)),
        float(policy.get("keep_images_days", usual.keep_images_days)),
    )


def _operations(
    session: Session, found: Iterable[FoundResource], rows: Iterable[Resource]
) -> dict[str, OperationFacts]:
    named = {one.operation_id for one in found} | {row.operation_id for row in rows}
    operations = records.operations_by_id(session, named - {""})
    return {one: OperationFacts(one, server, status) for one, server, status in operations}
