"""From the notice to a replacement that serves, with a replica and without; beside waiting until it is gone."""

from __future__ import annotations

from proof.benchmarks.baseline_scripts import ReplaceAfterEnd
from proof.benchmarks.benchmark_site import AGENT_S, BenchmarkServer, BenchmarkSite, benchmark_site
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.move_script import USER_DATA
from proof.benchmarks.setup import MeasureSetup
from proof.harness.server_owner import ServerSpec
from proof.harness.waiting import until

NAME = "rescue"
NOTICE_S = 120.0
LATE_S = 2.0  # of notice, for the baseline: all it does is pass
AIM_MS = 5000.0
BASELINE = (
    "a boto3 script that starts the replacement once EC2 says that the instance is gone; counted from the moment"
    " at which the notice has run out"
)
HOW = (
    f"lab, profile fast; a notice of {NOTICE_S:g} s by IMDS and queue for a server with a data volume and an Elastic"
    " IP; until a client that asks every 25 ms is answered by another instance"
)


def measure(setup: MeasureSetup) -> list[Figure]:
    count = setup.choose(20, 1)
    with setup.stack() as stack, benchmark_site(stack) as at:
        ours, scripted = at.launch(ServerSpec("orders", "volumes", 8), ServerSpec("scripted", "volumes", 8))
        server = at.adopt(ours)
        at.done(server, "switch", "to-spot", {"pool": next(server.pools)})
        with_replica, without = [], []
        for number in range(count):
            at.done(server, "replica", f"replica-{number}")
            with_replica.append(_rescued(at, server))
            without.append(_rescued(at, server))
            pair = f"with a replica {with_replica[-1]:.0f} ms, without {without[-1]:.0f} ms"
            setup.say(f"{NAME}: {number + 1} of {count}: {pair}")
        script = ReplaceAfterEnd(at.ec2, stack.settings.var / "lab" / "hosts", USER_DATA)
        plain, _ = script.move(at.plain(scripted), at.market_choice.types[0])
        usual = []
        for number in range(count):
            filesystem, doomed = script.filesystem(plain), plain.instance_id
            gone = at.interrupt(doomed, LATE_S) + LATE_S
            plain = script.replace(plain, at.market_choice.types[number % len(at.market_choice.types)], filesystem)
            usual.append(at.serving_after("scripted", gone, doomed))
            setup.say(f"{NAME}: the usual script, {number + 1} of {count}: {usual[-1]:.0f} ms")
        launch_ms = at.delays.launch + at.delays.boot
    setup.details.update({"with a replica": with_replica, "without": without, "usual script": usual})
    first, second, theirs = summary(with_replica), summary(without), summary(usual)
    limit = launch_ms + AIM_MS
    return [
        Figure(NAME, "notice to serving, with a replica", "ms", first, theirs, BASELINE,
               f"p95 under {AIM_MS:.0f}", first["p95"] < AIM_MS, HOW),
        Figure(NAME, "notice to serving, without", "ms", second, theirs, BASELINE,
               f"p95 under launch time plus {AIM_MS:.0f}: {limit:.0f}", second["p95"] < limit, HOW),
    ]  # fmt: skip


def _rescued(at: BenchmarkSite, server: BenchmarkServer) -> float:
    """Milliseconds; returns when the rescue is over and the ledger is at rest."""
    doomed, known = at.primary(server), set(at.api.operation_ids(server.id, "failover"))
    noticed = at.interrupt(doomed, NOTICE_S)
    serving = at.serving_after(server.name, noticed, doomed)

    def new() -> str | None:
        return next((one for one in at.api.operation_ids(server.id, "failover") if one not in known), None)

    at.end_of(until("its failover is recorded", AGENT_S, new))
    return serving
