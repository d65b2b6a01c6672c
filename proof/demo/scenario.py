"""The scenario, act by act, in the order of `SCENARIO`."""

from __future__ import annotations

from typing import Any

from proof.demo.context import DemoContext, ScenarioStep
from proof.harness import server_owner
from proof.harness.api_client import Operation
from proof.harness.server_owner import AdoptedServer
from proof.harness.waiting import ScenarioFailed, until

NOTICE_S = 120.0  # what AWS gives
WORKER = "worker-1"
# Where the worker may be killed. Not `copy`, which is empty for this handoff, nor the last, which may
# be over before the kill arrives.
KILL_STEPS = ("launch", "ready", "fence", "move", "serve", "commit", "retire")

# Short, since everything in the lab takes a second or two.
POLICY: dict[str, Any] = {
    "launch_timeout_s": 20.0,
    "terminate_timeout_s": 20.0,
    "quiesce_timeout_s": 8.0,
    "resume_timeout_s": 4.0,
    "hook_timeout_s": 4.0,
    "drain_s": 5.0,
    "cool_down_s": 60.0,  # short, so that the next demo on the same DATABASE_URL has all pools
    "failover_pools": 2,  # each is a host of its own on this machine, with an agent to start
}

# For a machine that is busy with something else, where these steps may take long and nobody times them.
UNTIMED: dict[str, Any] = {
    "launch_timeout_s": 90.0,
    "terminate_timeout_s": 90.0,
    "quiesce_timeout_s": 20.0,
    "resume_timeout_s": 15.0,
    "hook_timeout_s": 15.0,
}


def three_servers(stage: DemoContext) -> None:
    """The owner launches them on demand; they are adopted, and clients send them requests from now on."""
    owner = server_owner.Owner(stage.stack.aws, stage.world, stage.market_choice)
    for original in owner.launch_all():
        body = {
            "name": original.name,
            "region": stage.stack.region,
            "instance_id": original.first_instance_id,
            "policy": _policy(stage, original.handoff),
        }
        server_id = stage.api.adopt(body, f"demo-adopt-{original.name}")
        stage.servers[original.name] = AdoptedServer.of(original, server_id)
        stage.observer.watch(original.endpoint)
        stage.screen.say(
            f"{original.name}: {original.first_instance_id} adopted, handoff {original.handoff}; "
            f"{'writes' if original.endpoint.writes else 'requests'} go to {original.endpoint.url}"
        )
    for name in stage.servers:
        _agent_reports(stage, name)


def a_plan(stage: DemoContext) -> None:
    """What a switch would do, before anything is done."""
    stage.screen.plan("orders", stage.api.plan(stage.servers["orders"].id))


def the_autopilot_decides(stage: DemoContext) -> None:
    """The autopilot may move the first server, and does. A second pass finds nothing more to do."""
    server = stage.servers["web"]
    stage.api.change_policy(server.id, {"autopilot": {"auto_switch": "on", "minimum_stay_h": 0}})
    _decide(stage)
    decision = _decided(stage, "web")
    stage.screen.decision("web", decision)
    _decide(stage)
    [again, *_] = stage.api.operation_ids(server.id, kind="switch")
    stage.play("switch web", "web", str(decision["operation_id"]), again=again, to_pool=decision["to_pool"])
    stage.api.change_policy(server.id, {"autopilot": {"auto_switch": "off"}})


def _decide(stage: DemoContext) -> None:
    stage.api.decide_now(stage.stack.credentials.admin_token)


def _decided(stage: DemoContext, name: str) -> dict[str, Any]:
    """The decision that led to an operation."""

    def look() -> dict[str, Any] | None:
        found = stage.api.decisions(stage.servers[name].id)
        return next((one for one in found if one["operation_id"]), None)

    return until(f"the autopilot asks for a switch of {name}", 90.0, look)


def the_others_are_switched(stage: DemoContext) -> None:
    """From on-demand to the best spot pool."""
    for name in ("orders", "ledger"):
        operation_id = stage.ask(name, "switch", f"switch-{name}")
        # A client without an answer repeats its request with the same key. That must be the same operation.
        again = stage.ask(name, "switch", f"switch-{name}")
        stage.play(f"switch {name}", name, operation_id, again=again)


