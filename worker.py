"""Composition root of the control plane's workers: their task queues, one process.

Emergency work has its own queue, its own slots and its own threads, so that a thousand ordinary
switches cannot delay one rescue. The process starts without its database: a notice is acted on
while MySQL is down, and records are caught up when it is back.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import signal
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.autopilot.activity import AutopilotActivities
from activities.backtests.activity import BacktestActivities
from activities.ec2 import notice_queue
from activities.ec2.clients import Clients
from activities.ec2.registry import ec2_activities
from activities.market.registry import market_activities, market_schedules
from activities.notice_reader import NoticeQueue, read_notices
from activities.reconciliation.activity import ReconciliationActivities
from activities.records.activity import record_activities
from activities.resuming.activity import ResumeActivities
from activities.savings import schedules as savings_schedules
from activities.savings.activity import SavingsActivities
from activities.schedules import ScheduledWorkflow, ensure_schedule
from activities.webhooks import schedules as webhook_schedules
from activities.webhooks.activity import WebhookActivities
from activities.webhooks.sender import WebhookSender
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.fleet.instances import count_live_instances
from db.webhooks.secret_sealing import Sealer
from domain.autopilot import contract as autopilot
from domain.heartbeats import WATCH_BEATS_A_SECOND
from domain.market.contract import ThinOutInput
from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE, WEBHOOK_QUEUE
from domain.reconciliation import contract as reconciliation
from domain.reconciliation.facts import GracePeriods
from telemetry.logs import configure_logs as configure_logs
from telemetry.metrics.registries import measure_process
from telemetry.metrics.serving import UnsafeAddress, check_address
from telemetry.metrics.serving import serve as serve_metrics
from telemetry.metrics.worker import WorkerMetrics
from workflows import timeouts
from workflows.registry import WORKFLOWS
from workflows.replay_guard import ReplayGuardRunner

log = logging.getLogger("worker")

# Messages on their way at once, each a coroutine that waits for its receiver: more than two clients' receivers that do
# not answer can take (db.webhooks.delivery_slots). Their records are written by a few threads.
WEBHOOK_SLOTS, WEBHOOK_CONNECTIONS = 80, 8
COUNT_EVERY_S = 30.0


@dataclass(frozen=True)
class WorkerSettings:
    database_url: str
    temporal_address: str
    temporal_namespace: str
    regions: tuple[str, ...]
    notice_queue_url: str
    notice_queue_region: str
    ready_file: str
    control_slots: int
    emergency_slots: int
    autopilot_every_s: float  # 0: no schedule; a pass is made only when asked for
    autopilot_moves: int  # of the autopilot under way at once
    prices_every_s: float  # 0: prices are collected only when asked for
    reconcile_every_s: float  # 0: EC2 is compared with the ledger only when asked for
    patience: GracePeriods
    metrics_host: str
    metrics_port: int  # 0: none
    metrics_token: str
    temporal_metrics_port: int  # of the Temporal SDK's own; 0: none
    keep_prices: ThinOutInput  # how long each tier of them
    savings_every_s: float  # 0: nothing is accrued
    webhooks_every_s: float  # 0: no event is told
    webhooks_private: bool  # messages may go to private addresses, and by http
    signing_key: str = field(repr=False)  # opens the secrets of webhooks; empty: no event is told
    watch_beats_per_second: float  # of all watched instances; they beat less often beyond
    events_days: float  # that events, the log of deliveries, and decisions that came to nothing are kept
    log_level: str

    @classmethod
    def from_environment(cls) -> WorkerSettings:
        env = os.environ
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"
        if not env.get("DATABASE_URL"):
            raise SystemExit("worker: DATABASE_URL is not set; write mysql+pymysql://user:password@host:3306/name")
        return cls(
            database_url=env["DATABASE_URL"],
            temporal_address=env.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
            temporal_namespace=env.get("TEMPORAL_NAMESPACE", "default"),
            regions=tuple(env.get("SPOT_REGIONS", region).split(",")),
            notice_queue_url=env.get("SPOT_NOTICE_QUEUE_URL", ""),
            notice_queue_region=env.get("SPOT_NOTICE_QUEUE_REGION", region),
            ready_file=env.get("SPOT_WORKER_READY_FILE", ""),
            control_slots=int(env.get("SPOT_CONTROL_SLOTS", "40")),
            emergency_slots=int(env.get("SPOT_EMERGENCY_SLOTS", "40")),
            autopilot_every_s=float(env.get("SPOT_AUTOPILOT_EVERY_S", "60")),
            autopilot_moves=int(env.get("SPOT_AUTOPILOT_MOVES", "20")),
            prices_every_s=float(env.get("SPOT_PRICES_EVERY_S", "300")),
            reconcile_every_s=float(env.get("SPOT_RECONCILE_EVERY_S", "120")),
            patience=GracePeriods(
                ours_s=float(env.get("SPOT_GRACE_OURS_S", "900")),
                unexplained_s=float(env.get("SPOT_GRACE_UNEXPLAINED_S", "86400")),
                gone_s=float(env.get("SPOT_GRACE_GONE_S", "120")),
                silent_s=float(env.get("SPOT_AGENT_SILENT_S", "120")),
            ),
            metrics_host=env.get("SPOT_METRICS_HOST", "127.0.0.1"),
            metrics_port=int(env.get("SPOT_METRICS_PORT", "0")),
            metrics_token=env.get("SPOT_METRICS_TOKEN", ""),
            temporal_metrics_port=int(env.get("SPOT_TEMPORAL_METRICS_PORT", "0")),
            keep_prices=_keep_prices(env.get("SPOT_KEEP_PRICES", "14/90/400")),
            savings_every_s=float(env.get("SPOT_SAVINGS_EVERY_S", "900")),
            webhooks_every_s=float(env.get("SPOT_WEBHOOKS_EVERY_S", "10")),
            webhooks_private=env.get("SPOT_WEBHOOKS_PRIVATE", "").lower() in {"1", "true", "yes"},
            signing_key=env.get("SPOT_SIGNING_KEY", ""),
            watch_beats_per_second=_above_0("SPOT_WATCH_BEATS_PER_SECOND", WATCH_BEATS_A_SECOND),
            events_days=float(env.get("SPOT_EVENTS_DAYS", "90")),
            log_level=env.get("SPOT_LOG_LEVEL", "INFO"),
        )


def _above_0(name: str, usual: float) -> float:
    try:
        value = float(os.environ.get(name, usual))
    except ValueError:
        value = 0.0
    if not 0.0 < value < math.inf:
        raise SystemExit(f"worker: {name} is {os.environ.get(name)!r}; write a number above 0, as {usual:g}")
    return value


def _keep_prices(text: str) -> ThinOutInput:
    try:
        return ThinOutInput.read(text)
    except ValueError as error:
        raise SystemExit(f"worker: SPOT_KEEP_PRICES is {error}") from None


async def connect(settings: WorkerSettings, stop: asyncio.Event) -> Client:
    """Connect to Temporal; say which address does not answer, and retry until it does."""
    runtime = _runtime(settings)
    while True:
        try:
            return await Client.connect(
                settings.temporal_address, namespace=settings.temporal_namespace, runtime=runtime
            )
        except RuntimeError as error:
            log.warning("Temporal does not answer at %s (%s); trying again in 1 s", settings.temporal_address, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
                raise SystemExit("worker: stopped before Temporal answered") from None


def _runtime(settings: WorkerSettings) -> Runtime:
    """The SDK counts and times its own work, and serves that itself: in seconds, and named as Prometheus wants it."""
    if not settings.temporal_metrics_port:
        return Runtime.default()
    own = PrometheusConfig(
        bind_address=f"{settings.metrics_host}:{settings.temporal_metrics_port}",
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=own))
    except ValueError as error:
        log.error("no metrics of Temporal's SDK: %s (%s)", own.bind_address, error)
        return Runtime.default()


@asynccontextmanager
async def metrics_served(settings: WorkerSettings, registry: CollectorRegistry) -> AsyncIterator[None]:
    """`/metrics` for as long as it lasts, in a thread of its own: a busy event loop is what one wants to see."""
    if not settings.metrics_port:
        yield
        return
    try:
        server = serve_metrics(registry, settings.metrics_host, settings.metrics_port, settings.metrics_token)
    except OSError as error:
        # No reason to leave servers unwatched; Prometheus sees that its target is down.
        log.error("no metrics: %s:%d cannot be listened on (%s)", settings.metrics_host, settings.metrics_port, error)
        yield
        return
    serving = asyncio.create_task(asyncio.to_thread(server.serve_forever))
    log.info("metrics at http://%s:%d/metrics", settings.metrics_host, settings.metrics_port)
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        await serving
        server.server_close()


async def await_database(engine: Engine) -> None:
    """Say where a database that does not answer was looked for, until it does. Work goes on without it."""
    where = f"{engine.url.host}:{engine.url.port or 3306}/{engine.url.database or ''}"
    missing = False
    while True:
        try:
            await asyncio.to_thread(_ping, engine)
        except SQLAlchemyError as error:
            missing = True
            words = str(getattr(error, "orig", None) or error)
            log.warning("the database does not answer at %s (%s); trying again in 2 s", where, words)
            await asyncio.sleep(2.0)
            continue
        if missing:
            log.info("the database at %s answers", where)
        return


def _ping(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


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


def queue_access(clients: Clients, settings: WorkerSettings) -> NoticeQueue:
    region, url = settings.notice_queue_region, settings.notice_queue_url
    return NoticeQueue(
        receive=lambda wait_s: notice_queue.receive(clients, url, wait_s, region),
        delete=lambda handle: notice_queue.delete(clients, url, handle, region),
        tags=lambda found_in, instance_id: notice_queue.instance_tags(clients, found_in or region, instance_id),
    )


async def serve(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Run both workers and the notice reader until `stop`."""
    timeouts.WATCH_PACE.per_second = settings.watch_beats_per_second
    registry = CollectorRegistry()
    work = WorkerMetrics(registry)
    clients = Clients(called=work.called)
    warming = asyncio.create_task(asyncio.to_thread(clients.warm, settings.regions))
    client = await connect(settings, stop)
    await warming
    slots = settings.control_slots + settings.emergency_slots + WEBHOOK_CONNECTIONS
    engine = make_engine(settings.database_url, pool_size=slots, max_overflow=4)
    sessions = make_session_factory(engine)
    autopilot = AutopilotActivities(sessions, clients, client)
    measure_process(registry, engine, sessions)
    activities = [*ec2_activities(clients), *record_activities(sessions, work.heard), *autopilot.all]
    activities += market_activities(clients, sessions, engine)
    activities += ReconciliationActivities(sessions, clients, client, settings.regions, settings.patience).all
    activities += ResumeActivities(sessions, clients, client).all
    activities += SavingsActivities(sessions).all
    activities += BacktestActivities(sessions, clients).all
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(metrics_served(settings, registry))
        for queue, size in (
            (EMERGENCY_QUEUE, settings.emergency_slots),
            (CONTROL_QUEUE, settings.control_slots),
        ):
            await stack.enter_async_context(make_worker(client, queue, activities, size))
        if settings.signing_key:
            sender = WebhookSender(private=settings.webhooks_private)
            webhooks = WebhookActivities(sessions, Sealer(settings.signing_key), sender)
            await stack.enter_async_context(make_worker(client, WEBHOOK_QUEUE, webhooks.all, WEBHOOK_SLOTS))
        beside = [
            asyncio.create_task(_notices(clients, client, settings)),
            asyncio.create_task(await_database(engine)),
            asyncio.create_task(_schedules(client, settings)),
            asyncio.create_task(_watch_pace(sessions)),
        ]
        _freeze_loaded_objects()
        _ready(settings)
        await stop.wait()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _watch_pace(sessions: SessionFactory) -> None:
    """Count who is watched, for good: watches beat as often as so many may."""
    while True:
        try:
            timeouts.WATCH_PACE.hosts = await asyncio.to_thread(_count_live_instances, sessions)
        except SQLAlchemyError as error:
            log.info("the fleet was not counted: %s", getattr(error, "orig", None) or error)
        await asyncio.sleep(COUNT_EVERY_S)


