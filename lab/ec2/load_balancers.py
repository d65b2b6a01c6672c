"""Load balancers: moto keeps the records, the hosts open listeners and check targets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from moto.elbv2.models import elbv2_backends

from lab.contracts import HealthCheck
from lab.ec2.addresses import owner
from lab.ec2.errors import Ec2Error
from lab.ec2.records import ACCOUNT, Params
from lab.ec2.world import World

REASONS = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "Target.NotInUse": ("Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"),
    "Target.NotRegistered": ("Target.NotRegistered", "Target is not registered to the target group"),
    "Target.InvalidState": ("Target.InvalidState", "Target is in the stopped state"),
}
FAST_INTERVAL_S = 0.2  # in the fast profile a group's own interval and thresholds would take minutes


def backend(world: World) -> Any:
    return elbv2_backends[ACCOUNT][world.region]


def group(world: World, arn: str) -> Any:
    found = backend(world).target_groups.get(arn)
    if found is None:
        raise Ec2Error("TargetGroupNotFound", "One or more target groups not found")
    return found


def register_targets(world: World, params: Params) -> dict[str, Any]:
    """Only running instances; the same target again changes nothing."""
    found = group(world, str(params["TargetGroupArn"]))
    targets = [(str(t["Id"]), int(t.get("Port") or found.port)) for t in params.get("Targets") or ()]
    addresses = {target: _address(world, found, target) for target, _ in targets}
    for target, port in targets:
        found.targets[target] = {"Id": target, "Port": port}
        world.hosts.register_target(found.arn, target, addresses[target], port)
    return {}


def _address(world: World, found: Any, target: str) -> str:
    if found.target_type == "ip":
        return target
    instance = world.instances.get(target)
    if instance is None:
        raise Ec2Error("InvalidTarget", f"The following targets are not valid instances: '{target}'")
    if instance.state != "running":
        raise Ec2Error(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: '{target}'",
        )
    return world.interfaces_of(target)[0].private_ip


def deregister_targets(world: World, params: Params) -> dict[str, Any]:
    """Open connections may finish for the group's deregistration delay. Unknown targets are no error."""
    found = group(world, str(params["TargetGroupArn"]))
    delay = float(found.attributes.get("deregistration_delay.timeout_seconds", 300))
    for one in params.get("Targets") or ():
        target = str(one["Id"])
        if found.targets.pop(target, None) is not None:
            world.hosts.deregister_target(found.arn, target, delay)
    return {}


def describe_target_health(world: World, params: Params) -> dict[str, Any]:
    found = group(world, str(params["TargetGroupArn"]))
    states = dict(world.hosts.target_health(found.arn))
    ports = {name: int(t["Port"]) for name, t in found.targets.items()}
    draining = [name for name, state in states.items() if state == "draining" and name not in ports]
    asked = [str(t["Id"]) for t in params.get("Targets") or ()] or [*ports, *draining]
    rows = []
    for target in asked:
        word, reason = _judge(world, found, target, states)
        health: dict[str, str] = {"State": word}
        if reason:
            health["Reason"], health["Description"] = REASONS[reason]
        port = ports.get(target, int(found.port))
        rows.append(
            {
                "Target": {"Id": target, "Port": port},
                "HealthCheckPort": str(port),
                "TargetHealth": health,
            }
        )
    return {"TargetHealthDescriptions": rows}


def _judge(world: World, found: Any, target: str, states: Mapping[str, str]) -> tuple[str, str | None]:
    if target not in found.targets:
        if states.get(target) == "draining":
            return "draining", "draining"
        return "unused", "Target.NotRegistered"
    if not found.load_balancer_arns:
        return "unused", "Target.NotInUse"
    name = target if found.target_type != "ip" else owner(world, target) or ""
    instance = world.instances.get(name)
    if instance is not None and instance.state in ("stopping", "stopped"):
        return "unused", "Target.InvalidState"
    word = states.get(target, "initial")
    return word, word if word in REASONS else None


def instance_ended(world: World, instance_id: str) -> None:
    for found in backend(world).target_groups.values():
        if found.targets.pop(instance_id, None) is not None:
            world.hosts.deregister_target(found.arn, instance_id, 0)


def describe_account_limits(world: World, params: Params) -> dict[str, Any]:
    return {"Limits": [{"Name": "targets-per-application-load-balancer", "Max": "1000"}]}


LOCAL_ACTIONS: dict[str, Callable[[World, Params], dict[str, Any]]] = {
    "RegisterTargets": register_targets,
    "DeregisterTargets": deregister_targets,
    "DescribeTargetHealth": describe_target_health,
    "DescribeAccountLimits": describe_account_limits,
}


def after_moto(world: World, name: str, params: Params, body: str) -> str:
    """Once moto has answered: give balancers an address of the lab, and open or close listeners."""
    if name == "CreateLoadBalancer":
        for found in backend(world).load_balancers.values():
            if found.arn not in world.balancing.addresses:
                body = body.replace(found.dns_name, _name(world, found))
    elif name in (
        "CreateListener",
        "ModifyListener",
        "DeleteListener",
        "DeleteLoadBalancer",
        "DeleteTargetGroup",
        "ModifyTargetGroup",
    ):
        _match_listeners(world)
    return body


def _name(world: World, balancer: Any) -> str:
    address = f"{world.settings.network}.201.{world.number('balancer')}"
    world.balancing.addresses[balancer.arn] = balancer.dns_name = address
    balancer.state = "active"
    return address


def _match_listeners(world: World) -> None:
    """Open the listeners that moto's records have and the hosts do not, and close all others."""
    wanted: dict[str, tuple[str, int]] = {}
    for balancer in backend(world).load_balancers.values():
        address = world.balancing.addresses.get(balancer.arn)
        for listener in balancer.listeners.values():
            for arn in _forwards(listener):
                if address and arn in backend(world).target_groups:
                    wanted[arn] = (address, int(listener.port))
    for arn in set(world.balancing.open) - set(wanted):
        world.hosts.close_listener(arn)
        world.balancing.open.pop(arn)
    for arn, (address, port) in wanted.items():
        if world.balancing.open.get(arn) != (address, port):
            world.hosts.open_listener(arn, address, port, health_check(world, group(world, arn)))
            world.balancing.open[arn] = (address, port)


def _forwards(listener: Any) -> list[str]:
    return re.findall(r"arn:[^'\"\s]+:targetgroup/[^'\"\s,}]+", str([a.data for a in listener.default_actions]))


def health_check(world: World, found: Any) -> HealthCheck:
    tcp = found.health_check_protocol in ("TCP", "TLS", "UDP", "TCP_UDP")
    path = "" if tcp else str(found.health_check_path or "/")
    if world.profile.name == "fast":
        return HealthCheck(path=path, interval_s=FAST_INTERVAL_S)
    return HealthCheck(
        path=path,
        interval_s=float(found.health_check_interval_seconds),
        timeout_s=float(found.health_check_timeout_seconds),
        healthy_threshold=int(found.healthy_threshold_count),
        unhealthy_threshold=int(found.unhealthy_threshold_count),
    )


def truth(world: World) -> list[dict[str, Any]]:
    rows = []
    for found in backend(world).target_groups.values():
        rows.append(
            {
                "arn": found.arn,
                "name": found.name,
                "targets": {name: t["Port"] for name, t in found.targets.items()},
                "health": dict(world.hosts.target_health(found.arn)),
                "listener": world.balancing.open.get(found.arn),
                "attributes": dict(found.attributes),
                "at": time.time(),
            }
        )
    return rows
