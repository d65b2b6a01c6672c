"""The fleet page's query: a page of servers in five statements, as plain rows and not as objects.

The page is read beside the stream of events. `as_of` is read before the rows: the rows may already contain what a later
event says, and applying that event again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Row, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.engine.paging import decode_cursor, encode_cursor, of_client
from db.event_log.reading import latest_seq
from db.tables import Agent, Client, DecisionRow, Instance, OnDemandPriceRow, Operation, OperationStep, PoolRow, Server
from domain.instance_states import InstanceState
from domain.operations import OperationStatus

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

MAX_ROWS = 1_000
_FEW = 200
_BESIDE = [state.value for state in InstanceState if state.name not in ("RUNNING_PRIMARY", "TERMINATED", "RELEASED")]
_UNFINISHED = (OperationStatus.QUEUED.value, OperationStatus.RUNNING.value)


@dataclass(frozen=True)
class FleetPageRows:
    """`servers`: named columns of `_servers`. By server: `beside`, live instances other than its primary;
    `unfinished`, operations that run or wait; `last`, the operation asked for last. By operation: `steps`, the step
    that runs. `as_of`: the number of the client's latest event; None: of all clients.
    """

    servers: Sequence[AnyRow]
    beside: dict[str, list[AnyRow]]
    unfinished: dict[str, list[AnyRow]]
    last: dict[str, AnyRow]
    steps: dict[str, AnyRow]
    as_of: int | None
    next_cursor: str | None


def read_fleet_page(
    session: Session,
    client_id: str | None,
    *,
    server_ids: Collection[str] = (),
    cursor: str | None = None,
    limit: int = MAX_ROWS,
) -> FleetPageRows:
    """Active servers, newest first; or those that are named, in any state."""
    as_of = latest_seq(session, client_id) if client_id is not None else None
    found = session.execute(_page(client_id, server_ids, cursor, limit)).all()
    shown = found[:limit]
    if not shown:
        return FleetPageRows((), {}, {}, {}, {}, as_of, None)
    ids = {row.id for row in shown}
    if len(ids) <= _FEW:
        server_ids = (
            ids  # by their own index; otherwise all unfinished operations of the client are read, which are few
        )
    unfinished = session.execute(_unfinished(client_id, server_ids)).all()
    running = [row.id for row in unfinished if row.status == OperationStatus.RUNNING and row.server_id in ids]
    last = session.execute(_operations().where(Operation.id.in_([row.last_id for row in shown if row.last_id])))
    return FleetPageRows(
        shown,
        _by_server(session.execute(_beside(client_id, server_ids)).all(), ids),
        _by_server(unfinished, ids),
        {row.server_id: row for row in last},
        {row.operation_id: row for row in session.execute(_steps(running))} if running else {},
        as_of,
        encode_cursor(shown[-1].created_at, shown[-1].id) if len(found) > limit else None,
    )


def _by_server(rows: Sequence[AnyRow], ids: Collection[str]) -> dict[str, list[AnyRow]]:
    found: dict[str, list[AnyRow]] = {}
    for row in rows:
        if row.server_id in ids:
            found.setdefault(row.server_id, []).append(row)
    return found


def _page(
    client_id: str | None, server_ids: Collection[str], cursor: str | None, limit: int
) -> Select[*tuple[Any, ...]]:
    query = of_client(_servers(), Server.client_id, client_id)
    query = query.where(Server.id.in_(server_ids)) if server_ids else query.where(Server.state == "active")
    if cursor is not None:
        when, last = decode_cursor(cursor)
        query = query.where(Server.created_at <= when, or_(Server.created_at < when, Server.id < last))
    return query.order_by(Server.created_at.desc(), Server.id.desc()).limit(limit + 1)


@cache  # building it takes as long as the database takes to answer
def _servers() -> Select[*tuple[Any, ...]]:
    """One row for each server: its primary, its pool's price now, its latest decision, its last operation."""
    primary = aliased(Instance)
    # Reads the end of the server's part of the index, not all of its operations.
    latest = (
        select(Operation.id)
        .where(Operation.server_id == Server.id)
        .order_by(Operation.requested_at.desc(), Operation.id.desc())
        .limit(1)
        .correlate(Server)
        .scalar_subquery()
    )
    # For servers without a decision yet: the price of the present type, for Linux.
    on_demand = (
        select(OnDemandPriceRow.usd_per_hour)
        .where(
            OnDemandPriceRow.region == Server.region,
            OnDemandPriceRow.instance_type == primary.instance_type,
            OnDemandPriceRow.platform == "Linux/UNIX",
        )
        .order_by(OnDemandPriceRow.valid_from.desc())
        .limit(1)
        .correlate(Server, primary)
        .scalar_subquery()
    )
    return (
        select(
            Server.id,
            Server.client_id,
            Server.name,
            Server.region,
            Server.handoff,
            Server.state.label("life"),
            func.json_extract(Server.policy, "$.autopilot").label("own_autopilot"),  # the rest is long
            Server.created_at,
            Client.autopilot.label("client_autopilot"),
            primary.id.label("instance_id"),
            primary.state.label("instance_state"),
            primary.pool,
            primary.zone,
            primary.instance_type,
            primary.lifecycle,
            primary.usd_per_hour.label("launched_at_usd"),
            func.coalesce(primary.launch_confirmed_at, primary.created_at).label("running_since"),
            Agent.seen_at.label("agent_seen_at"),
            Agent.due_at.label("agent_due_at"),
            PoolRow.usd_per_hour.label("pool_usd"),
            on_demand.label("own_on_demand_usd"),
            PoolRow.notices.label("pool_notices"),
            PoolRow.capacity_failures.label("pool_failures"),
            DecisionRow.id.label("decision_id"),
            DecisionRow.kind.label("decision_kind"),
            DecisionRow.reason.label("decision_reason"),
            DecisionRow.held_by.label("decision_held_by"),
            DecisionRow.state.label("decision_state"),
            DecisionRow.from_pool.label("decision_from"),
            DecisionRow.to_pool.label("decision_to"),
            DecisionRow.last_at.label("decision_at"),
            func.json_value(DecisionRow.figures, "$.here.losses_per_h").label("losses_per_h"),
            func.json_value(DecisionRow.figures, "$.on_demand_usd_per_h").label("home_on_demand_usd"),
            latest.label("last_id"),
        )
        .join(Client, Client.id == Server.client_id)
        .outerjoin(primary, primary.primary_of == Server.id)
        .outerjoin(Agent, and_(Agent.client_id == primary.client_id, Agent.instance_id == primary.id))
        .outerjoin(PoolRow, PoolRow.id == primary.pool)
        .outerjoin(DecisionRow, DecisionRow.latest_server_id == Server.id)
    )


