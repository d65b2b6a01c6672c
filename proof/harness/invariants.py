"""What must hold once nothing runs any more, whatever was broken: invariants 1 to 5 and 8, in words.

The sources are the lab (for EC2), the tables (for the records), the hosts' journal (which workload ran when),
and the clients' samples (what was acknowledged).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from db.engine.session import make_engine, make_session_factory
from db.status import invariants
from lab.hosts import journal
from proof.harness import audit
from proof.harness.api_client import Operation
from proof.harness.ledger import LedgerReader
from proof.harness.observer import EndpointClient, writes_on_disk
from proof.harness.server_owner import AdoptedServer
from proof.harness.site import Site
from proof.harness.waiting import ScenarioFailed, WaitTimedOut, until

_SETTLE_S = 60.0
OUTCOMES = ("committed", "rolled_back", "needs_attention")


def assert_invariants(site: Site, *servers: AdoptedServer) -> None:
    """Invariants 1 to 5 and 8 hold for the whole site, and these servers are answered by their primary."""
    wrong = broken_invariants(site, servers or tuple(site.servers.values()))
    assert not wrong, f"seed {site.seed}: " + "; ".join(wrong)


def broken_invariants(site: Site, servers: Iterable[AdoptedServer]) -> list[str]:
    """What does not hold, each text beginning with the number of its invariant."""
    wrong = [*_at_rest(site), *_primaries(site), *_workloads(site), *_orphans(site), *_idle(site), *_unasked(site)]
    wrong += nondeterminism_errors(site)
    for server in servers:
        wrong += _lost_writes(site, server)
        wrong += _answering(site, server)
    return wrong


def nondeterminism_errors(site: Site) -> list[str]:
    """Histories that a worker could not replay, by its log. Such a workflow never goes on."""
    logs = sorted(site.stack.settings.logs.glob("worker*.log"))
    return [f"9: {one.name}: {line.strip()[:400]}" for one in logs for line in _nondeterminism(one)]


def _nondeterminism(log: Path) -> list[str]:
    with log.open(errors="replace") as lines:
        return [line for line in lines if "Nondeterminism error" in line][:3]


def broken_while_busy(site: Site) -> list[str]:
    """What must hold at every moment: one primary, one workload, and no hole in the events."""
    assert site.stack.database is not None
    engine = make_engine(site.stack.database.url, pool_size=1, max_overflow=0)
    try:
        with make_session_factory(engine)() as session:
            several = [f"1: {one} has several primaries" for one in invariants.servers_with_several_primaries(session)]
            holes = [f"8: events of {one} are missing" for one in invariants.clients_with_missing_events(session)]
    finally:
        engine.dispose()
    return [*several, *holes, *_workloads(site)]


def assert_outcome(site: Site, server: AdoptedServer, operation: Operation, before: str) -> None:
    """Invariant 5 of one switch: `before` was the primary, and is again if the switch was undone."""
    words = f"seed {site.seed}: {operation.id} {operation.outcome}: {operation.reason}"
    assert operation.outcome in OUTCOMES, words
    now = site.primary(server)["id"]
    if operation.outcome == "rolled_back":
        assert now == before, f"{words}; the primary is {now}, was {before}"
    if operation.outcome == "committed":
        assert now != before, f"{words}; the primary is still {before}"


def assert_once(site: Site, server: AdoptedServer, what: str, key: str, operation: Operation) -> None:
    """Invariant 4: the same request, repeated after the end, is the same operation."""
    known = site.api.operation_ids(server.id)
    assert site.api.ask(server.id, what, {}, key) == operation.id, f"seed {site.seed}"
    assert site.api.operation_ids(server.id) == known, f"seed {site.seed}: the repetition became an operation"


def _at_rest(site: Site) -> list[str]:
    """By the tables: every operation has ended, every server has one primary, no event is missing."""
    return _stays(lambda: _in_the_tables(site))


def _in_the_tables(site: Site) -> list[str]:
    assert site.stack.database is not None
    engine = make_engine(site.stack.database.url, pool_size=1, max_overflow=0)
    try:
        with make_session_factory(engine)() as session:
            return [
                *(f"5: {one} has not ended" for one in invariants.unfinished_operations(session)),
                *(f"1: {one} has several primaries" for one in invariants.servers_with_several_primaries(session)),
                *(f"5: {one} has no primary" for one in invariants.active_servers_without_primary(session)),
                *(f"3: {one} was left behind" for one in invariants.live_instances_of_ended_servers(session)),
                *(f"8: events of {one} are missing" for one in invariants.clients_with_missing_events(session)),
            ]
    finally:
        engine.dispose()


def _primaries(site: Site) -> list[str]:
    count = audit.primaries(site.api.instances())
    return [f"1: {s.name} has {count[s.id]} primaries" for s in site.servers.values() if count[s.id] != 1]


def _workloads(site: Site) -> list[str]:
    """No server's workload ran on two instances at once, and no volume was used by two."""
    state = str(site.stack.settings.var / "lab")
    names = {server.id: server.name for server in site.servers.values()}
    rows = site.api.instances()
    owners = {str(row["id"]): names[str(row["server_id"])] for row in rows if row["server_id"] in names}
    twice = [f"1: one volume in use by {a['instance']} and {b['instance']}" for a, b in journal.overlaps(state)]
    return twice + [f"1: {one}" for one in audit.overlaps(audit.runs(journal.read(state), time.time()), owners)]


