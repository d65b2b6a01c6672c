"""The control plane's own share of a switch, beside a plain boto3 script that makes the same calls in a row.

Both move a server with a data volume and an Elastic IP on the lab (profile fast), by turns on the
same machine. The own share is the duration without the lab's delays (launch, boot, detach, attach,
terminate), the start of the agent on the host, and the host's hooks.
"""

from __future__ import annotations

import asyncio
import time

from temporalio.client import Client

from proof.benchmarks import counters, workflow_history
from proof.benchmarks.benchmark_site import HOST_UP_S, BenchmarkSite, benchmark_site
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.move_script import USER_DATA, MoveScript
from proof.benchmarks.setup import MeasureSetup
from proof.benchmarks.switch_times import SwitchTimes, agent_start_ms, as_json, times_of_script, times_of_switch
from proof.benchmarks.workflow_history import ActivityTimes
from proof.harness.server_owner import ServerSpec
from proof.harness.waiting import until

NAME = "share"
AIM_MS = 1000.0
HOW = (
    "lab, profile fast; a switch of a server with a data volume and an Elastic IP, and the script's move of another,"
    " by turns; what is left of each without the lab's delays, the host's start of its agent and its hooks"
)


def measure(setup: MeasureSetup) -> list[Figure]:
    switches, scripts = _by_turns(setup, setup.choose(20, 1))
    setup.details.update({"switches": [as_json(run) for run in switches], "scripts": [as_json(run) for run in scripts]})
    ours, theirs = summary([run.share for run in switches]), summary([run.share for run in scripts])
    more = ours["p50"] - theirs["p50"]
    measured = {**ours, "more than the script (p50)": round(more, 2)}
    return [
        Figure(NAME, "control plane's share of a switch", "ms", measured, theirs,
               "the same calls from a plain script, in a row", f"p50 at most {AIM_MS:.0f} more", more <= AIM_MS, HOW),
    ]  # fmt: skip


def _by_turns(setup: MeasureSetup, count: int) -> tuple[list[SwitchTimes], list[SwitchTimes]]:
    """Both meet the same load that way. The first of each is not counted."""
    switches, scripts = [], []
    with setup.stack() as stack, benchmark_site(stack) as site:
        pair = ServerPair(site)
        for number in range(count + 1):
            switches.append(pair.switch(number))
            scripts.append(pair.script(number))
            setup.say(
                f"{NAME}: {number} of {count}: own share {switches[-1].share:.0f} ms of {switches[-1].took:.0f};"
                f" the script's {scripts[-1].share:.0f} ms of {scripts[-1].took:.0f}"
            )
    return switches[1:], scripts[1:]


class ServerPair:
    """Two equal servers on one lab: the product switches one, the script moves the other.

    No client sends them requests, which would cost what is measured.
    """

    def __init__(self, site: BenchmarkSite) -> None:
        self._site = site
        orders, plain = site.owner.launch_all([ServerSpec("orders", "volumes", 8), ServerSpec("plain", "volumes", 8)])
        self._hosts = site.stack.settings.var / "lab" / "hosts"
        self._script = MoveScript(site.ec2, self._hosts, USER_DATA)
        (self._server,) = site.adopt(orders)
        self._plain = site.scripted(plain)
        up = self._script.agent_is_up
        until("the script's host is up", HOST_UP_S, lambda: True if up(plain.first_instance_id) else None)

    def switch(self, number: int) -> SwitchTimes:
        """By the product, to the best pool."""
        site = self._site
        pids = {name: process.pid for name, process in site.stack.processes.items() if process.pid}
        worked, began = counters.processor_ms(pids), time.perf_counter()
        operation_id = site.ask(self._server, "switch", f"bench-{number}")
        site.await_end(operation_id)
        outside = 1000 * (time.perf_counter() - began)
        worked = counters.between(worked, counters.processor_ms(pids))
        operation = site.committed(operation_id)
        started = self._agent_start(str(site.primary(self._server)["id"]), "polling")
        done = self._history(operation.workflow_id)
        return times_of_switch(operation, site.delays, started, outside, done, worked)

    def script(self, number: int) -> SwitchTimes:
        """By the script, to a spot instance of another type each time."""
        types = self._site.market_choice.types
        self._plain, times = self._script.move(self._plain, types[number % len(types)])
        started = self._agent_start(self._plain.instance_id, "agent.registrar")
        return times_of_script(times, self._site.delays, started)

    def _agent_start(self, instance_id: str, word: str) -> float:
        log = self._site.stack.settings.logs / "lab.log"
        return agent_start_ms(self._hosts, log, instance_id, 1000 * self._site.delays.boot_s, word)

    def _history(self, workflow_id: str) -> list[ActivityTimes]:
        async def fetch() -> list[ActivityTimes]:
            client = await Client.connect(self._site.stack.temporal_address)
            return await workflow_history.activities(client, workflow_id)

        return asyncio.run(fetch())
