"""A plan in words: what a switch would do, in order, before anything is done."""

from __future__ import annotations

from collections.abc import Sequence

from domain.adoption import Finding, MoveTerms, Plan, PlannedStep
from domain.autopilot.move_cost import MoveCost, MoveProfile
from domain.blueprint import Blueprint
from domain.pools import Candidate
from domain.servers import Handoff, ServerPolicy

# EC2 actions a handoff needs beside launch and terminate: tried by DryRun before anything starts.
ACTIONS: dict[Handoff, tuple[str, ...]] = {
    Handoff.STATELESS: (),
    Handoff.VOLUMES: ("DetachVolume", "AttachVolume"),
    Handoff.SNAPSHOT: ("CreateSnapshot", "CreateVolume", "AttachVolume", "DetachVolume", "DeleteVolume"),
}

# Rough durations on AWS in seconds, only for the plan. The receipt holds what was measured.
_LAUNCH_S, _READY_S, _QUIESCE_S, _DEVICES_S, _RESUME_S, _ADDRESS_S = 25.0, 30.0, 5.0, 8.0, 5.0, 1.5
_SNAPSHOT_S, _DELTA_S, _VOLUME_S, _TERMINATE_S, _TARGET_S = 300.0, 45.0, 10.0, 60.0, 15.0
# Both instances are paid for while one hands over to the other, hours (measured on AWS by type of handoff: launch and
# warm-up for all, a full snapshot beside it where the zone changes).
_OVERLAP_H = {Handoff.STATELESS: 0.1, Handoff.VOLUMES: 0.1, Handoff.SNAPSHOT: 0.5}


def actions_for(blueprint: Blueprint, handoff: Handoff) -> list[str]:
    actions = ["TerminateInstances", "CreateTags", *ACTIONS[handoff]]
    if blueprint.elastic_ips:
        actions.append("AssociateAddress")
    if blueprint.secondary_private_ips:
        actions.append("AssignPrivateIpAddresses")
    return actions


def handoff_to(blueprint: Blueprint, policy: ServerPolicy, candidate: Candidate) -> Handoff:
    """The handoff to a zone. A volume cannot leave its zone: within it the volume moves, beyond it a copy is made."""
    return _handoff_in(blueprint, candidate.pool.zone)


def _handoff_in(blueprint: Blueprint, zone: str) -> Handoff:
    if not blueprint.data_volumes:
        return Handoff.STATELESS
    return Handoff.VOLUMES if zone == blueprint.zone else Handoff.SNAPSHOT


def only_zone(blueprint: Blueprint, policy: ServerPolicy) -> str:
    """The only zone the server may go to; empty when it may leave its zone."""
    return blueprint.zone if policy.handoff is Handoff.VOLUMES else ""


def move_profile_to(blueprint: Blueprint, zone: str, keep_old_s: float) -> MoveProfile:
    """How the server would move to that zone. `keep_old_s`: how long its owner keeps the old instance."""
    handoff = _handoff_in(blueprint, zone)
    return MoveProfile(
        overlap_h=_OVERLAP_H[handoff] + keep_old_s / 3600,
        outage_h=outage_s(blueprint, handoff) / 3600,
        copies=handoff is Handoff.SNAPSHOT,
    )


def move_cost(blueprint: Blueprint, to: Candidate, hourly_now: float, terms: MoveTerms, home_usd: float) -> MoveCost:
    """The move's cost as in a decision. `home_usd`: on-demand price per hour of the home type; 0: not known."""
    move_profile = move_profile_to(blueprint, to.pool.zone, terms.autopilot.keep_old_s)
    return move_profile.cost(hourly_now, terms.autopilot.outage_usd(home_usd), blueprint.data_gib)


def compose_plan(
    blueprint: Blueprint,
    policy: ServerPolicy,
    candidates: Sequence[Candidate],
    found: Sequence[Finding],
    hourly_now: float,
    terms: MoveTerms | None = None,
    home_usd: float = 0.0,
) -> Plan:
    first = candidates[0] if candidates else None
    handoff = handoff_to(blueprint, policy, first) if first else policy.handoff
    steps = _steps(blueprint, handoff, candidates)
    return Plan(
        handoff=handoff,
        from_pool=blueprint.pool,
        candidates=list(candidates),
        steps=steps,
        moves=moves(blueprint),
        findings=list(found),
        expected_outage_s=sum(step.expected_s for step in steps if step.outage),
        hourly_now=hourly_now,
        hourly_then=first.usd_per_hour if first else 0.0,
        reason=first.reason if first else "no pool fits",
        move=move_cost(blueprint, first, hourly_now, terms, home_usd) if first and terms else None,
    )