def _orphans(site: Site) -> list[str]:
    """EC2 and the ledger list the same resources, each once."""
    ledger = LedgerReader(site.stack.database.url if site.stack.database else "", site.stack.credentials.client_id)
    originals = {server.first_instance_id for server in site.servers.values()}
    wrong = _stays(lambda: audit.orphans(site.truth(), ledger.open_rows()))
    wrong += audit.duplicates(site.truth(), ledger.instances_made(), originals)
    return [f"3: {one}" for one in wrong]


def _idle(site: Site) -> list[str]:
    """Instances that EC2 still bills and that no server uses."""
    players = {row["id"] for row in site.api.instances() if row["role"]}
    alive = [str(row["id"]) for row in site.truth()["instances"] if row["state"] not in ("terminated", "shutting-down")]
    return [f"3: {one} plays no server and was not ended" for one in alive if one not in players]


def _unasked(site: Site) -> list[str]:
    return [
        f"4: {one} was asked for by nobody" for one in site.api.operation_ids() if one not in site.requested_operations
    ]


def _lost_writes(site: Site, server: AdoptedServer) -> list[str]:
    if not server.endpoint.writes:
        return []
    # The samples are read first: a write that is acknowledged later may not be on disk yet.
    notes = [sample.n for samples in site.observer.samples(server.name) for sample in samples if sample.ok]
    try:
        on_disk = writes_on_disk(EndpointClient(f"{server.name}-1", server.endpoint))
    except ScenarioFailed as error:
        return [f"2: {error}"]
    lost = sorted(set(notes) - on_disk)
    words = [f"2: {server.name} lost {len(lost)} of {len(notes)} acknowledged writes: {lost[:5]}"] if lost else []
    return words if notes else [f"2: no write of {server.name} was ever acknowledged"]


def _answering(site: Site, server: AdoptedServer) -> list[str]:
    try:
        answered, primary = site.serving_instance(server), site.primary(server)["id"]
    except WaitTimedOut as error:
        return [f"5: {error}"]
    return [] if answered == primary else [f"5: {server.name} is answered by {answered}, its primary is {primary}"]


def _stays(look: Callable[[], list[str]]) -> list[str]:
    """What is still wrong after a while: the last records may not be written yet."""
    last: list[str] = []

    def quiet() -> bool | None:
        last[:] = look()
        return None if last else True

    try:
        until("all is quiet", _SETTLE_S, quiet, every_s=0.3)
    except WaitTimedOut:
        return list(last)
    return []
