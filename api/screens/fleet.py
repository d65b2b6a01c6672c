"""A server's row on the fleet page, made of the rows of `db.fleet.fleet_page`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from api.views.fleet import (
    FleetAutopilot,
    FleetDecision,
    FleetLastOperation,
    FleetPage,
    FleetReplica,
    FleetRunning,
    FleetServer,
    FleetState,
    RiskView,
)
from db.fleet.fleet_page import AnyRow, FleetPageRows, read_fleet_page
from domain.autopilot.policy import AutoSwitch
from domain.operations import OperationKind, OperationStatus
from domain.pools import Lifecycle

HOURS_A_MONTH = 730.0

# States in progress come first, and among them those nearest to serving.
_UNDER_WAY: tuple[tuple[str, FleetState], ...] = (
    ("promoting", "promoting"),
    ("launching", "launching"),
    ("terminating", "terminating"),
)


def fleet_page(
    session: Session, client_id: str | None, server_ids: Collection[str], cursor: str | None, limit: int, now: datetime
) -> FleetPage:
    found = read_fleet_page(session, client_id, server_ids=server_ids, cursor=cursor, limit=limit)
    rows = [_server(row, found, now) for row in found.servers]
    return FleetPage(items=rows, next_cursor=found.next_cursor, as_of=found.as_of, at=now)


def online(due_at: datetime | None, now: datetime) -> bool:
    return due_at is not None and now <= due_at


def _server(row: AnyRow, found: FleetPageRows, now: datetime) -> FleetServer:
    beside, unfinished = found.beside.get(row.id, ()), found.unfinished.get(row.id, ())
    last = found.last.get(row.id)
    running = next((one for one in unfinished if one.status == OperationStatus.RUNNING), None)
    state, since = _state(row, beside)
    return FleetServer(
        id=row.id,
        client_id=row.client_id,
        name=row.name,
        region=row.region,
        handoff=row.handoff,
        state=state,
        since=since,
        instance_id=row.instance_id or "",
        pool=row.pool or "",
        zone=row.zone or "",
        instance_type=row.instance_type or "",
        lifecycle=row.lifecycle or "",
        usd_per_hour=row.pool_usd if row.pool_usd is not None else row.launched_at_usd,
        on_demand_usd_per_hour=_number(row.home_on_demand_usd) or _number(row.own_on_demand_usd),
        agent_online=online(row.agent_due_at, now),
        agent_seen_at=row.agent_seen_at,
        risk=_risk(row),
        replica=_replica(beside, now),
        running=_running(running, found),
        queued=sum(1 for one in unfinished if one.status == OperationStatus.QUEUED),
        last_operation=_last(last),
        attention=_attention(last, unfinished),
        autopilot=_autopilot(row, now),
        decision=_decision(row),
        created_at=row.created_at,
    )


def _state(row: AnyRow, beside: Sequence[AnyRow]) -> tuple[FleetState, datetime | None]:
    if row.life != "active":
        return "ended", None
    for state, said in _UNDER_WAY:
        since = [_since(one) for one in beside if one.state == state]
        if since:
            return said, max(since)
    if row.instance_id:
        return ("failed" if row.instance_state == "failed" else "running"), row.running_since
    return ("failed", max(one.updated_at for one in beside)) if beside else ("none", None)


def _since(one: AnyRow) -> datetime:
    if one.state == "launching":
        return one.launch_requested_at or one.created_at  # type: ignore[no-any-return]  # a row's columns are untyped
    if one.state == "terminating":
        return one.terminate_requested_at or one.updated_at  # type: ignore[no-any-return]
    return one.updated_at  # type: ignore[no-any-return]


def _risk(row: AnyRow) -> RiskView | None:
    if row.lifecycle == Lifecycle.ON_DEMAND:
        return RiskView(losses_per_hour=0.0, losses_per_month=0.0, reason="on-demand capacity is not interrupted")
    losses = _number(row.losses_per_h) if row.decision_from == row.pool else None
    if losses is None:
        return None
    month = losses * HOURS_A_MONTH
    seen = _counted(row.pool_notices, "notice") + _counted(row.pool_failures, "refused launch")
    lived = f"; {' and '.join(seen)} seen in this pool" if seen else "; nothing seen in this pool yet"
    return RiskView(
        losses_per_hour=losses, losses_per_month=month, reason=f"expected {_often(month)}, by price and history{lived}"
    )


def _often(month: float) -> str:
    return (
        f"{month:.1f} times a month" if month >= 1 else f"once in {1 / month:.0f} months" if month > 0.001 else "never"
    )


def _counted(count: int | None, what: str) -> list[str]:
    plural = "es" if what.endswith("h") else "s"
    return [f"{count} {what}{'' if count == 1 else plural}"] if count else []


def _replica(beside: Sequence[AnyRow], now: datetime) -> FleetReplica | None:
    one = next((one for one in beside if one.role == "replica"), None)
    if one is None:
        return None
    return FleetReplica(
        instance_id=one.id,
        pool=one.pool,
        state=one.state,
        usd_per_hour=one.usd_per_hour,
        agent_online=online(one.agent_due_at, now),
    )


def _running(one: AnyRow | None, found: FleetPageRows) -> FleetRunning | None:
    if one is None:
        return None
    step = found.steps.get(one.id)
    return FleetRunning(
        id=one.id,
        kind=OperationKind(one.kind),
        status=OperationStatus(one.status),
        requested_by=one.requested_by,
        requested_at=one.requested_at,
        started_at=one.started_at,
        asked_pool=one.asked_pool,
        step=step.name if step else None,
        step_started_at=step.started_at if step else None,
    )


def _last(one: AnyRow | None) -> FleetLastOperation | None:
    if one is None:
        return None
    return FleetLastOperation(
        id=one.id,
        kind=OperationKind(one.kind),
        status=OperationStatus(one.status),
        reason=one.reason,
        requested_at=one.requested_at,
        finished_at=one.finished_at,
    )


def _attention(last: AnyRow | None, unfinished: Sequence[AnyRow]) -> str | None:
    """Why a person should look: an operation that is stuck, or the last one ended so."""
    stuck = next((one for one in (*unfinished, last) if one is not None and one.attention), None)
    return (stuck.attention_reason or stuck.reason or f"{stuck.kind} needs attention") if stuck else None


def _autopilot(row: AnyRow, now: datetime) -> FleetAutopilot:
    own, clients = json.loads(row.own_autopilot or "{}") or {}, row.client_autopilot or {}
    said = {**clients, **{name: value for name, value in own.items() if value is not None}}
    until = said.get("frozen_until")
    frozen = bool(said.get("frozen")) or bool(until and now < _instant(until))
    return FleetAutopilot(mode=AutoSwitch(said.get("auto_switch") or AutoSwitch.OFF), frozen=frozen)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _decision(row: AnyRow) -> FleetDecision | None:
    if row.decision_id is None:
        return None
    return FleetDecision(
        id=row.decision_id,
        kind=row.decision_kind,
        reason=row.decision_reason,
        held_by=row.decision_held_by,
        state=row.decision_state,
        to_pool=row.decision_to,
        at=row.decision_at,
    )


def _number(text: str | float | Decimal | None) -> float | None:
    return None if text is None else float(text)
