"""Decisions of the autopilot, for people."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.paging import Page, fetch_page, of_client
from db.tables import DecisionRow


def list_decisions(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DecisionRow]:
    """Newest first, by when each was first made."""
    query = of_client(select(DecisionRow), DecisionRow.client_id, client_id)
    if server_id is not None:
        query = query.where(DecisionRow.server_id == server_id)
    if state is not None:
        query = query.where(DecisionRow.state == state)
    return fetch_page(session, query, DecisionRow.at, DecisionRow.id, cursor, limit)


def get_decision(session: Session, client_id: str | None, decision_id: str) -> DecisionRow | None:
    query = of_client(select(DecisionRow).where(DecisionRow.id == decision_id), DecisionRow.client_id, client_id)
    return session.scalar(query)


class PoolForecast(NamedTuple):
    """Of an instance in a pool: how often it would be lost, and what that is reckoned to cost, USD per hour."""

    losses_per_h: float
    risk_usd_per_h: float | None


def pool_forecasts(session: Session, client_id: str, server_id: str) -> dict[str, PoolForecast]:
    """By pool, as the server's latest decision has them: where it is, and the best others."""
    query = select(DecisionRow.figures).where(
        DecisionRow.latest_server_id == server_id, DecisionRow.client_id == client_id
    )
    figures = session.scalar(query) or {}
    shown = [figures.get("here") or {}, *(figures.get("candidates") or [])]
    return {
        one["pool"]: PoolForecast(float(one["losses_per_h"]), one.get("risk_usd_per_h"))
        for one in shown
        if one.get("losses_per_h") is not None
    }
