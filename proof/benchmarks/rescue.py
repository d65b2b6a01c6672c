"""The time from a notice to a replacement that serves, with and without a replica. The baseline waits for the end."""

from __future__ import annotations

from proof.benchmarks.baseline_scripts import ReplaceAfterEnd
from proof.benchmarks.benchmark_site import END_S, BenchmarkSite, benchmark_site
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.move_script import USER_DATA
from proof.benchmarks.setup import MeasureSetup
from proof.harness.server_owner import AdoptedServer, LaunchedServer, ServerSpec

NAME = "rescue"
NOTICE_S = 120.0
LATE_S = 2.0  # of notice, for the baseline, which does nothing in that time
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
        (server,) = at.adopt(ours)
        at.commit_operation(server, "switch", "to-spot", {"pool": at.next_pool(server)})
        with_replica, without = [], []
        for number in range(count):
            at.commit_operation(server, "replica", f"replica-{number}")
            with_replica.append(_rescued(at, server))
            without.append(_rescued(at, server))
            pair = f"with a replica {with_replica[-1]:.0f} ms, without {without[-1]:.0f} ms"
            setup.say(f"{NAME}: {number + 1} of {count}: {pair}")
        script = ReplaceAfterEnd(at.ec2, stack.settings.var / "lab" / "hosts", USER_DATA)
        plain, _ = script.move(at.scripted(scripted), at.market_choice.types[0])
        usual = []
        for number in range(count):
            filesystem, doomed = script.filesystem(plain), plain.instance_id
            gone = at.interrupt(doomed, LATE_S) + LATE_S
            plain = script.replace(plain, at.market_choice.types[number % len(at.market_choice.types)], filesystem)
            usual.append(_serving_ms(at, scripted, gone, doomed))
            setup.say(f"{NAME}: the usual script, {number + 1} of {count}: {usual[-1]:.0f} ms")
        launch_ms = 1000 * (at.delays.launch_s + at.delays.boot_s)
    setup.details.update({"with a replica": with_replica, "without": without, "usual script": usual})
    first, second, theirs = summary(with_replica), summary(without), summary(usual)
    limit = launch_ms + AIM_MS
    return [
        Figure(NAME, "notice to serving, with a replica", "ms", first, theirs, BASELINE,
               f"p95 under {AIM_MS:.0f}", first["p95"] < AIM_MS, HOW),
        Figure(NAME, "notice to serving, without", "ms", second, theirs, BASELINE,
               f"p95 under launch time plus {AIM_MS:.0f}: {limit:.0f}", second["p95"] < limit, HOW),
    ]  # fmt: skip


def _rescued(at: BenchmarkSite, server: AdoptedServer) -> float:
    """Milliseconds until it was served; returns when the rescue is over and its records are written."""
    doomed, known = str(at.primary(server)["id"]), at.api.operation_ids(server.id, "failover")
    serving_ms = _serving_ms(at, server, at.interrupt(doomed, NOTICE_S), doomed)
    at.committed(at.new_operation(server, "failover", known))
    return serving_ms


def _serving_ms(at: BenchmarkSite, server: LaunchedServer, since: float, not_by: str) -> float:
    return 1000 * at.serving_after(server, since, not_by=not_by, limit_s=END_S)
