"""Who is called silent: agents that could have been heard, and were not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from api.background.silent_agents import BREAK_S, CHECK_EVERY_S, SilenceCheck
from db.fleet.instances import count_live_instances
from db.tables import Agent, Event
from domain.heartbeats import HEARTBEAT_S, MISSED_HEARTBEATS
from tests.api_world import World, unreachable_database

LISTENED_S = (
    MISSED_HEARTBEATS * HEARTBEAT_S + CHECK_EVERY_S
)  # before anybody is called silent, in a fleet as small as these

pytest_plugins = ["tests.api_fixtures"]


@dataclass
class SilentServer:
    """A server whose agent has not been heard of for long, and a clock that a test moves."""

    world: World
    now: float = 0.0
    listening: SilenceCheck = field(init=False)

    def __post_init__(self) -> None:
        instance = self.world.instance(self.world.server(), "replica")
        due_at = datetime.now(UTC) - timedelta(seconds=MISSED_HEARTBEATS * HEARTBEAT_S)
        heard_at = due_at - timedelta(seconds=MISSED_HEARTBEATS * HEARTBEAT_S)
        kept = {"registered_at": heard_at, "seen_at": heard_at, "due_at": due_at, "version": "1", "identity": {}}
        self.world.write(Agent(client_id=self.world.tenant.client_id, instance_id=instance.id, **kept))
        self.listening = SilenceCheck(self.world.services, lambda: self.now)

    async def watch(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += CHECK_EVERY_S
            await self.listening.check()

    def told(self) -> bool:
        with self.world.services.database.sessions() as session:
            mine = session.query(Event).filter(Event.client_id == self.world.tenant.client_id)
            return mine.filter(Event.type == "agent.silent").count() > 0


@pytest.fixture
def watched(world: World) -> SilentServer:
    return SilentServer(world)


async def test_an_agent_is_called_silent_once_it_could_have_been_heard_for_long(watched: SilentServer) -> None:
    await watched.watch(LISTENED_S - CHECK_EVERY_S)
    assert not watched.told()
    await watched.watch(CHECK_EVERY_S)
    assert watched.told()


async def test_the_fleet_is_counted_and_a_large_one_listened_to_for_longer(watched: SilentServer) -> None:
    pace = watched.world.services.heartbeat_rate
    await watched.watch(CHECK_EVERY_S)
    with watched.world.services.database.sessions() as session:
        assert 0 < pace.hosts == count_live_instances(session)
    watched.world.services.heartbeat_rate = replace(pace, per_second=pace.hosts / 200)  # as if there were ten thousand
    await watched.watch(LISTENED_S)
    assert not watched.told()
    await watched.watch(600)
    assert watched.told()


async def test_after_the_database_was_away_agents_get_the_time_to_be_heard(watched: SilentServer) -> None:
    await watched.watch(LISTENED_S - CHECK_EVERY_S)
    database, watched.world.services.database = watched.world.services.database, unreachable_database()
    await watched.watch(2 * LISTENED_S)
    watched.world.services.database = database
    await watched.watch(CHECK_EVERY_S)
    await watched.watch(LISTENED_S - CHECK_EVERY_S)
    assert not watched.told(), "nobody could be heard"
    await watched.watch(CHECK_EVERY_S)
    assert watched.told()


async def test_after_a_look_that_hung_agents_get_the_time_to_be_heard(
    watched: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watched.watch(LISTENED_S - CHECK_EVERY_S)

    async def answers_late(_: object) -> int:
        watched.now += BREAK_S
        return 1

    with monkeypatch.context() as slow:
        slow.setattr(watched.world.services.database, "read", answers_late)
        await watched.watch(CHECK_EVERY_S)
    await watched.watch(LISTENED_S - CHECK_EVERY_S)
    assert not watched.told(), "what waited for the database was not heard"
    await watched.watch(CHECK_EVERY_S)
    assert watched.told()