def outage_s(blueprint: Blueprint, handoff: Handoff) -> float:
    """The outage of a planned move in seconds, as in its plan."""
    steps = [*_middle(blueprint, handoff), *_traffic_after_commit(blueprint, handoff)]
    return sum(step.expected_s for step in steps if step.outage)


def moves(blueprint: Blueprint) -> list[str]:
    """Names of what moves with the server."""
    return [
        *(f"volume {v.volume_id} ({v.device}, {v.size_gib} GiB)" for v in blueprint.data_volumes),
        *(f"elastic address {e.public_ip}" for e in blueprint.elastic_ips),
        *(f"private address {ip}" for ip in blueprint.secondary_private_ips),
        *(f"target group {t.target_group_arn.split('/')[-2]}:{t.port}" for t in blueprint.targets),
    ]


def _steps(b: Blueprint, handoff: Handoff, candidates: Sequence[Candidate]) -> list[PlannedStep]:
    names = " -> ".join(str(c.pool) for c in candidates[:4]) or "no pool"
    head = [
        PlannedStep("plan", "look again: attributes, price, quota, permissions", ["DescribeInstances"], 1.0),
        PlannedStep("launch", f"a replacement in {names}", ["RunInstances", "DescribeInstances"], _LAUNCH_S),
        PlannedStep("ready", "its agent answers; warm-up hook", [], _READY_S),
    ]
    tail = [
        PlannedStep("commit", "the replacement is the primary", [], 0.1, point_of_no_return=True),
        *_traffic_after_commit(b, handoff),
        PlannedStep("retire", f"terminate {b.instance_id}", ["TerminateInstances"], _TERMINATE_S),
        PlannedStep("receipt", "compare every attribute, before and after", ["DescribeInstances"], 1.0),
    ]
    return [*head, *_middle(b, handoff), *tail]


def _middle(b: Blueprint, handoff: Handoff) -> list[PlannedStep]:
    address = ["AssociateAddress"] * bool(b.elastic_ips)
    address += ["AssignPrivateIpAddresses"] * bool(b.secondary_private_ips)
    targets = ["RegisterTargets", "DescribeTargetHealth"] * bool(b.targets)
    if handoff is Handoff.STATELESS:
        return [
            PlannedStep("serve", "the replacement is healthy behind its target groups", targets, _TARGET_S),
            PlannedStep("move", "addresses to the replacement", address, _ADDRESS_S if address else 0.0),
            PlannedStep("fence", "the old instance drains and stops", ["DeregisterTargets"] * bool(b.targets), 30.0),
        ]
    fence = PlannedStep("fence", "stop hook, flush, unmount on the old instance", [], _QUIESCE_S, outage=True)
    serve = PlannedStep("serve", "mount, start hook, health on the replacement", targets, _RESUME_S, outage=True)
    if handoff is Handoff.VOLUMES:
        calls = ["DetachVolume", "AttachVolume", *address]
        move = PlannedStep("move", "volumes and addresses to the replacement", calls, _DEVICES_S, outage=True)
        return [fence, move, serve]
    copy = PlannedStep("copy", "full snapshots while it serves", ["CreateSnapshot"], _SNAPSHOT_S)
    calls = ["CreateSnapshot", "CreateVolume", "AttachVolume"]
    seconds = _DELTA_S + _VOLUME_S + _DEVICES_S
    move = PlannedStep("move", "last difference, volumes in the new zone", calls, seconds, outage=True)
    serve = PlannedStep("serve", "mount, start hook, health on the replacement", [], _RESUME_S, outage=True)
    return [copy, fence, move, serve]


def _traffic_after_commit(b: Blueprint, handoff: Handoff) -> list[PlannedStep]:
    """Clients reach a copy only after the commit: what it acknowledges must not be lost by a rollback."""
    if handoff is not Handoff.SNAPSHOT:
        return []
    calls = ["AssociateAddress"] * bool(b.elastic_ips) + ["RegisterTargets"] * bool(b.targets)
    return [PlannedStep("traffic", "addresses and target groups to the replacement", calls, _ADDRESS_S, outage=True)]
