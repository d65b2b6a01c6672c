"""`python -m proof.chaos.run`: a fleet under write load, and faults of every kind, drawn from a seed.

A checker watches the invariants all the time, and logs when one breaks. Once the faults have ended, it also checks
what must hold at rest. Exit code 0 when everything held. var/chaos/actions.jsonl has every action with its time,
var/chaos/report.json the figures. The same seed draws the same faults.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.loop_thread import loop_thread
from lab.stack import database
from lab.stack.settings import REPOSITORY, StackSettings
from lab.stack.stack import Stack
from proof import run_limits
from proof.chaos.fault_injector import EndFault, FaultInjector, PlannedFault, draw_faults
from proof.harness import invariants
from proof.harness.server_owner import ServerSpec
from proof.harness.site import Site
from proof.harness.waiting import RequestFailed, ScenarioFailed, until

_LOOK_S = 3.0
_QUIET_S = 300.0  # operations end within this time once the faults have ended
_LAST_DEEDS = 12
HANDOFFS = ("volumes", "stateless", "snapshot", "volumes", "stateless", "volumes", "snapshot", "volumes")


class ActionLog:
    """What was done and seen, each line with its time."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w")
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.lines: list[str] = []

    def write(self, what: str, words: str) -> None:
        at = time.monotonic() - self._began
        with self._lock:
            self.lines.append(f"{at:7.1f} s  {what}: {words}")
            self._file.write(json.dumps({"at_s": round(at, 2), "what": what, "words": words}) + "\n")
            self._file.flush()
            print(self.lines[-1], flush=True)


class InvariantChecker:
    """Checks every few seconds what must always hold. `broken`: what did not."""

    def __init__(self, site: Site, log: ActionLog) -> None:
        self._site = site
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checker", daemon=True)
        self.broken: list[str] = []
        self.looks = self.blind = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            for one in self._look():
                if one not in self.broken:
                    self.broken.append(one)
                    self._log.write("BROKEN", one)

    def _look(self) -> list[str]:
        """The tables tell of two primaries and missing events, the hosts' journal of two workloads."""
        self.looks += 1
        try:
            return invariants.broken_while_busy(self._site)
        except Exception as error:  # the database or the API is down, as the run intends
            self.blind += 1
            self._log.write("blind", f"{type(error).__name__}")
            return []


class ChaosRun:
    def __init__(self, site: Site, log: ActionLog, planned_faults: Sequence[PlannedFault]) -> None:
        self._site = site
        self._log = log
        self._faults = planned_faults
        self._ends: list[tuple[float, str, EndFault]] = []
        self._began = 0.0
        pools = [f"{zone}/{kind}/spot" for zone in site.market_choice.zones for kind in site.market_choice.types]
        self.trouble = FaultInjector(site, sorted(site.servers), pools)
        self.done: Counter[str] = Counter()

    def play(self) -> None:
        self._began = time.monotonic()
        for fault in self._faults:
            self._wait_until(fault.at_s)
            try:
                words, end = self.trouble.begin(fault)
            except (RequestFailed, AssertionError, IndexError) as error:
                words, end = f"could not: {str(error)[:120]}", None
            self.done[fault.what] += 1
            self._log.write(fault.what, words)
            if end is not None:
                self._ends.append((fault.at_s + fault.lasts_s, words, end))
        self.calm()

    def calm(self) -> None:
        """End every fault that still lasts."""
        for at, words, end in sorted(self._ends, key=lambda one: one[0]):
            self._end(words, end, at)
        self._ends.clear()
        self._site.ask_lab("DELETE", "/_lab/faults")
        self.trouble.all_back()
        self._log.write("calm", "nothing goes wrong any more")

    def _wait_until(self, at_s: float) -> None:
        while True:
            now = time.monotonic() - self._began
            due = [one for one in self._ends if one[0] <= now]
            for one in due:
                self._ends.remove(one)
                self._end(one[1], one[2], one[0])
            if now >= at_s:
                return
            time.sleep(min(0.1, at_s - now))

    def _end(self, words: str, end: EndFault, at: float) -> None:
        end()
        self._log.write("over", words)


def at_rest(site: Site, trouble: FaultInjector, log: ActionLog) -> list[str]:
    """Wait until everything has ended. Then check invariants 1 to 5 and 8 and every write, and repeat every request."""
    try:
        until("every operation ends, and every server is served", _QUIET_S, lambda: _quiet(site), every_s=1.0)
    except ScenarioFailed as error:
        return [f"5: {error}", *_restless(site), *invariants.nondeterminism_errors(site)]
    log.write("rest", "every operation has ended")
    wrong = []
    known = set(site.api.operation_ids())
    worked = [one for one in trouble.unanswered if one[-1] in known]
    log.write("rest", f"{len(worked)} of {len(trouble.unanswered)} requests without an answer had worked")
    requests = [*trouble.requests, *worked]
    for server_id, what, key, operation in requests:
        try:
            again = site.api.ask(server_id, what, {}, key)
        except RequestFailed as error:
            wrong.append(f"4: {what} {key} again: {str(error)[:200]}")
            continue
        if again != operation:
            wrong.append(f"4: {what} {key} was {operation}, and again {again}")
    # Notices lead to failovers and new replicas, which nobody requests with a key.
    asked = {operation for *_, operation in requests}
    site.requested_operations |= asked | {
        one.id for one in site.api.operations() if one.kind not in ("switch", "promote")
    }
    return wrong + invariants.broken_invariants(site, site.servers.values())