def _beside(client_id: str | None, server_ids: Collection[str]) -> Select[*tuple[Any, ...]]:
    query = (
        select(
            Instance.id,
            Instance.server_id,
            Instance.state,
            Instance.role,
            Instance.pool,
            Instance.usd_per_hour,
            Instance.created_at,
            Instance.updated_at,
            Instance.launch_requested_at,
            Instance.terminate_requested_at,
            Agent.seen_at.label("agent_seen_at"),
            Agent.due_at.label("agent_due_at"),
        )
        .outerjoin(Agent, and_(Agent.client_id == Instance.client_id, Agent.instance_id == Instance.id))
        .where(Instance.state.in_(_BESIDE))
    )
    query = of_client(query, Instance.client_id, client_id)
    return query.where(Instance.server_id.in_(server_ids)) if server_ids else query


def _unfinished(client_id: str | None, server_ids: Collection[str]) -> Select[*tuple[Any, ...]]:
    query = of_client(_operations().where(Operation.status.in_(_UNFINISHED)), Operation.client_id, client_id)
    return query.where(Operation.server_id.in_(server_ids)) if server_ids else query


@cache
def _operations() -> Select[*tuple[Any, ...]]:
    """Without their receipts, which are long."""
    return select(
        Operation.id,
        Operation.server_id,
        Operation.kind,
        Operation.status,
        Operation.requested_by,
        Operation.requested_at,
        Operation.started_at,
        Operation.finished_at,
        Operation.asked_pool,
        Operation.reason,
        Operation.attention,
        Operation.attention_reason,
    )


def _steps(operation_ids: Collection[str]) -> Select[*tuple[Any, ...]]:
    """The steps that run, in the order they began."""
    query = select(OperationStep.operation_id, OperationStep.name, OperationStep.started_at)
    query = query.where(OperationStep.operation_id.in_(operation_ids), OperationStep.ended_at.is_(None))
    return query.order_by(OperationStep.operation_id, OperationStep.position)
