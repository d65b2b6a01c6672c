"""Compares what was measured with what the demo promises. Pure: everything comes in as `CheckInput`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proof.demo.context import ScenarioOperation
from proof.demo.report import Check, OperationReport, Report
from proof.harness.api_client import Operation
from proof.harness.lab_delays import LabDelays
from proof.harness.outage import Sample, Window, failed_requests, first_answer

REPLICA_S = 5.0
LIMIT_S = 180.0


@dataclass(frozen=True)
class CheckInput:
    acts: Mapping[str, ScenarioOperation]
    operations: Mapping[str, Operation]
    report: Report
    samples: Mapping[str, Sequence[Sequence[Sample]]]  # by server, of each of its clients
    delays: LabDelays
    details: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what an invariant's figure is made of
    reconnections: int = 0
    seconds: float = 0.0

    def reported(self, act: str) -> OperationReport | None:
        """The report on a step's operation; None when the step was not reached."""
        known = self.acts.get(act)
        return next((one for one in self.report.operations if known and one.id == known.operation_id), None)


CheckFunction = Callable[[CheckInput], Iterator[Check]]


def check_all(evidence: CheckInput) -> list[Check]:
    return [check for judge in _JUDGES for check in judge(evidence)]


def _outcomes(e: CheckInput) -> Iterator[Check]:
    for name in _ACTS:
        act, one = e.acts.get(name), e.reported(name)
        if act is None or one is None:
            yield Check(f"{name}: took place", False)
        else:
            yield Check(f"{name}: {act.expected}", one.outcome == act.expected, f"{one.id} {one.outcome}")


def _nothing_lost(e: CheckInput) -> Iterator[Check]:
    found = e.report.invariants
    written = sum(1 for clients in e.samples.values() for samples in clients for one in samples if one.ok and one.n)
    yield Check("no acknowledged write is lost", found.writes_lost == 0 and written > 0, f"{written} writes")
    yield Check("EC2 and the ledger agree: no orphan", not found.orphans, _few(found.orphans))
    yield Check("no duplicate", found.duplicates == 0, _few(e.details.get("duplicates", ())))
    yield Check("one primary, one workload at a time", found.one_primary, _few(e.details.get("primaries", ())))
    missed = f"{found.events_missed} missed, {e.reconnections} connections"
    yield Check(
        "no event is missed by a reader that came back", found.events_missed == 0 and e.reconnections > 1, missed
    )


def _unexplained(e: CheckInput) -> Iterator[Check]:
    count = sum(one.unexplained_changes for one in e.report.operations)
    yield Check("no unexplained change", count == 0 and bool(e.report.operations), f"{count}")


def _stateless(e: CheckInput) -> Iterator[Check]:
    for act in ("switch web", "empty pool"):
        one = e.reported(act)
        if one is None or (window := _window(e, act)) is None:
            continue
        failed = failed_requests(e.samples.get("web", ()), window)
        held = one.outage_ms == 0 and failed == 0
        yield Check(f"{act}: no failed request, no outage", held, f"{one.outage_ms} ms, {failed} failed requests")


def _volumes(e: CheckInput) -> Iterator[Check]:
    if one := e.reported("switch orders"):
        limit = round(1000 * (e.delays.detach_s + e.delays.attach_s + 1))
        yield Check("switch orders: its clients noticed", one.outage_ms > 0, f"{one.outage_ms} ms")
        yield _timed("switch orders: outage within detach + attach + 1 s", one.outage_ms, limit)


def _other_zone(e: CheckInput) -> Iterator[Check]:
    if one := e.reported("switch ledger"):
        held = one.handoff == "snapshot" and _zone(one.from_pool) != _zone(one.to_pool)
        yield Check("switch ledger: by snapshot to another zone", held, f"{one.from_pool} → {one.to_pool}")


def _to_spot(e: CheckInput) -> Iterator[Check]:
    for act in ("switch web", "switch orders", "switch ledger"):
        if one := e.reported(act):
            held = one.to_pool.endswith("/spot") and one.hourly_after < one.hourly_before
            figures = f"{one.hourly_before:.4f} → {one.hourly_after:.4f} USD/h"
            yield Check(f"{act}: from on-demand to cheaper spot", held, figures)


