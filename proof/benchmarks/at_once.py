"""Many switches at once, and many failovers after notices in the same second."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from db.engine.session import make_engine
from db.tables import Operation, OperationStep
from domain.operations import OperationStatus
from proof.benchmarks.figure import Figure, percentile
from proof.benchmarks.setup import MeasureSetup
from proof.benchmarks.simulated_fleet import AT_ONCE, NOTICE_S, SimulatedFleet, SimulatedServer, simulated_fleet
from proof.harness.waiting import RequestFailed, until

NAME = "at_once"
END_S = 900.0
LONGEST_S = 1200.0  # for all of the switches
COUNTS, QUICK = (1, 10, 100, 500), (1, 3)
HIT, QUICK_HIT = 100, 2
FULL = 0.85  # share of the cores; the rest is other programs, and waiting for each other
HOSTS = (
    "lab, profile fast, whose instances are rows without processes; their agents are one process that polls every"
    " instance's queue and answers at once (no mounts, no hooks); a data volume and an Elastic IP each; everything"
    " on the same two cores, the lab and the agents included"
)
HOW_SWITCHES = (
    f"{HOSTS}. All are asked for in one moment over the API, each to a named spot pool; from the first request to the"
    " last receipt; who is told 503 (no worker had time to take the request) asks again with the same key"
)
HOW_RESCUES = f"{HOSTS}. Notices of {NOTICE_S:g} s, all in one moment; until the serve step of each failover had ended"
OPEN = (OperationStatus.QUEUED, OperationStatus.RUNNING)


def measure(setup: MeasureSetup) -> list[Figure]:
    counts = setup.choose(COUNTS, QUICK)
    with setup.stack(hosts=False) as stack, simulated_fleet(stack) as at:
        assert stack.database is not None
        engine = make_engine(stack.database.url)
        ends = time.monotonic() + LONGEST_S
        servers: list[SimulatedServer] = []
        figures: list[Figure] = []
        pace = 0.0  # seconds for each server, adoption included
        for turn, count in enumerate(counts):
            began = time.monotonic()
            if len(servers) >= HIT and began + pace * count > ends:
                figures.append(_left_out(count, pace, figures))
                continue
            servers += at.adopt_servers(range(len(servers), count))
            setup.say(f"{NAME}: {count} servers adopted after {time.monotonic() - began:.0f} s")
            figures.append(_switches(setup, at, engine, servers[:count], turn, figures))
            pace = (time.monotonic() - began) / count
        # All of these are on spot capacity by now: one by itself, and then the others.
        one = _rescues(setup, at, engine, servers[:1], {})
        figures.append(_rescues(setup, at, engine, servers[: setup.choose(HIT, QUICK_HIT)], one.measured))
        engine.dispose()
    return figures


def _left_out(count: int, pace: float, before: Sequence[Figure]) -> Figure:
    """A figure for what this machine cannot do within the time, so that it is not left out."""
    why = f"not tried: at {pace:.1f} s of this machine for each it would have taken more than {LONGEST_S:g} s"
    return Figure(NAME, f"switches at once, {count}", "s", {}, before[0].measured, "one switch, in the same run",
                  "throughput grows until the processor is full", False, HOW_SWITCHES, why)  # fmt: skip


def _switches(
    setup: MeasureSetup,
    at: SimulatedFleet,
    engine: Engine,
    servers: Sequence[SimulatedServer],
    turn: int,
    before: Sequence[Figure],
) -> Figure:
    again: list[str] = []
    with at.cores_busy() as busy:
        done = _ended(engine, "switch", _ask_for_switches(at, servers, turn, again))
    took = [1.0 * (one.finished_at - one.requested_at).total_seconds() for one in done if one.finished_at]
    whole = max(o.finished_at for o in done if o.finished_at) - min(o.requested_at for o in done)
    a_minute = 60 * len(done) / whole.total_seconds()
    measured = {
        "switches a minute": round(a_minute, 1),
        "p50": round(percentile(took, 50), 2),
        "p95": round(percentile(took, 95), 2),
        "cores busy": round(sum(busy.values()), 2),
        "not committed": sum(one.status != "committed" for one in done),
        "asked again": len(again),
        "n": len(servers),
    }
    setup.details[f"switches, {len(servers)}"] = {"cores busy": busy}
    setup.say(f"{NAME}: {len(servers)} switches: {measured}, {busy}")
    single = before[0].measured if before else measured
    full = measured["cores busy"] > FULL * (os.cpu_count() or 1)
    grown = not before or full or a_minute > before[-1].measured["switches a minute"]
    return Figure(NAME, f"switches at once, {len(servers)}", "s", measured, single, "one switch, in the same run",
                  "throughput grows until the processor is full", grown and not measured["not committed"],
                  HOW_SWITCHES)  # fmt: skip


def _ask_for_switches(at: SimulatedFleet, servers: Sequence[SimulatedServer], turn: int, again: list[str]) -> list[str]:
    """Their operations. `again` grows by a server for each request that had to be repeated."""
    kinds = at.market_choice.types

    def ask(server: SimulatedServer) -> str:
        pool = f"{at.market_choice.home}/{kinds[(turn + server.number) % len(kinds)]}/spot"
        return until("a worker has answered", END_S, lambda: answered(server, pool), every_s=1.0)

    def answered(server: SimulatedServer, pool: str) -> str | None:
        """The operation's ID. None: no worker took the request in time, so it is repeated with the same key."""
        try:
            return at.api.ask(server.id, "switch", {"pool": pool}, f"switch-{turn}-{server.number}")
        except RequestFailed as refused:
            if not refused.outcome_unknown:
                raise
            again.append(server.id)
            return None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(ask, servers))


