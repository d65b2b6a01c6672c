"""What must hold when no operation runs: EC2 compared with the ledger, and which workload ran when.

What exists in EC2 comes from the lab (`/_lab/truth`), what should exist from the ledger's rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proof.harness.api_client import Operation

OUR_TAGS = "spot-optimizer:"
Truth = Mapping[str, Any]

# The ledger's types, where the lab lists them, and the states that mean it is gone.
_KINDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "instance": ("instances", frozenset({"terminated"})),
    "volume": ("volumes", frozenset({"deleted"})),
    "snapshot": ("snapshots", frozenset({"deleted"})),
    "address": ("addresses", frozenset()),
    "spot_request": ("spot_requests", frozenset({"closed", "cancelled", "failed"})),
}


@dataclass(frozen=True)
class LedgerRow:
    type: str
    state: str  # intended | live
    resource_id: str
    token: str
    operation_id: str


@dataclass(frozen=True)
class WorkloadRun:
    """One run of a workload from its start to its stop, by the journal of the lab's hosts."""

    instance_id: str
    since: float
    until: float


def orphans(truth: Truth, ledger: Iterable[LedgerRow]) -> list[str]:
    """Every difference between EC2 and the ledger, in both directions, in words (invariant 3)."""
    rows = list(ledger)
    known = {(row.type, row.resource_id) for row in rows if row.resource_id}
    there = set(_existing(truth))
    ours = set(_existing(truth, ours=True)) | set(_unused_volumes(truth))
    found = [f"EC2 has {kind} {name}, the ledger does not" for kind, name in sorted(ours - known)]
    found += [f"the ledger has {kind} {name}, EC2 does not" for kind, name in sorted(known - there)]
    found += [
        f"the ledger still intends {row.type} {row.token} of {row.operation_id}" for row in rows if not row.resource_id
    ]
    return found


def duplicates(truth: Truth, made: Iterable[LedgerRow], originals: Collection[str]) -> list[str]:
    """Superfluous instances: a second one of the same token, or one without a token of the ledger.

    `made`: instances that the ledger has of operations, also ended ones. `originals`: launched by the owner.
    """
    instances = [row for row in truth["instances"] if row["id"] not in originals]
    times = Counter(str(row["client_token"]) for row in instances if row["client_token"])
    found = [f"token {token} made {count} instances" for token, count in sorted(times.items()) if count > 1]
    expected = {(row.token, row.resource_id) for row in made}
    for row in instances:
        if (row["client_token"], row["id"]) not in expected and times[str(row["client_token"])] <= 1:
            found.append(f"instance {row['id']} was made by no token of the ledger")
    return found


def unrequested(operations: Iterable[Operation], asked: Collection[str]) -> list[str]:
    """Operations that nobody requested: a request or a notice was acted on twice."""
    return [f"nobody asked for {one.kind} {one.id}" for one in operations if one.id not in asked]


def runs(journal: Iterable[Mapping[str, Any]], now: float) -> list[WorkloadRun]:
    """The runs of workloads that have a volume. A run that goes on lasts until `now`."""
    started: dict[tuple[str, int], float] = {}
    found: list[WorkloadRun] = []
    for line in journal:
        if not line["volume"]:
            continue
        key = (str(line["instance"]), int(line["pid"]))
        if line["event"] == "start":
            started[key] = float(line["at"])
        elif key in started:
            found.append(WorkloadRun(key[0], started.pop(key), float(line["at"])))
    found += [WorkloadRun(instance, since, now) for (instance, _), since in started.items()]
    return sorted(found, key=lambda run: run.since)


def overlaps(found: Sequence[WorkloadRun], server_of: Mapping[str, str]) -> list[str]:
    """Where a server's workload ran on two instances at once (invariant 1)."""
    words: list[str] = []
    latest: dict[str, WorkloadRun] = {}
    for run in found:
        server = server_of.get(run.instance_id)
        if server is None:
            continue
        before = latest.get(server)
        if before and before.instance_id != run.instance_id and run.since < before.until:
            words.append(f"{server} ran on {before.instance_id} and {run.instance_id} at once")
        if before is None or run.until > before.until:
            latest[server] = run
    return words


def primaries(instances: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """The number of primaries of each server, by the records."""
    count: Counter[str] = Counter()
    for row in instances:
        count[str(row["server_id"])] += row["role"] == "primary"
    return count


def _existing(truth: Truth, *, ours: bool = False) -> Iterable[tuple[str, str]]:
    for kind, (place, ended) in _KINDS.items():
        for row in truth[place]:
            if row.get("state") in ended or (ours and not _is_ours(row)):
                continue
            yield kind, str(row["id"])


def _is_ours(row: Mapping[str, Any]) -> bool:
    return any(str(name).startswith(OUR_TAGS) for name in row["tags"])


def _unused_volumes(truth: Truth) -> Iterable[tuple[str, str]]:
    """The owner uses all of his volumes, so a volume that nothing uses was left behind, with tags or without."""
    return (("volume", str(row["id"])) for row in truth["volumes"] if not row["attached_to"])
