"""Models, for people and for the autopilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import ModelRow, ModelShadow, ModelUse
from domain.forecasting.forecaster import ForecasterState


@dataclass(frozen=True)
class ShadowResults:
    """All days of a client under a model in shadow, or deciding."""

    client_id: str
    decisions: int
    agreed: int
    fell_back: int
    cost_usd: float
    built_in_cost_usd: float


@dataclass(frozen=True)
class RunningModel:
    """A model that is run in every pass. `active_for`: clients whose decisions it informs."""

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
