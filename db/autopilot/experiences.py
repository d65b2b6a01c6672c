"""What the autopilot has learnt, kept between its passes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.tables import ExperienceRow
from domain.autopilot.experience import Experience

KEEP = timedelta(days=30)  # after the last server with such needs
_CHUNK = 200


def experiences(session: Session) -> dict[str, Experience]:
    """Experience by key of the needs."""
    return {
        row.key: Experience(row.at.timestamp() / 3600, row.losses, row.expected, row.held)
        for row in session.scalars(select(ExperienceRow))
    }


def keep_experiences(session: Session, learnt: Mapping[str, tuple[Mapping[str, Any], Experience]]) -> None:
    """Keep experience by key, with the needs in words. The later one counts."""
    rows = [
        {
            "key": key,
            "region": needs["region"],
            "needs": dict(needs),
            "losses": one.losses,
            "expected": one.expected,
            "held": {pool: float(f"{hazard:.6g}") for pool, hazard in one.held.items()},
            "at": datetime.fromtimestamp(one.at_h * 3600, UTC),
        }
        for key, (needs, one) in sorted(learnt.items())
    ]
    for first in range(0, len(rows), _CHUNK):
        new = insert(ExperienceRow).values(rows[first : first + _CHUNK])
        values = {name: new.inserted[name] for name in ("losses", "expected", "held", "at")}
        session.execute(new.on_duplicate_key_update(values))


def forget_experiences(session: Session, now: datetime) -> None:
    session.execute(delete(ExperienceRow).where(ExperienceRow.at < now - KEEP))
