"""Forecast models: registered, activated, rolled back, compared, read.

Every function is part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent, append_events
from db.tables import BacktestRow, ModelRow, ModelShadow, ModelUse
from domain.autopilot.shadow_comparison import ShadowComparison
from domain.backtest.contract import BacktestState
from domain.forecasting.forecaster import MOST_IN_SHADOW, PROOF_AGE_DAYS, PROOF_DAYS, ForecasterState
from domain.names import new_id

_FAILURE = 500


class ModelRegistryError(Exception):
    """The change is refused; nothing was changed.

    ├── ModelUnproven        no backtest of the client's shows it to be better than the built-in policy
    └── ModelStateConflict   not in the present state; the message says what to do first
    """


class ModelUnproven(ModelRegistryError):
    pass


class ModelStateConflict(ModelRegistryError):
    pass


def register(session: Session, row: ModelRow) -> ModelRow:
    """The model of the file: a new one, or the one that it is already. Raise ModelStateConflict for too many models."""
    known = session.scalar(select(ModelRow).where(ModelRow.sha256 == row.sha256))
    if known is not None:
        return known
    living = session.scalar(select(func.count()).where(ModelRow.state == ForecasterState.SHADOW.value)) or 0
    if living >= MOST_IN_SHADOW:
        raise ModelStateConflict(f"{living} models are registered and run in every pass; retire one first")
    session.add(row)
    session.flush()
    return row


def retire(session: Session, model_id: str, by: str, now: datetime) -> ModelRow | None:
    """Stop running the model; its clients go back to the built-in policy. None: no such model."""
    row = session.get(ModelRow, model_id, with_for_update=True)
    if row is None:
        return None
    if row.state != ForecasterState.RETIRED:
        row.state, row.retired_at = ForecasterState.RETIRED.value, now
        for use in _open(session, model_id=model_id):
            _end(session, use, by, now, "model.retired")
    return row


def activate(
    session: Session, model_id: str, client_id: str, by: str, now: datetime, *, forced: bool = False, why: str = ""
) -> ModelUse:
    """Let its forecasts inform the client's decisions from now on. Raise ModelUnproven or ModelStateConflict."""
    row = session.get(ModelRow, model_id, with_for_update=True)
    if row is None or row.state != ForecasterState.SHADOW:
        raise ModelStateConflict(f"model {model_id} is retired; register it again")
    uses = _open(session, client_id=client_id)
    if uses and uses[0].model_id == model_id:
        return uses[0]
    proof = _proof(session, model_id, client_id, now)
    if proof is None and not forced:
        raise ModelUnproven(
            f"no backtest on this client's own history shows model {model_id} to be cheaper than the built-in policy: "
            f"run one of {PROOF_DAYS:g} days or more with it first, or force it and say why"
        )
    for use in uses:
        _end(session, use, by, now, "")
    made = ModelUse(
        id=new_id("use"),
        client_id=client_id,
        model_id=model_id,
        began_at=now,
        began_by=by,
        backtest_id=proof or "",
        forced=proof is None,
        why=why,
    )
    session.add(made)
    session.flush()
    payload = {"model_id": model_id, "backtest_id": made.backtest_id, "forced": made.forced, "why": why}
    append_events(session, client_id, [NewEvent("model.activated", now, payload=payload)])
    return made


def roll_back(session: Session, client_id: str, by: str, now: datetime) -> ModelUse | None:
    """Go back to the model before it, if that still runs, else to the built-in policy. None: nothing to undo."""
    uses = _open(session, client_id=client_id)
    if not uses:
        return None
    [use] = uses
    before = None if use.restored else _before(session, use)
    _end(session, use, by, now, "model.rolled_back")
    if before is not None:
        again = ModelUse(
            id=new_id("use"),
            client_id=client_id,
            model_id=before.model_id,
            began_at=now,
            began_by=by,
            backtest_id=before.backtest_id,
            forced=before.forced,
            restored=True,
            why=before.why,
        )
        session.add(again)
        session.flush()
    return use


def _before(session: Session, use: ModelUse) -> ModelUse | None:
    """The use before this one, if its model still runs."""
    query = (
        select(ModelUse)
        .join(ModelRow, ModelRow.id == ModelUse.model_id)
        .where(
            ModelUse.client_id == use.client_id,
            ModelUse.id != use.id,
            ModelUse.ended_at == use.began_at,
            ModelRow.state == ForecasterState.SHADOW.value,
        )
    )
    return session.scalar(query.limit(1))


