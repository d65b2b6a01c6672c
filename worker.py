"""Composition root of the control plane's workers: their task queues, one process.

Emergency work has its own queue, its own slots and its own threads, so that a thousand ordinary
switches cannot delay one rescue. The process starts without its database: a notice is acted on
while MySQL is down, and records are caught up when it is back.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.autopilot.activity import AutopilotActivities
from activities.backtests.activity import BacktestActivities
from activities.ec2.clients import Clients
from activities.ec2.notice_queue import open_queue
from activities.ec2.registry import ec2_activities
from activities.market.registry import market_activities
from activities.notice_reader import read_notices
from activities.reconciliation.activity import ReconciliationActivities
from activities.records.activity import record_activities
from activities.resuming.activity import ResumeActivities
from activities.savings.activity import SavingsActivities
from activities.settings import SettingsError, WorkerSettings, read_settings
from activities.wanted_schedules import make_schedules, wanted_schedules
from activities.webhooks.activity import WebhookActivities
from activities.webhooks.sender import WebhookSender
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.fleet.instances import count_live_instances
from db.webhooks.secret_sealing import Sealer
from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE, WEBHOOK_QUEUE
from telemetry.metrics.registries import measure_process
from telemetry.metrics.serving import UnsafeAddress, check_address, metrics_served, temporal_runtime
from telemetry.metrics.worker import WorkerMetrics
from telemetry.temporal_logs import configure_worker_logs
from workflows import timeouts
from workflows.registry import WORKFLOWS
from workflows.replay_guard import ReplayGuardRunner

log = logging.getLogger("worker")

# Messages on their way at once, each a coroutine that waits for its receiver: more than two clients' receivers that do
# not answer can take (db.webhooks.delivery_slots). Their records are written by a few threads.
WEBHOOK_SLOTS, WEBHOOK_CONNECTIONS = 80, 8
COUNT_EVERY_S = 30.0


async def main() -> None:
    try:
        settings = read_settings()
        check_address(settings.metrics_host, settings.metrics_token.get_secret_value())
    except (SettingsError, UnsafeAddress) as error:
        raise SystemExit(f"worker: {error}") from None
    configure_worker_logs(settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def serve(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Run every queue's worker, and what goes on beside them, until `stop`."""
    timeouts.WATCH_PACE.per_second = settings.watch_beats_per_second
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    clients = Clients(on_call=metrics.count_call)
    warming = asyncio.create_task(asyncio.to_thread(clients.warm, settings.regions))
    client = await connect(settings, stop)
    await warming
    slots = settings.control_slots + settings.emergency_slots + WEBHOOK_CONNECTIONS
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=slots, max_overflow=4)
    sessions = make_session_factory(engine)
    measure_process(registry, engine, sessions)
    activities = [
        *make_activities(settings, clients, client, engine, sessions),
        *record_activities(sessions, metrics.observe),
    ]
    async with AsyncExitStack() as stack:
        token = settings.metrics_token.get_secret_value()
        await stack.enter_async_context(metrics_served(registry, settings.metrics_host, settings.metrics_port, token))
        for worker in (
            make_worker(client, EMERGENCY_QUEUE, activities, settings.emergency_slots),
            make_worker(client, CONTROL_QUEUE, activities, settings.control_slots),
            *make_webhook_worker(settings, client, sessions),
        ):
            await stack.enter_async_context(worker)
        beside = [
            asyncio.create_task(_read_notices(settings, clients, client)),
            asyncio.create_task(await_database(engine)),
            asyncio.create_task(make_schedules(client, wanted_schedules(settings))),
            asyncio.create_task(_count_watched_hosts(sessions)),
        ]
        _freeze_loaded_objects()
        _say_ready(settings)
        await stop.wait()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def connect(settings: WorkerSettings, stop: asyncio.Event) -> Client:
    """Connect to Temporal; say which address does not answer, and retry until it does."""
    address = settings.temporal_address
    runtime = temporal_runtime(settings.metrics_host, settings.temporal_metrics_port)
    while True:
        try:
            return await Client.connect(address, namespace=settings.temporal_namespace, runtime=runtime)
        except RuntimeError as error:
            log.warning("Temporal does not answer at %s (%s); trying again in 1 s", address, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
                raise SystemExit("worker: stopped before Temporal answered") from None


def make_activities(
    settings: WorkerSettings, clients: Clients, client: Client, engine: Engine, sessions: SessionFactory
) -> list[Callable[..., Any]]:
    """What both queues' workers do, but for the records."""
    return [
        *ec2_activities(clients),
        *market_activities(clients, sessions, engine),
        *AutopilotActivities(sessions, clients, client).all,
        *ReconciliationActivities(sessions, clients, client, settings.regions, settings.grace_periods).all,
        *ResumeActivities(sessions, clients, client).all,
        *SavingsActivities(sessions).all,
        *BacktestActivities(sessions, clients).all,
    ]


def make_worker(client: Client, task_queue: str, activities: Sequence[object], slots: int) -> Worker:
    """One queue's worker: as many threads as activity slots. Short sticky timeout: a dead worker costs little."""
    # Our workflow modules are loaded once and not again for every workflow, which would cost each one 50 ms of
    # processor. The sandbox's checks are for whoever changes them: the replay tests run without this.
    restrictions = SandboxRestrictions.default.with_passthrough_modules("domain", "workflows")
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=activities,  # type: ignore[arg-type]
        activity_executor=ThreadPoolExecutor(slots, thread_name_prefix=task_queue),
        max_concurrent_activities=slots,
        max_concurrent_workflow_tasks=20,
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions, runner_class=ReplayGuardRunner),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=8),
    )


