"""The control plane's own share of a switch, beside a plain boto3 script that makes the same calls in a row.

Both move a server with a data volume and an Elastic IP on the lab (profile fast), by turns on the
same machine. The own share is the duration less the lab's delays (launch, boot, detach, attach,
terminate), the host's start of its agent and the host's hooks.
"""

from __future__ import annotations

from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.setup import MeasureSetup
from proof.benchmarks.share_pair import ServerPair
from proof.benchmarks.switch_times import SwitchTimes, as_json

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
    """So that both meet the same machine; the first of each is not counted."""
    switches, scripts = [], []
    with setup.stack() as stack, stack.lab() as lab, stack.api() as http:
        rig = ServerPair(stack, lab, http)
        for number in range(count + 1):
            switches.append(rig.switch(number))
            scripts.append(rig.script(number))
            setup.say(
                f"{NAME}: {number} of {count}: own share {switches[-1].share:.0f} ms of {switches[-1].took:.0f};"
                f" the script's {scripts[-1].share:.0f} ms of {scripts[-1].took:.0f}"
            )
    return switches[1:], scripts[1:]
