"""Outage of a switch as clients measure it, for each handoff, beside the order of steps that people script today."""

from __future__ import annotations

import time
from collections.abc import Sequence

from proof.benchmarks.baseline_scripts import StopThenMove
from proof.benchmarks.benchmark_site import BenchmarkSite, benchmark_site
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.move_script import USER_DATA
from proof.benchmarks.setup import MeasureSetup
from proof.harness.server_owner import AdoptedServer, ServerSpec

NAME = "outage"
TENTH = 0.1
_VOLUME = ServerSpec("orders", "volumes", 8)
OUTAGE_SERVERS = (ServerSpec("web", "stateless"), _VOLUME, ServerSpec("ledger", "snapshot", 8))
BASELINE = "stop, image, terminate, launch, attach, by a boto3 script on the same lab; a data volume and an Elastic IP"
HOW = (
    "lab, profile fast; a client asks every 25 ms through the server's address, and the outage is the longest gap"
    " between two successes around its failures; one switch after another, each to a named spot pool"
)


def measure(setup: MeasureSetup) -> list[Figure]:
    count = setup.choose(20, 1)
    with setup.stack() as stack, benchmark_site(stack) as at:
        *originals, scripted = at.launch(*OUTAGE_SERVERS, ServerSpec("scripted", "volumes", 8))
        servers = at.adopt(*originals)
        outages = {server.name: _switch(setup, at, server, count) for server in servers}
        script = StopThenMove(at.ec2, stack.settings.var / "lab" / "hosts", USER_DATA)
        plain, usual = at.scripted(scripted), []
        for number in range(count):
            began = time.time()
            plain, _ = script.move(plain, at.market_choice.types[number % len(at.market_choice.types)])
            usual.append(at.outage_ms("scripted", began, time.time()))
            setup.say(f"{NAME}: the usual script, {number + 1} of {count}: out for {usual[-1]:.0f} ms")
    setup.details.update({**outages, "usual script": usual})
    return [_figure(spec, outages[spec.name], usual) for spec in OUTAGE_SERVERS]


def switched(at: BenchmarkSite, server: AdoptedServer, number: int) -> float:
    """Switch the server; returns how many milliseconds its clients were without it."""
    operation = at.commit_operation(server, "switch", f"{server.name}-{number}", {"pool": at.next_pool(server)})
    return at.outage_ms(server.name, operation.requested_at, operation.finished_at or time.time())


def _switch(setup: MeasureSetup, at: BenchmarkSite, server: AdoptedServer, count: int) -> list[float]:
    """The first switch is not counted: it leaves on-demand, and caches are empty."""
    found = []
    for number in range(count + 1):
        out = switched(at, server, number)
        setup.say(f"{NAME}: {server.name}, {number} of {count}: out for {out:.0f} ms")
        if number:
            found.append(out)
    return found


def _figure(spec: ServerSpec, outages: Sequence[float], usual: Sequence[float]) -> Figure:
    ours, theirs = summary(outages), summary(usual)
    aim, met = {
        "stateless": ("0", ours["p95"] == 0),
        "volumes": ("a tenth of the baseline", ours["p95"] <= TENTH * theirs["p95"]),
        "snapshot": ("none is set", None),
    }[spec.handoff]
    return Figure(NAME, f"outage of a switch, {spec.handoff}", "ms", ours, theirs, BASELINE, aim, met, HOW)