def _quiet(site: Site) -> bool | None:
    """No operation runs, and every primary exists in EC2: the product may not have noticed a death yet."""
    return None if _restless(site) else True


def _restless(site: Site) -> list[str]:
    try:
        left = [one for status in ("queued", "running") for one in site.api.operation_ids(status=status)]
        views = {server.name: site.api.server(server.id) for server in site.servers.values()}
    except RequestFailed as error:
        return [f"5: it cannot be asked: {str(error)[:200]}"]
    alive = {row["id"] for row in site.truth()["instances"] if row["state"] == "running" and not row["notice"]}
    primaries = {name: view["primary"] for name, view in views.items()}
    unserved = {name: one and one["id"] for name, one in primaries.items() if not one or one["id"] not in alive}
    spares = {name: view["replica"]["id"] for name, view in views.items() if view["replica"]}
    return [
        *(f"5: {one} has not ended" for one in left),
        *(f"5: {name} runs on {one}, which is gone or doomed" for name, one in unserved.items()),
        *(f"5: {name} has replica {one}, which is gone or doomed" for name, one in spares.items() if one not in alive),
    ]


def chaos(var: Path, seed: int, minutes: float, servers: int, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Make one run; returns its report."""
    stack_var = var / "stack"
    shutil.rmtree(stack_var, ignore_errors=True)
    planned_faults = draw_faults(seed, 60 * minutes)
    with (
        Stack(StackSettings(var=stack_var, workers=2), report=lambda line: None) as stack,
        loop_thread("observer") as portal,
    ):
        site = Site(stack, portal, seed, say)
        try:
            return _chaos(site, planned_faults, ActionLog(var / "actions.jsonl"), servers)
        finally:
            site.close()
            database.clean(stack_var)


def _chaos(site: Site, planned_faults: Sequence[PlannedFault], log: ActionLog, servers: int) -> dict[str, Any]:
    for number, handoff in enumerate(HANDOFFS[:servers]):
        (made,) = site.adopt_servers(ServerSpec(f"{handoff}-{number}", handoff, 0 if handoff == "stateless" else 8))
        if handoff == "snapshot":
            site.api.change_policy(made.id, {"zones": list(site.market_choice.zones)})
        site.api.change_policy(made.id, {"cool_down_s": 8.0, "failover_pools": 2})
    to_spot = [site.ask(server, "switch", f"to-spot-{server.name}") for server in site.servers.values()]
    for operation_id in to_spot:
        site.end_of(operation_id)  # however it ends: a server that stays on demand is not interrupted
    log.write("begin", f"{servers} servers, {len(planned_faults)} troubles, seed {site.seed}")
    run, checker = ChaosRun(site, log, planned_faults), InvariantChecker(site, log)
    checker.start()
    try:
        run.play()
        wrong = at_rest(site, run.trouble, log)
    finally:
        checker.stop()
    for one in wrong:
        log.write("BROKEN", one)
    return _report(site, run, checker, [*checker.broken, *wrong], log)


def _report(site: Site, run: ChaosRun, checker: InvariantChecker, wrong: list[str], log: ActionLog) -> dict[str, Any]:
    operations = site.api.operations()
    samples = [one for server in site.servers for client in site.observer.samples(server) for one in client]
    calls = site.ask_lab("GET", "/_lab/calls")["calls"]
    return {
        "seed": site.seed,
        "broken": wrong,
        "writes_acknowledged": sum(1 for one in samples if one.ok and one.n),
        "reads_answered": sum(1 for one in samples if one.ok and not one.n),
        "requests_failed": sum(1 for one in samples if not one.ok),
        "operations": dict(Counter(f"{one.kind} {one.outcome}" for one in operations)),
        "troubles": dict(run.done),
        "ec2_calls": len(calls),
        "events": site.api.latest_event(),
        "looks": checker.looks,
        "blind_looks": checker.blind,
        "last": log.lines[-_LAST_DEEDS:] if wrong else [],
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="proof.chaos.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=run_limits.minutes, default=10.0)
    parser.add_argument("--servers", type=int, default=6, choices=range(1, len(HANDOFFS) + 1))
    parser.add_argument("--var", type=Path, default=REPOSITORY / "var" / "chaos")
    given = parser.parse_args(arguments)
    given.var.mkdir(parents=True, exist_ok=True)
    report = chaos(given.var, given.seed, given.minutes, given.servers)
    (given.var / "report.json").write_text(json.dumps(report, indent=1))
    for name, value in report.items():
        if name not in ("broken", "last"):
            print(f"{name:20} {value}")
    for one in report["broken"]:
        print(f"BROKEN {one}")
    words = (
        f"repeat with: make chaos SEED={given.seed} MINUTES={given.minutes:g}; {given.var / 'actions.jsonl'} has it all"
    )
    print(words if report["broken"] else f"everything held; seed {given.seed}")
    return 1 if report["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
