"""Outage of a switch with the delays of AWS. The lab's `fast` profile shortens a launch far more than an attach."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from proof.benchmarks.baseline_scripts import StopThenMove
from proof.benchmarks.benchmark_site import HOST_UP_S, benchmark_site
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.move_script import USER_DATA
from proof.benchmarks.outage import BASELINE, HOW, TENTH, switched
from proof.benchmarks.setup import MeasureSetup
from proof.harness.server_owner import ServerSpec
from proof.harness.waiting import until

NAME = "outage_realistic"
SIDE_BY_SIDE, ROUNDS, APART_S = 5, 2, 5.0


def measure(setup: MeasureSetup) -> list[Figure]:
    """Several servers side by side, since a switch takes minutes, and almost all of it is waiting."""
    count, rounds = setup.choose((SIDE_BY_SIDE, ROUNDS), (1, 1))
    profile = setup.choose("realistic", "fast")
    with setup.stack(profile=profile) as stack, benchmark_site(stack) as at:
        specs = [ServerSpec(f"{who}-{n}", "volumes", 8) for who in ("ours", "scripted") for n in range(count)]
        originals = at.launch(*specs)
        servers = at.adopt(*originals[:count])
        hosts = stack.settings.var / "lab" / "hosts"

        def ours_of(number: int) -> list[float]:
            time.sleep(number * APART_S)
            return [switched(at, servers[number], turn) for turn in range(rounds)]

        def scripted(number: int) -> float:
            time.sleep((number + 0.5) * APART_S)
            script, plain = StopThenMove(at.ec2, hosts, USER_DATA), at.scripted(originals[count + number])
            until("its host is up", HOST_UP_S, lambda: True if script.agent_is_up(plain.instance_id) else None)
            began = time.time()
            script.move(plain, at.market_choice.types[number % len(at.market_choice.types)])
            return at.outage_ms(f"scripted-{number}", began, time.time())

        with ThreadPoolExecutor(2 * count) as threads:
            theirs = threads.map(scripted, range(count))
            ours = [one for each in threads.map(ours_of, range(count)) for one in each]
            usual = list(theirs)
    setup.details.update({"realistic": ours, "realistic, usual script": usual})
    setup.say(f"{NAME}: realistic delays: {summary(ours)}, the usual script {summary(usual)}")
    made, met = summary(ours), summary(ours)["p95"] <= TENTH * summary(usual)["p95"]
    how = HOW.replace("profile fast", f"profile {profile}: delays as at AWS").replace(
        "one switch after another", f"{count} servers begin {APART_S:g} s apart"
    )
    what = "outage of a switch, volumes, realistic delays"
    return [Figure(NAME, what, "ms", made, summary(usual), BASELINE, "a tenth of the baseline", met, how)]