def make_webhook_worker(settings: WorkerSettings, client: Client, sessions: SessionFactory) -> list[Worker]:
    """None without the key that opens the secrets of webhooks."""
    key = settings.signing_key.get_secret_value()
    if not key:
        return []
    webhooks = WebhookActivities(sessions, Sealer(key), WebhookSender(private=settings.webhooks_private))
    return [make_worker(client, WEBHOOK_QUEUE, webhooks.all, WEBHOOK_SLOTS)]


async def _read_notices(settings: WorkerSettings, clients: Clients, client: Client) -> None:
    if settings.notice_queue_url:
        await read_notices(open_queue(clients, settings.notice_queue_url, settings.notice_queue_region), client)
    log.info("SPOT_NOTICE_QUEUE_URL is not set: notices come from the agents alone")


async def await_database(engine: Engine) -> None:
    """Say where a database that does not answer was looked for, until it does. Work goes on without it."""
    where = f"{engine.url.host}:{engine.url.port or 3306}/{engine.url.database or ''}"
    missing = False
    while True:
        try:
            await asyncio.to_thread(_ping, engine)
        except SQLAlchemyError as error:
            missing = True
            cause = getattr(error, "orig", None) or error
            log.warning("the database does not answer at %s (%s); trying again in 2 s", where, cause)
            await asyncio.sleep(2.0)
            continue
        if missing:
            log.info("the database at %s answers", where)
        return


def _ping(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


async def _count_watched_hosts(sessions: SessionFactory) -> None:
    """The more hosts are watched, the less often each of them beats."""
    while True:
        try:
            timeouts.WATCH_PACE.hosts = await asyncio.to_thread(_count_live_instances, sessions)
        except SQLAlchemyError as error:
            log.info("cannot count the fleet, watches keep their pace: %s", getattr(error, "orig", None) or error)
        await asyncio.sleep(COUNT_EVERY_S)


def _count_live_instances(sessions: SessionFactory) -> int:
    with sessions() as session:
        return count_live_instances(session)


def _freeze_loaded_objects() -> None:
    """What is loaded by now stays for good: a full collection that goes through all of it stops every
    workflow and activity of this process for a tenth of a second and more."""
    gc.collect()
    gc.freeze()


def _say_ready(settings: WorkerSettings) -> None:
    if settings.worker_ready_file:
        Path(settings.worker_ready_file).touch()
    log.info("worker ready: queues %s and %s at %s", CONTROL_QUEUE, EMERGENCY_QUEUE, settings.temporal_address)


if __name__ == "__main__":
    asyncio.run(main())
