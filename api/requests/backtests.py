"""A request for a backtest, checked: its servers, its period, and whether there are prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from api.http.problems import CONFLICT, CONTRADICTION, INVALID, NO_DATA, NOT_FOUND, FieldError, Problem
from api.requests.policies import wish_of
from api.views.backtests import BacktestRequest
from db.autopilot.backtests import (
    BacktestServer,
    backtest_servers,
    count_unfinished_backtests,
    create_backtest,
    priced_period,
)
from db.tables import BacktestRow, Client, ModelRow
from domain.autopilot.policy import AutopilotPreferences, Contradiction, check_policy, resolve_policy
from domain.backtest.contract import MOST_SERVERS, MOST_UNDER_WAY, BacktestState
from domain.forecasting.forecaster import ForecasterState

_WISH = TypeAdapter(AutopilotPreferences)


def store_backtest(
    session: Session,
    client_id: str,
    backtest_id: str,
    digest: str,
    body: BacktestRequest,
    requested_by: str,
    now: datetime,
) -> BacktestRow:
    """The row of the request, new or already there. Raise a Problem if it cannot be run."""
    if (known := session.get(BacktestRow, backtest_id)) is not None:
        return known
    try:
        since, until = body.period(now)
    except ValueError as error:
        raise Problem(INVALID, str(error), errors=[FieldError(field="body", message=str(error))]) from error
    if (count := count_unfinished_backtests(session, client_id)) >= MOST_UNDER_WAY:
        raise Problem(CONFLICT, f"{count} backtests of yours wait or run; cancel one, or ask again when one has ended")
    servers = _servers(session, client_id, body.servers)
    _priced(session, servers, since, until)
    _model(session, body.model_id)
    return create_backtest(
        session,
        BacktestRow(
            id=backtest_id,
            client_id=client_id,
            state=BacktestState.QUEUED.value,
            server_ids=[one.server_id for one in servers],
            from_at=since,
            until_at=until,
            asked=_asked(session, client_id, body),
            model_id=body.model_id,
            body_digest=digest,
            requested_at=now,
            requested_by=requested_by,
        ),
    )


def _servers(session: Session, client_id: str, named: Sequence[str]) -> list[BacktestServer]:
    mine = backtest_servers(session, client_id)
    unknown = [name for name in named if not any(name in (one.server_id, one.name) for one in mine)]
    if unknown:
        raise Problem(NOT_FOUND, f"there is no active server {', '.join(unknown)}")
    chosen = [one for one in mine if not named or one.server_id in named or one.name in named]
    if not chosen:
        raise Problem(NO_DATA, "you have no active server; adopt or launch one first")
    if len(chosen) > MOST_SERVERS:
        raise Problem(INVALID, f"{len(chosen)} servers; {MOST_SERVERS} can be replayed at once: name some of them")
    return chosen


def _priced(session: Session, servers: Sequence[BacktestServer], since: datetime, until: datetime) -> None:
    """Raise a Problem unless one of the regions has prices then. The result says what is missing in the others."""
    types: defaultdict[str, set[str]] = defaultdict(set)
    for one in servers:
        types[one.region].add(one.instance_type)
    known = {region: priced_period(session, region, names) for region, names in types.items()}
    if any(span and span[0] < until and (span[1] is None or span[1] > since) for span in known.values()):
        return
    raise Problem(NO_DATA, f"from {_said(since)} to {_said(until)}: {'; '.join(_has(*one) for one in known.items())}")


def _has(region: str, span: tuple[datetime, datetime | None] | None) -> str:
    if span is None:
        return f"{region} has no spot prices of your servers' types at all; they are collected from now on"
    return f"{region} has prices from {_said(span[0])} to {_said(span[1]) if span[1] else 'now'}; ask for a time within"


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _model(session: Session, model_id: str) -> None:
    row = session.get(ModelRow, model_id) if model_id else None
    if model_id and (row is None or row.state == ForecasterState.RETIRED):
        raise Problem(NOT_FOUND, f"there is no model {model_id} that can be run")


def _asked(session: Session, client_id: str, body: BacktestRequest) -> dict[str, Any]:
    """The changed fields of the policy; raise a Problem when they contradict each other."""
    wish = body.policy.over(AutopilotPreferences())
    try:
        check_policy(resolve_policy(wish, wish_of(session.get(Client, client_id))))
    except Contradiction as error:
        raise Problem(CONTRADICTION, str(error)) from error
    changed: dict[str, Any] = _WISH.dump_python(wish, mode="json", exclude_none=True)
    return changed
