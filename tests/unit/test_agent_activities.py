"""The activities as Temporal runs them: heartbeats, deadlines, failures, cancellation, shutdown."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agent.activities import HostActivities
from agent.hooks import Hooks
from agent.host import Host
from agent.notice_board import NoticeBoard
from agent.state_dir import StateDir
from domain.errors import Failure
from domain.host import (
    InventoryRequest,
    Notice,
    NoticeKind,
    NoticeSource,
    QuiesceRequest,
    ReadyRequest,
    ServeRequest,
    WatchRequest,
)
from tests.unit.test_agent_fakes import INSTANCE, FakeMachine, eventually

NOTICE = Notice(INSTANCE, NoticeKind.REBALANCE, NoticeSource.IMDS, datetime(2026, 1, 2, tzinfo=UTC))


class Rig:
    def __init__(self, machine: FakeMachine, pool: ThreadPoolExecutor) -> None:
        self.machine = machine
        self.board = NoticeBoard()
        host = Host(INSTANCE, Hooks(machine.hooks), StateDir(machine.state))
        self.activities = HostActivities(host, self.board, pool)
        self.environment = ActivityEnvironment()
        self.beats = 0
        self.environment.on_heartbeat = self._beat

    def _beat(self, *_: object) -> None:
        self.beats += 1

    def start(self, activity: Callable[[Any], Coroutine[Any, Any, Any]], request: object) -> asyncio.Task[Any]:
        return asyncio.create_task(self.environment.run(activity, request))

    async def hook_runs(self, name: str) -> None:
        await asyncio.to_thread(eventually, lambda: f"{name} hook" in self.machine.calls())


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    machine = FakeMachine(tmp_path)
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    with ThreadPoolExecutor(4) as pool:
        yield Rig(machine, pool)


async def test_every_verb_answers(rig: Rig) -> None:
    run = rig.environment.run
    assert (await run(rig.activities.host_ready, ReadyRequest("op"))).instance_id == INSTANCE
    assert (await run(rig.activities.host_inventory, InventoryRequest("op"))).filesystems == []
    assert (await run(rig.activities.host_quiesce, QuiesceRequest("op"))).instance_id == INSTANCE
    assert (await run(rig.activities.host_resume, ServeRequest("op"))).instance_id == INSTANCE


async def test_a_failure_of_the_host_is_final_and_brings_its_hooks(rig: Rig) -> None:
    rig.machine.hook("start", "echo broken; exit 7")
    with pytest.raises(ApplicationError) as failed:
        await rig.environment.run(rig.activities.host_resume, ServeRequest("op"))
    assert (failed.value.type, failed.value.non_retryable) == (Failure.HOST_FAILED, True)
    assert failed.value.details[0][0].exit_code == 7


async def test_it_heartbeats_while_a_hook_runs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.activities.BEAT_S", 0.02)
    rig.machine.hook("start", 'while [ ! -f "$FAKE/go" ]; do sleep 0.02; done')
    running = rig.start(rig.activities.host_resume, ServeRequest("op"))
    await asyncio.to_thread(eventually, lambda: rig.beats > 5)
    (rig.machine.folder / "go").touch()
    await running


async def test_the_activitys_own_deadline_cuts_what_was_asked_for(rig: Rig) -> None:
    rig.environment.info = dataclasses.replace(
        rig.environment.info, start_to_close_timeout=timedelta(seconds=0.8), schedule_to_close_timeout=None
    )
    rig.machine.hook("stop", "sleep 600")
    with pytest.raises(ApplicationError, match="stop hook was killed"):
        await rig.environment.run(rig.activities.host_quiesce, QuiesceRequest("op", timeout_s=3600))


async def test_a_cancelled_request_kills_its_hook(rig: Rig) -> None:
    rig.machine.hook("start", 'echo $$ > "$FAKE/pid"; sleep 600')
    running = rig.start(rig.activities.host_resume, ServeRequest("op"))
    file = rig.machine.folder / "pid"
    await asyncio.to_thread(eventually, lambda: file.exists() and bool(file.read_text().strip()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    process = Path("/proc") / file.read_text().strip()
    await asyncio.to_thread(eventually, lambda: not process.exists())


async def test_an_agent_that_ends_gives_its_work_back_at_once(rig: Rig) -> None:
    rig.machine.hook("start", "sleep 600")
    running = rig.start(rig.activities.host_resume, ServeRequest("op"))
    await rig.hook_runs("start")
    rig.environment.worker_shutdown()
    running.cancel()
    with pytest.raises(ApplicationError) as given_back:
        await running
    assert (given_back.value.type, given_back.value.non_retryable) == (Failure.NOT_YET, False)


async def test_a_fence_takes_the_place_of_a_resume_that_still_runs(rig: Rig) -> None:
    rig.machine.hook("start", "sleep 600")
    resuming = rig.start(rig.activities.host_resume, ServeRequest("op-1"))
    await rig.hook_runs("start")
    report = await rig.environment.run(rig.activities.host_quiesce, QuiesceRequest("op-2"))
    assert report.instance_id == INSTANCE
    with pytest.raises(ApplicationError, match="newer request"):
        await resuming


async def test_the_watch_returns_the_moment_a_notice_is_seen(rig: Rig) -> None:
    running = rig.start(rig.activities.host_watch, WatchRequest(beat_s=3600))
    await asyncio.to_thread(eventually, lambda: rig.beats > 0)
    await asyncio.to_thread(rig.board.put, NOTICE)
    assert await asyncio.wait_for(running, 60) == NOTICE


async def test_the_watch_passes_over_what_is_known(rig: Rig) -> None:
    rig.board.put(NOTICE)
    running = rig.start(rig.activities.host_watch, WatchRequest([NOTICE.notice_id], beat_s=3600))
    await asyncio.to_thread(eventually, lambda: rig.beats > 0)
    interruption = dataclasses.replace(NOTICE, kind=NoticeKind.INTERRUPTION)
    await asyncio.to_thread(rig.board.put, interruption)
    assert await asyncio.wait_for(running, 60) == interruption


async def test_the_watch_gives_back_when_the_agent_ends(rig: Rig) -> None:
    running = rig.start(rig.activities.host_watch, WatchRequest(beat_s=3600))
    await asyncio.to_thread(eventually, lambda: rig.beats > 0)
    rig.environment.worker_shutdown()
    running.cancel()
    with pytest.raises(ApplicationError, match="ending"):
        await asyncio.wait_for(running, 60)
