"""The times of one switch: what the lab took, what the host took, and what is left for the product."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from proof.benchmarks.move_script import ScriptTimes
from proof.benchmarks.workflow_history import ActivityTimes
from proof.harness.api_client import Operation, epoch
from proof.harness.lab_delays import LabDelays


@dataclass(frozen=True)
class StepTime:
    """One step in milliseconds: the whole, the lab's delays in it, and the host's own work."""

    name: str
    took: float
    lab: float = 0.0
    host: float = 0.0

    @property
    def left(self) -> float:
        """Negative where a delay had begun before the step that waits for it."""
        return self.took - self.lab - self.host


@dataclass(frozen=True)
class SwitchTimes:
    """One run. `share`: milliseconds that neither the lab nor the host took."""

    parts: Sequence[StepTime]
    took: float
    outside: float = 0.0  # as its caller saw it: from the request until it was told the end
    waits: Mapping[str, float] = field(default_factory=dict)  # the whole time, by what was under way
    processor: Mapping[str, float] = field(default_factory=dict)  # processor time of each process, milliseconds

    @property
    def share(self) -> float:
        return sum(part.left for part in self.parts)


def times_of_switch(
    operation: Operation,
    delays: LabDelays,
    agent_start: float,
    outside: float,
    history: Sequence[ActivityTimes],
    processor: Mapping[str, float],
) -> SwitchTimes:
    """From the operation's receipt. `agent_start`: from the host's boot until its agent answered."""
    took = 1000 * ((operation.finished_at or operation.requested_at) - operation.requested_at)
    lab, parts = delays.ms_by_step(), []
    for step in operation.receipt["steps"]:
        hooks = sum(float(hook["ms"]) for hook in step["hooks"])
        host = hooks + (agent_start if step["name"] == "ready" else 0.0)
        parts.append(StepTime(step["name"], float(step["ms"]), lab.get(step["name"], 0.0), host))
    parts.append(StepTime("between", took - sum(part.took for part in parts)))
    return SwitchTimes(parts, took, outside, time_by_cause(history, took), processor)


def times_of_script(times: ScriptTimes, delays: LabDelays, host_start: float) -> SwitchTimes:
    lab = delays.ms_by_step()
    parts = [
        StepTime(name, ms, lab.get(name, 0.0), times.hooks.get(name, 0.0) + (host_start if name == "ready" else 0.0))
        for name, ms in times.steps.items()
    ]
    took = sum(part.took for part in parts)
    return SwitchTimes(parts, took, took)


def time_by_cause(history: Sequence[ActivityTimes], took: float) -> dict[str, float]:
    """The whole time in milliseconds, by what was under way at each moment. The first cause that applies counts."""
    marks = sorted({0.0, took / 1000, *(at for one in history for at in _instants(one) if 0 <= at <= took / 1000)})
    found: dict[str, float] = {}
    for since, until in pairwise(marks):
        what = _under_way(history, (since + until) / 2)
        found[what] = found.get(what, 0.0) + 1000 * (until - since)
    return found


def _instants(one: ActivityTimes) -> list[float]:
    return [at for at in (one.scheduled, one.started, one.ended) if at is not None]


def _under_way(history: Sequence[ActivityTimes], at: float) -> str:
    now = [one for one in history if one.scheduled <= at and (one.ended is None or at < one.ended)]
    if any(one.queue.startswith("instance.") and one.runs(at) for one in now):
        return "the host works"
    if any(one.name.startswith("ec2_") and one.runs(at) for one in now):
        return "EC2 is asked or waited for"
    if any(one.name != "fleet_record" for one in now):
        return "nobody has taken the task up yet"
    return "records alone are written" if now else "the workflow decides what is next"


# --- what a host's own log says


def agent_start_ms(hosts: Path, lab_log: Path, instance_id: str, boot_ms: float, word: str) -> float:
    """From the host's boot to the line of its agent's log that has this word."""
    line = next(line for line in _lines(hosts / instance_id / "log" / "agent.log") if word in line)
    return 1000 * (epoch(json.loads(line)["at"]) - _running_at(lab_log, instance_id)) - boot_ms


def _running_at(lab_log: Path, instance_id: str) -> float:
    word = f"instance {instance_id}: pending -> running"
    found = json.loads(next(line for line in _lines(lab_log) if word in line))
    return datetime.fromisoformat(found["time"]).timestamp()


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if re.match(r"\{.*\}$", line)]


def as_json(run: SwitchTimes) -> dict[str, Any]:
    parts = [
        {
            "name": p.name,
            "ms": round(p.took),
            "lab_ms": round(p.lab),
            "host_ms": round(p.host),
            "left_ms": round(p.left),
        }
        for p in run.parts
    ]
    return {
        "ms": round(run.took),
        "outside_ms": round(run.outside),
        "share_ms": round(run.share),
        "steps": parts,
        "waits_ms": {name: round(ms) for name, ms in run.waits.items()},
        "processor_ms": {name: round(ms) for name, ms in run.processor.items()},
    }