def _count_live_instances(sessions: SessionFactory) -> int:
    with sessions() as session:
        return count_live_instances(session)


async def _notices(clients: Clients, client: Client, settings: WorkerSettings) -> None:
    if settings.notice_queue_url:
        await read_notices(queue_access(clients, settings), client)
    log.info("SPOT_NOTICE_QUEUE_URL is not set: notices come from the agents alone")


async def _schedules(client: Client, settings: WorkerSettings) -> None:
    """Keep trying: a control plane without its schedules would look well and decide nothing."""
    wanted = _wanted_schedules(settings)
    while wanted:
        try:
            await ensure_schedule(client, wanted[0])
        except RPCError as error:
            log.warning("schedules cannot be made now (%s); trying again in 5 s", error)
            await asyncio.sleep(5.0)
        else:
            del wanted[0]


def _wanted_schedules(settings: WorkerSettings) -> list[ScheduledWorkflow]:
    wanted = [_autopilot(settings)] if settings.autopilot_every_s else []
    if settings.reconcile_every_s:
        wanted.append(_reconciliation(settings))
    if settings.prices_every_s:
        every = timedelta(seconds=settings.prices_every_s)
        wanted += market_schedules(settings.regions, every, settings.keep_prices)
    if settings.savings_every_s:
        every, keep = timedelta(seconds=settings.savings_every_s), timedelta(days=settings.events_days)
        wanted += savings_schedules.schedules(every, keep)
    if settings.webhooks_every_s and settings.signing_key:
        wanted.append(webhook_schedules.schedule(timedelta(seconds=settings.webhooks_every_s)))
    elif settings.webhooks_every_s:
        log.info("SPOT_SIGNING_KEY is not set: this worker tells webhooks nothing")
    return wanted


