"""What AWS says about the risk in a pool: placement scores, and bands of the Spot Advisor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.tables import AdvisorBand, PlacementScore
from domain.market.placement_scores import PoolScore, latest_scores
from domain.market.spot_advisor import InterruptionBand

_LONGEST_KEY = 191


def types_key(types: Iterable[str]) -> str:
    """The types that a score was asked for, sorted; a digest of them if they are too many for the column."""
    spelt = ",".join(sorted(set(types)))
    return spelt if len(spelt) <= _LONGEST_KEY else f"sha256:{hashlib.sha256(spelt.encode()).hexdigest()}"


def keep_scores(session: Session, region: str, types: Iterable[str], scores: Mapping[str, int], at: datetime) -> None:
    """Keep scores by zone, 1 to 10, as of `at`. Raise ValueError for another number."""
    if strange := {zone: score for zone, score in scores.items() if not 1 <= score <= 10}:
        raise ValueError(f"placement scores go from 1 to 10: {strange}")
    key = types_key(types)
    rows = [
        {"region": region, "zone": zone, "types_key": key, "at": at, "score": scores[zone]} for zone in sorted(scores)
    ]
    _upsert(session, PlacementScore, rows, "score")


def scores_of_types(
    session: Session, region: str, since: datetime, until: datetime
) -> dict[tuple[str, str], PoolScore]:
    """(zone, type) -> the latest score by then, and by how much it has fallen; see domain.market.placement_scores."""
    row = PlacementScore
    query = select(row.types_key, row.zone, row.score).where(
        row.region == region, row.at >= since, row.at <= until, row.types_key.not_like("sha256:%")
    )
    told = session.execute(query.order_by(row.at, row.types_key, row.zone)).all()
    return latest_scores((key.split(","), zone, score) for key, zone, score in told)


def keep_bands(session: Session, bands: Iterable[InterruptionBand]) -> int:
    rows = [
        {"region": one.region, "instance_type": one.instance_type, "as_of": one.as_of, "band": one.band}
        for one in bands
    ]
    rows.sort(key=lambda row: (row["region"], row["instance_type"], row["as_of"]))
    _upsert(session, AdvisorBand, rows, "band")
    return len(rows)


def bands_of(session: Session, region: str, at: datetime) -> dict[str, int]:
    """Type -> band, 0 to 4, of the newest snapshot by then, so that a decision about the past sees nothing newer."""
    row = AdvisorBand
    newest = select(func.max(row.as_of)).where(row.region == region, row.as_of <= at).scalar_subquery()
    query = select(row.instance_type, row.band).where(row.region == region, row.as_of == newest)
    return dict(session.execute(query).all())


def _upsert(session: Session, table: type[Any], rows: list[dict[str, Any]], value: str) -> None:
    if rows:
        new = insert(table)
        session.execute(new.on_duplicate_key_update({value: new.inserted[value]}), rows)
