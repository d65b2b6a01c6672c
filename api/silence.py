"""Tells which agents have fallen silent, as long as the API itself is there to hear them."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from api.services import Services
from db.silence import SILENT_AFTER, tell_silent

log = logging.getLogger(__name__)

EVERY_S = 5.0


async def watch_silence(services: Services) -> None:
    """Every few seconds. Not at once: while the API was down nobody could be heard."""
    await asyncio.sleep(SILENT_AFTER.total_seconds() + EVERY_S)
    while True:
        try:
            await asyncio.to_thread(tell_silent, services.database.sessions, datetime.now(UTC))
        except Exception as error:
            # The database may be away for a while; the next look finds what this one would have.
            log.info("silent agents could not be looked for: %s", error)
        await asyncio.sleep(EVERY_S)
