"""Tells which agents have fallen silent, as long as they could be heard: API and database were there all the while.

It also counts them: how seldom they are to be heard depends on how many there are (`domain.heartbeats`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from api.services import Services
from db.fleet.agents import mark_silent_agents
from db.fleet.instances import count_live_instances
from domain.heartbeats import MISSED_HEARTBEATS

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0
BREAK_S = 2 * CHECK_EVERY_S  # without an answer of the database: heartbeats were lost, or waited as we did


async def report_silent_agents(services: Services) -> None:
    """Every few seconds, for good."""
    listening = SilenceCheck(services)
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        await listening.look()


class SilenceCheck:
    """Since when heartbeats have been taken without a break; a break is nobody's silence but ours."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._since = self._answered_at = clock()

    async def look(self) -> None:
        """Ask the database how many there are and, if it has given them for long enough, for who is silent."""
        try:
            self._services.heartbeat_rate.hosts = await self._services.database.read(count_live_instances)
            if self._for_long():
                await asyncio.to_thread(mark_silent_agents, self._services.database.sessions, datetime.now(UTC))
        except Exception as error:
            # The database may be away for a while: nobody could be heard, whatever it says afterwards.
            log.info("silent agents could not be looked for: %s", error)
            self._since = self._clock()

    def _for_long(self) -> bool:
        now = self._clock()
        if now - self._answered_at > BREAK_S:
            self._since = now
        self._answered_at = now
        return now - self._since >= MISSED_HEARTBEATS * self._services.heartbeat_rate.interval_s + CHECK_EVERY_S