def an_empty_pool(stage: DemoContext) -> None:
    """The first pool is empty. Meanwhile the reader of the events is disconnected."""
    first = stage.api.plan(stage.servers["web"].id)["candidates"][0]["pool"]
    stage.tell_lab(f"/_lab/pools/{first}/capacity", {"capacity": 0})
    stage.screen.say(f"{first} has no capacity left; the reader of the event stream disconnects")
    stage.follower.disconnect()
    last, place = stage.follower.tally.last, stage.follower.position
    stage.play("empty pool", "web", stage.ask("web", "switch", "empty-pool"), first=first)
    stage.follower.connect()
    head = stage.api.latest_event()
    until("the event stream is caught up", 90.0, lambda: True if stage.follower.tally.last >= head else None)
    caught_up = len(stage.follower.since(place))
    stage.screen.say(f"the reader is back with Last-Event-ID {last}: {caught_up} events caught up")


def a_replica(stage: DemoContext) -> None:
    stage.play("replica", "orders", stage.ask("orders", "replica", "replica"))


def interrupted_with_replica(stage: DemoContext) -> None:
    replica = stage.api.server(stage.servers["orders"].id)["replica"]
    if replica is None:
        raise ScenarioFailed("orders has no replica in the records")
    _rescue(stage, "rescue with replica", "orders", replica=replica["id"])


def interrupted_without_replica(stage: DemoContext) -> None:
    _rescue(stage, "rescue without replica", "ledger")


def a_worker_dies(stage: DemoContext) -> None:
    """SIGKILL in the middle of a switch, and a new worker."""
    step = stage.chance.choice(KILL_STEPS)
    stage.screen.say(f"the worker will be killed at the step {step}")
    since = stage.follower.position
    operation_id = stage.ask("orders", "switch", "killed-worker")
    stage.await_step(operation_id, step, since)
    stage.stack.kill(WORKER)
    stage.screen.say(f"{WORKER} killed (SIGKILL); starting it again")
    stage.stack.restart(WORKER)
    stage.screen.say(f"{WORKER} is back")
    stage.play("killed worker", "orders", operation_id, step=step)


def never_healthy(stage: DemoContext) -> None:
    """The replacement's health hook never passes, so the switch is undone, its volumes included."""
    before = stage.primary("orders")
    pool = _other_type(stage, before["instance_type"])
    rule = {"instance_types": [pool.split("/")[1]]}
    stage.tell_lab("/_lab/hooks", {"health": rule})
    try:
        stage.screen.say(f"no workload will become healthy in {pool}")
        operation_id = stage.ask("orders", "switch", "never-healthy", {"pool": pool})
        stage.play("never healthy", "orders", operation_id, expected="rolled_back", before=before["id"])
    finally:
        stage.tell_lab("/_lab/hooks", {})


def _agent_reports(stage: DemoContext, name: str) -> None:
    until(f"the agent of {name} reports", 90.0, lambda: stage.primary(name)["agent_seen_at"])


def _rescue(stage: DemoContext, act: str, name: str, **notes: Any) -> Operation:
    operation_id, noticed_at, instance_id = stage.interrupt(name, NOTICE_S)
    return stage.play(act, name, operation_id, noticed_at=noticed_at, doomed=instance_id, **notes)


def _policy(stage: DemoContext, handoff: str) -> dict[str, Any]:
    """The snapshot server may not use its first zone, so that its switch leaves it."""
    zones = stage.market_choice.other_zones if handoff == "snapshot" else list(stage.market_choice.zones)
    limits = {**POLICY, **(UNTIMED if stage.untimed else {})}
    return {**limits, "handoff": handoff, "instance_types": list(stage.market_choice.types), "zones": zones}


def _other_type(stage: DemoContext, instance_type: str) -> str:
    candidates = stage.api.plan(stage.servers["orders"].id)["candidates"]
    pools = [str(one["pool"]) for one in candidates]
    for pool in pools:
        if pool.split("/")[1] != instance_type:
            return pool
    raise ScenarioFailed(f"no pool for orders of another type than {instance_type}: {', '.join(pools)}")


SCENARIO: tuple[tuple[str, ScenarioStep], ...] = (
    ("Three servers, on demand, under constant requests", three_servers),
    ("A plan", a_plan),
    ("The autopilot switches the first to spot", the_autopilot_decides),
    ("The others are switched to the best spot pool", the_others_are_switched),
    ("A switch finds its first pool empty", an_empty_pool),
    ("A replica is made for the second server", a_replica),
    ("An interruption: the replica takes over", interrupted_with_replica),
    ("An interruption without a replica", interrupted_without_replica),
    ("The worker is killed in the middle of a switch", a_worker_dies),
    ("A replacement that never becomes healthy", never_healthy),
)
