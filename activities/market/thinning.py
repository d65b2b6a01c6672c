"""Deletes old records of the market: whole partitions of observations, and rows of the other tiers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio import activity

from activities.database_errors import database_unavailable
from activities.ec2.heartbeats import heartbeats
from db.autopilot.experiences import forget_experiences
from db.engine.session import SessionFactory, in_transaction
from db.market import thinning
from db.market.partitions import RotationBusy
from domain.market import contract


class MarketThinning:
    def __init__(self, sessions: SessionFactory, engine: Engine) -> None:
        self._sessions = sessions
        self._engine = engine

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.thin_out]

    @activity.defn(name=contract.THIN_OUT, no_thread_cancel_exception=True)
    def thin_out(self, given: contract.ThinOutInput) -> contract.ThinOutResult:
        now = datetime.now(UTC)
        with database_unavailable("thinning out prices"), heartbeats():
            in_transaction(self._sessions, lambda session: forget_experiences(session, now))
            return contract.ThinOutResult(
                partitions=self._rotate(now, timedelta(days=given.observations)),
                consolidated=thinning.thin_consolidated(self._sessions, now, timedelta(days=given.consolidated)),
                canonical=thinning.thin_canonical(self._sessions, now, timedelta(days=given.canonical)),
                set_aside=thinning.thin_set_aside(self._sessions, now),
                corrections=thinning.thin_corrections(self._sessions, now),
                facts=thinning.thin_facts(self._sessions, now),
            )

    def _rotate(self, now: datetime, keep: timedelta) -> list[str]:
        try:
            return thinning.thin_observations(self._engine, now, keep)
        except RotationBusy:
            return []  # another process is doing it
