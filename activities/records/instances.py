"""Records of instances, and the commit: who is primary."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import select

from activities.records import reliability
from activities.records.entry import RecordEntry
from db.event_log.writing import NewEvent
from db.tables import Instance
from domain.instance_states import ENDED, IllegalMove, InstanceState, change_state
from domain.pools import Pool

_S = InstanceState
_INSTANTS = ("launch_requested_at", "launch_confirmed_at", "terminate_requested_at", "terminate_confirmed_at")
_TEXTS = {"private_ip": 64, "spot_request_id": 64, "reason": 1000}
_ROLES = {"primary", "replica"}
# us-east-1a, us-gov-west-1b, and the local zone us-west-2-lax-1a
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
# A record may leave out states in between: a replica is promoted in the commit itself, and AWS terminates instances
# by itself.
_BETWEEN = {_S.RUNNING_PRIMARY: _S.PROMOTING, _S.TERMINATED: _S.TERMINATING}


def changed(entry: RecordEntry) -> list[NewEvent]:
    """What is known of an instance: keys that are present are set, the others stay."""
    state = InstanceState(entry.payload["state"])
    row = _locked(entry, entry.text("instance_id", 64))
    if row is None:
        row = _insert(entry, entry.text("instance_id", 64), state)
        _describe(entry, row)
        _settle_role(entry, row)
        _keep_role(entry, row)
        if entry.payload.get("launch_confirmed_at"):
            reliability.record_launch(entry, row)
        entry.session.flush()
        return [_event(entry, row, state.value)]
    events = _go(entry, row, state, lambda: _describe(entry, row))
    _settle_role(entry, row)
    _keep_role(entry, row)
    if not events and entry.session.is_modified(row):
        events = [_event(entry, row, "changed")]
    if events:
        _touch(entry, row)
    if entry.payload.get("launch_confirmed_at"):
        reliability.record_launch(entry, row)
    return events


def committed(entry: RecordEntry) -> list[NewEvent]:
    """The new primary takes over from the former one. It is one transaction, so there are never two.

    The former one is changed first, for the unique constraint checks each statement.
    """
    instance_id = entry.text("instance_id", 64)
    former_id = entry.text("former_instance_id", 64)
    new = _locked(entry, instance_id)
    events: list[NewEvent] = []
    for former in _formers(entry, instance_id, former_id):
        events += _step_down(entry, former)
    entry.session.flush()
    if new is None:
        new = _insert(entry, instance_id, _S.RUNNING_PRIMARY)
        _keep_role(entry, new)
        events.append(_event(entry, new, new.state))
        return events
    arrived = _go(entry, new, _S.RUNNING_PRIMARY)
    new.role = "primary"
    _keep_role(entry, new)
    _touch(entry, new)
    return [*events, *(arrived or [_event(entry, new, "changed")])]


def _formers(entry: RecordEntry, instance_id: str, former_id: str) -> list[Instance]:
    query = select(Instance).where(Instance.server_id == entry.batch.server_id, Instance.id != instance_id)
    serving = (Instance.primary_of == entry.batch.server_id) | (Instance.id == former_id)
    return list(entry.session.scalars(query.where(serving).with_for_update()))


def _step_down(entry: RecordEntry, former: Instance) -> list[NewEvent]:
    stated = entry.text("former_state")
    former.role = "replica" if stated == _S.RUNNING_REPLICA else None
    _keep_role(entry, former)
    _touch(entry, former)
    if not stated:
        return [_event(entry, former, "changed")]
    try:
        return _go(entry, former, InstanceState(stated)) or [_event(entry, former, "changed")]
    except IllegalMove as error:
        # The commit counts, whatever became of the former primary.
        return [rejection(entry, str(error), former.id)]


def rejection(entry: RecordEntry, reason: str, instance_id: str | None = None) -> NewEvent:
    """The event of a record that could not be applied. It has all of the record, so that nothing is lost."""
    return entry.event(
        "record_rejected",
        instance_id=instance_id or entry.text("instance_id", 64) or None,
        kind=str(entry.record.kind),
        stream=entry.batch.stream,
        seq=entry.record.seq,
        reason=reason[:1000],
        record=entry.payload,
    )


def _locked(entry: RecordEntry, instance_id: str) -> Instance | None:
    return entry.session.get(Instance, (instance_id, entry.batch.server_id), with_for_update=True)


def _insert(entry: RecordEntry, instance_id: str, state: InstanceState) -> Instance:
    if not instance_id:
        raise ValueError("the record names no instance")
    row = Instance(
        id=instance_id,
        server_id=entry.batch.server_id,
        client_id=entry.batch.client_id,
        state=state.value,
        created_at=entry.at,
        updated_at=entry.at,
        operation_id=entry.operation_id or None,
        role="primary" if state is _S.RUNNING_PRIMARY else None,
    )
    entry.session.add(row)
    return row


def _path(now: InstanceState, then: InstanceState) -> list[InstanceState]:
    """The states that an instance passes on its way. Empty: it is there already. Raises IllegalMove."""
    if now is then:
        return []
    between = _BETWEEN.get(then)
    try:
        return [change_state(now, then)]
    except IllegalMove:
        if between is None or between is now:
            raise
        change_state(now, between)
        return [between, change_state(between, then)]


def _go(entry: RecordEntry, row: Instance, then: InstanceState, describe: Any = None) -> list[NewEvent]:
    """Move the instance, with an event for each state that it comes to."""
    path = _path(InstanceState(row.state), then)
    if describe is not None:
        describe()
    events = []
    for state in path:
        former, row.state = row.state, state.value
        _settle_role(entry, row)
        events.append(_event(entry, row, state.value, former_state=former))
    return events


def _settle_role(entry: RecordEntry, row: Instance) -> None:
    """The role is in the record, or follows from the state: an instance that ends has none."""
    state = InstanceState(row.state)
    if state in ENDED or state is _S.TERMINATING:
        row.role = None
    elif (said := entry.payload.get("role")) is not None and entry.text("instance_id") == row.id:
        row.role = said if said in _ROLES else None
    elif state is _S.RUNNING_REPLICA:
        row.role = "replica"
    elif state is _S.RUNNING_PRIMARY:
        row.role = "primary"


def _keep_role(entry: RecordEntry, row: Instance) -> None:
    """When it became what. The ledger of savings tells the time of a primary from that of a replica, and overlap."""
    known = row.roles or []
    if (known[-1][1] if known else None) != row.role:
        row.roles = [*known, [entry.at.isoformat(), row.role]]


def _describe(entry: RecordEntry, row: Instance) -> None:
    for key, limit in _TEXTS.items():
        if entry.payload.get(key) is not None:
            setattr(row, key, entry.text(key, limit))
    for key in _INSTANTS:
        if (when := entry.instant(key)) is not None:
            setattr(row, key, when)
    if entry.payload.get("usd_per_hour") is not None:
        row.usd_per_hour = float(entry.payload["usd_per_hour"])
    if entry.payload.get("pool"):
        _place(row, Pool.parse(entry.text("pool", 128)))


def _place(row: Instance, pool: Pool) -> None:
    row.pool = str(pool)
    row.zone = pool.zone
    row.region = region_of(pool.zone)
    row.instance_type = pool.instance_type
    row.lifecycle = pool.lifecycle.value


def region_of(zone: str) -> str:
    found = _REGION.match(zone)
    return found.group() if found else ""


def _touch(entry: RecordEntry, row: Instance) -> None:
    row.updated_at = entry.at
    row.operation_id = entry.operation_id or row.operation_id


def _event(entry: RecordEntry, row: Instance, what: str, **more: Any) -> NewEvent:
    return entry.event(
        f"instance.{what}",
        instance_id=row.id,
        state=row.state,
        role=row.role,
        pool=row.pool,
        zone=row.zone,
        private_ip=row.private_ip,
        spot_request_id=row.spot_request_id,
        usd_per_hour=row.usd_per_hour,
        reason=row.reason,
        launch_duration_seconds=_seconds(row.launch_requested_at, row.launch_confirmed_at),
        termination_duration_seconds=_seconds(row.terminate_requested_at, row.terminate_confirmed_at),
        **{key: when.isoformat() for key in _INSTANTS if (when := getattr(row, key)) is not None},
        **more,
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    """The same as the generated columns, which the database computes only after the write."""
    return (end - start).total_seconds() if start and end else None
