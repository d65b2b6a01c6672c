"""Reports agents that have fallen silent. It does so only while API and database have been there all the time.

It also counts the instances: the interval of heartbeats depends on their number (`domain.heartbeats`).
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
BREAK_S = 2 * CHECK_EVERY_S  # after so long without an answer of the database, heartbeats may have been lost


async def report_silent_agents(services: Services) -> None:
    """Check every few seconds, until cancelled."""
    listening = SilenceCheck(services)
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        await listening.check()


class SilenceCheck:
    """Knows since when heartbeats could be received without a break. During a break no agent counts as silent."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._since = self._answered_at = clock()

    async def check(self) -> None:
        """Count the instances, and mark silent agents if heartbeats could be received for long enough."""
        try:
            self._services.heartbeat_rate.hosts = await self._services.database.read(count_live_instances)
            if self._for_long():
                await asyncio.to_thread(mark_silent_agents, self._services.database.sessions, datetime.now(UTC))
        except Exception as error:
            # While the database is down no heartbeat is received: a new count of time begins.
            log.info("silent agents could not be looked for: %s", error)
            self._since = self._clock()

    def _for_long(self) -> bool:
        now = self._clock()
        if now - self._answered_at > BREAK_S:
            self._since = now
        self._answered_at = now
        return now - self._since >= MISSED_HEARTBEATS * self._services.heartbeat_rate.interval_s + CHECK_EVERY_S