def _rescues(
    setup: MeasureSetup,
    at: SimulatedFleet,
    engine: Engine,
    servers: Sequence[SimulatedServer],
    single: Mapping[str, float],
) -> Figure:
    def hit(server: SimulatedServer) -> str:
        return str(at.api.server(server.id)["primary"]["id"])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        doomed = list(threads.map(hit, servers))
        with at.cores_busy() as busy:
            noticed = time.time()
            list(threads.map(at.give_notice, doomed))
            given_s = time.time() - noticed
            ids = [server.id for server in servers]
            since = datetime.fromtimestamp(noticed, UTC)
            until(
                "every failover is recorded", NOTICE_S, lambda: len(_failovers(engine, ids, since)) >= len(ids) or None
            )
            asked = _failovers(engine, ids, since)
            done = _ended(engine, "failover", asked)
    late = [served - noticed for served in _served_at(engine, asked)]
    measured = {
        "p50": round(percentile(late, 50), 2),
        "p95": round(percentile(late, 95), 2),
        "the last": round(max(late), 2),
        "notices given in, s": round(given_s, 2),
        "cores busy": round(sum(busy.values()), 2),
        "not committed": sum(one.status != "committed" for one in done),
        "n": len(servers),
    }
    setup.details[f"failovers, {len(servers)}"] = {"cores busy": busy}
    setup.say(f"{NAME}: {len(servers)} failovers: {measured}, {busy}")
    met = len(late) == len(servers) and max(late) < NOTICE_S and not measured["not committed"]
    return Figure(NAME, f"failovers at once, {len(servers)}", "s", measured, single or measured,
                  "one failover, in the same run", f"the last within the notice, {NOTICE_S:g}", met,
                  HOW_RESCUES)  # fmt: skip


def _failovers(engine: Engine, server_ids: Sequence[str], since: datetime) -> list[str]:
    ours = Operation.server_id.in_(server_ids), Operation.kind == "failover", Operation.requested_at >= since
    with Session(engine) as session:
        return list(session.scalars(select(Operation.id).where(*ours)))


def _ended(engine: Engine, what: str, operation_ids: Sequence[str]) -> list[Operation]:
    """Wait until all are over. It polls rarely, since polling costs what is measured."""

    def look() -> bool | None:
        with Session(engine) as session:
            still = select(func.count()).where(Operation.id.in_(operation_ids), Operation.status.in_(OPEN))
            return None if session.scalar(still) else True

    until(f"{len(operation_ids)} operations ({what}) end", END_S, look, every_s=0.5)
    with Session(engine) as session:
        return list(session.scalars(select(Operation).where(Operation.id.in_(operation_ids))))


def _served_at(engine: Engine, operation_ids: Sequence[str]) -> list[float]:
    """Epoch seconds at which each operation's last serve step had ended."""
    ended = func.max(OperationStep.ended_at)
    served = OperationStep.name == "serve", OperationStep.ok.is_(True), OperationStep.operation_id.in_(operation_ids)
    with Session(engine) as session:
        rows = session.execute(
            select(OperationStep.operation_id, ended).where(*served).group_by(OperationStep.operation_id)
        )
        return [at.timestamp() for _, at in rows if at]