def _autopilot(e: CheckInput) -> Iterator[Check]:
    if (one := e.reported("switch web")) and (act := e.acts.get("switch web")):
        decided = str(act.notes["to_pool"])
        yield Check("autopilot: its move went where it was decided", one.to_pool == decided, f"{decided}")


def _asked_twice(e: CheckInput) -> Iterator[Check]:
    known = [e.acts[name] for name in ("switch web", "switch orders", "switch ledger") if name in e.acts]
    same = all(act.notes["again"] == act.operation_id for act in known)
    yield Check("a request sent twice is one operation", bool(known) and same, f"{len(known)} requests")


def _next_pool(e: CheckInput) -> Iterator[Check]:
    if one := e.reported("empty pool"):
        first = str(e.acts["empty pool"].notes["first"])
        tried = e.operations[one.id].tried_pools
        held = any(words.startswith(f"{first}:") for words in tried) and one.to_pool != first
        yield Check("empty pool: the next one was taken", held, f"{first} was empty → {one.to_pool}")


def _rescues(e: CheckInput) -> Iterator[Check]:
    if act := e.acts.get("rescue with replica"):
        replica = act.notes["replica"]
        seconds = _serving_after(e, act, "orders", lambda instance: instance == replica)
        yield _within(f"rescue with replica: it serves within {REPLICA_S:g} s of the notice", seconds, REPLICA_S)
    if act := e.acts.get("rescue without replica"):
        doomed, limit = act.notes["doomed"], e.delays.launch_s + e.delays.boot_s + 5.0
        seconds = _serving_after(e, act, "ledger", lambda instance: instance not in ("", doomed))
        yield _within(f"rescue without replica: served within launch + 5 s = {limit:g} s", seconds, limit)


def _survived(e: CheckInput) -> Iterator[Check]:
    if (act := e.acts.get("killed worker")) and (one := e.reported("killed worker")):
        steps = [step["name"] for step in one.steps]
        held = act.notes["step"] in steps and steps[-1] == "receipt"
        yield Check("killed worker: the switch went on to its end", held, f"killed at {act.notes['step']}")


def _turned_back(e: CheckInput) -> Iterator[Check]:
    if (act := e.acts.get("never healthy")) and (one := e.reported("never healthy")) and one.finished_at:
        before, finished = act.notes["before"], e.operations[one.id].finished_at or 0.0
        answered = first_answer(e.samples.get("orders", ()), finished, lambda instance: instance == before)
        yield Check("never healthy: the old primary serves again", answered is not None, f"{before}")


def _in_time(e: CheckInput) -> Iterator[Check]:
    yield Check("all of it in under three minutes", e.seconds < LIMIT_S, f"{e.seconds:.0f} s", timed=True)


_JUDGES: tuple[CheckFunction, ...] = (
    _outcomes,
    _nothing_lost,
    _unexplained,
    _to_spot,
    _autopilot,
    _stateless,
    _volumes,
    _other_zone,
    _asked_twice,
    _next_pool,
    _rescues,
    _survived,
    _turned_back,
    _in_time,
)
_ACTS = (
    "switch web",
    "switch orders",
    "switch ledger",
    "empty pool",
    "replica",
    "rescue with replica",
    "rescue without replica",
    "killed worker",
    "never healthy",
)


def _serving_after(e: CheckInput, act: ScenarioOperation, server: str, by: Callable[[str], bool]) -> float | None:
    """Seconds from the notice to the first answer of the instance that took over."""
    noticed_at = float(act.notes["noticed_at"])
    answered = first_answer(e.samples.get(server, ()), noticed_at, by)
    return None if answered is None else answered - noticed_at


def _timed(name: str, ms: int, limit_ms: int) -> Check:
    return Check(name, ms <= limit_ms, f"{ms} of {limit_ms} ms", timed=True)


def _within(name: str, seconds: float | None, limit: float) -> Check:
    if seconds is None:
        return Check(name, False, "never")
    return Check(name, seconds <= limit, f"{seconds:.2f} s", timed=True)


def _window(e: CheckInput, act: str) -> Window | None:
    operation = e.operations.get(e.acts[act].operation_id)
    if operation is None or operation.finished_at is None:
        return None
    return Window.around(operation.requested_at, operation.finished_at)


def _zone(pool: str) -> str:
    return pool.split("/")[0]


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return "; ".join(words[:3]) + more