def record_shadow_results(session: Session, found: Iterable[ShadowComparison], day: date) -> None:
    """Add the results to the sums of the day."""
    for one in sorted(found, key=lambda one: (one.model_id, one.client_id)):
        new = insert(ModelShadow).values(
            model_id=one.model_id,
            client_id=one.client_id,
            day=day,
            decisions=one.decisions,
            agreed=one.agreed,
            fell_back=one.fell_back,
            cost_usd=one.cost_usd,
            built_in_cost_usd=one.built_in_cost_usd,
            failure=one.failure[:_FAILURE],
        )
        counts = ("decisions", "agreed", "fell_back", "cost_usd", "built_in_cost_usd")
        added = {name: getattr(ModelShadow, name) + new.inserted[name] for name in counts}
        if one.failure:
            added["failure"] = new.inserted.failure
        session.execute(new.on_duplicate_key_update(added))


def _proof(session: Session, model_id: str, client_id: str, now: datetime) -> str | None:
    """The ID of the client's newest long enough backtest with the model, if the model was cheaper."""
    rows = session.scalars(
        select(BacktestRow)
        .where(
            BacktestRow.client_id == client_id,
            BacktestRow.model_id == model_id,
            BacktestRow.state == BacktestState.DONE.value,
            BacktestRow.requested_at > now - timedelta(days=PROOF_AGE_DAYS),
        )
        .order_by(BacktestRow.requested_at.desc(), BacktestRow.id)
    )
    for row in rows:
        if (row.until_at - row.from_at).total_seconds() < PROOF_DAYS * 86_400 - 1:
            continue
        costs = {one["policy"]: one["cost_usd"] for one in (row.result or {}).get("policies", [])}
        return row.id if costs.get("model", 1.0) < costs.get("policy", 0.0) else None
    return None


def _open(session: Session, *, client_id: str = "", model_id: str = "") -> list[ModelUse]:
    query = select(ModelUse).where(ModelUse.ended_at.is_(None)).with_for_update()
    if client_id:
        query = query.where(ModelUse.client_id == client_id)
    if model_id:
        query = query.where(ModelUse.model_id == model_id)
    return list(session.scalars(query))


def _end(session: Session, use: ModelUse, by: str, now: datetime, event: str) -> None:
    session.execute(update(ModelUse).where(ModelUse.id == use.id).values(ended_at=now, ended_by=by))
    session.refresh(use)
    if event:
        payload = {"model_id": use.model_id}
        append_events(session, use.client_id, [NewEvent(event, now, payload=payload)])


@dataclass(frozen=True)
class ShadowResults:
    """The sums of all days of a client with a model, in shadow or deciding."""

    client_id: str
    decisions: int
    agreed: int
    fell_back: int
    cost_usd: float
    built_in_cost_usd: float


@dataclass(frozen=True)
class RunningModel:
    """A model that runs in every pass. `active_for`: clients whose decisions it informs."""

    model_id: str
    sha256: str
    features: list[str]
    active_for: frozenset[str]


def list_models(session: Session) -> Sequence[ModelRow]:
    """Newest first, without their files."""
    return session.scalars(select(ModelRow).order_by(ModelRow.registered_at.desc(), ModelRow.id)).all()


def get_model(session: Session, model_id: str) -> ModelRow | None:
    return session.get(ModelRow, model_id)


def uses_of(session: Session, model_id: str, client_id: str | None) -> Sequence[ModelUse]:
    query = select(ModelUse).where(ModelUse.model_id == model_id).order_by(ModelUse.began_at.desc(), ModelUse.id)
    return session.scalars(query if client_id is None else query.where(ModelUse.client_id == client_id)).all()


def shadow_comparisons(session: Session, model_id: str, client_id: str | None) -> list[ShadowResults]:
    row = ModelShadow
    sums = (row.decisions, row.agreed, row.fell_back, row.cost_usd, row.built_in_cost_usd)
    query = select(row.client_id, *map(func.sum, sums)).where(row.model_id == model_id).group_by(row.client_id)
    if client_id is not None:
        query = query.where(row.client_id == client_id)
    return [ShadowResults(one[0], *map(int, one[1:4]), *map(float, one[4:])) for one in session.execute(query)]


def running_models(session: Session) -> list[RunningModel]:
    """Without their files: those are read once, see `content_of`."""
    query = select(ModelRow.id, ModelRow.sha256, ModelRow.features).where(
        ModelRow.state == ForecasterState.SHADOW.value
    )
    rows = session.execute(query.order_by(ModelRow.id)).all()
    if not rows:
        return []
    uses = session.execute(select(ModelUse.model_id, ModelUse.client_id).where(ModelUse.ended_at.is_(None))).all()
    return [
        RunningModel(model_id, sha256, features, frozenset(client for used, client in uses if used == model_id))
        for model_id, sha256, features in rows
    ]


def model_content(session: Session, model_id: str) -> bytes:
    return session.scalars(select(ModelRow.content).where(ModelRow.id == model_id)).one()