def _autopilot(settings: WorkerSettings) -> ScheduledWorkflow:
    every = timedelta(seconds=settings.autopilot_every_s)
    given = autopilot.EvaluateInput(settings.autopilot_moves)
    return ScheduledWorkflow(
        autopilot.AUTOPILOT_SCHEDULE, autopilot.AUTOPILOT_WORKFLOW, given, every, every / 10, autopilot.PASS_LIMIT
    )


def _reconciliation(settings: WorkerSettings) -> ScheduledWorkflow:
    every = timedelta(seconds=settings.reconcile_every_s)
    name, workflow = reconciliation.RECONCILE_SCHEDULE, reconciliation.RECONCILE_WORKFLOW
    return ScheduledWorkflow(name, workflow, reconciliation.ReconcileInput(), every, jitter=every / 10)


def _freeze_loaded_objects() -> None:
    """What is loaded by now stays for good: a full collection that goes through all of it stops every
    workflow and activity of this process for a tenth of a second and more."""
    gc.collect()
    gc.freeze()


def _ready(settings: WorkerSettings) -> None:
    if settings.ready_file:
        Path(settings.ready_file).touch()
    log.info("worker ready: queues %s and %s at %s", CONTROL_QUEUE, EMERGENCY_QUEUE, settings.temporal_address)


async def main() -> None:
    settings = WorkerSettings.from_environment()
    try:
        check_address(settings.metrics_host, settings.metrics_token)
    except UnsafeAddress as error:
        raise SystemExit(f"worker: {error}") from None
    configure_logs(settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


if __name__ == "__main__":
    asyncio.run(main())
