"""How an instance and its owner learn about an interruption: by IMDS, and by EventBridge's message in a queue."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from moto.sqs.models import sqs_backends

from lab.ec2 import lifecycle, spot
from lab.ec2.errors import Ec2Error
from lab.ec2.records import ACCOUNT, Instance, utc
from lab.ec2.wire import request_id
from lab.ec2.world import World

QUEUE = "spot-notices"
WARNING = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
ACTIONS = ("terminate", "stop", "hibernate")


def create_queue(world: World) -> None:
    sqs_backends[ACCOUNT][world.region].create_queue(QUEUE, {})


def event(world: World, instance_id: str, kind: str, detail: dict[str, str]) -> dict[str, Any]:
    """EventBridge's envelope, as it stands in the queue."""
    return {
        "version": "0",
        "id": request_id(),
        "detail-type": kind,
        "source": "aws.ec2",
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": world.region,
        "resources": [f"arn:aws:ec2:{world.region}:{ACCOUNT}:instance/{instance_id}"],
        "detail": {"instance-id": instance_id, **detail},
    }


def _send(world: World, message: dict[str, Any]) -> None:
    sqs_backends[ACCOUNT][world.region].send_message(QUEUE, json.dumps(message))


def interrupt(world: World, instance_id: str, seconds: float, action: str, via: Collection[str]) -> dict[str, Any]:
    """EC2 interrupts a spot instance after `seconds` of notice. 0: it ends at once."""
    instance = _spot_instance(world, instance_id)
    if action not in ACTIONS:
        raise Ec2Error("BadRequest", f"action is one of {', '.join(ACTIONS)}")
    at = time.time() + seconds
    if seconds > 0:
        instance.notice = (action, at)
        spot.mark_for_interruption(world, instance, action)
        if "imds" in via:
            world.hosts.spot_notice(instance.id, action, utc(at))
        if "sqs" in via:
            _send(world, event(world, instance.id, WARNING, {"instance-action": action}))
    state_version = instance.state_version
    world.after(seconds, lambda: _take_back(world, instance, action, state_version, at_once=seconds <= 0))
    return {"instance_id": instance.id, "action": action, "at": utc(at).isoformat()}


def _take_back(world: World, instance: Instance, action: str, state_version: int, at_once: bool) -> None:
    if not instance.alive or (instance.state_version != state_version and instance.state != "running"):
        return
    if action == "terminate":
        lifecycle.terminate(world, instance, lifecycle.SPOT_INTERRUPTION, at_once)
    elif instance.state == "running":
        lifecycle.stop(world, instance, ("Server.SpotInstanceShutdown", "Server.SpotInstanceShutdown"))


def rebalance(world: World, instance_id: str, via: Collection[str]) -> dict[str, Any]:
    """A rebalance recommendation. Nothing else happens to the instance."""
    instance = _spot_instance(world, instance_id)
    now = time.time()
    if "imds" in via:
        world.hosts.rebalance_notice(instance.id, utc(now))
    if "sqs" in via:
        _send(world, event(world, instance.id, REBALANCE, {}))
    return {"instance_id": instance.id, "at": utc(now).isoformat()}


def kill(world: World, instance_id: str, outcome: str) -> dict[str, Any]:
    """The hardware fails. `impaired`: EC2 still lists it as running, and its checks fail."""
    instance = world.instance(instance_id)
    if outcome == "impaired":
        instance.impaired = True
        world.then(lambda: world.hosts.power_off(instance.id))
    elif outcome == "terminated":
        reason = lifecycle.SPOT_INTERRUPTION if instance.lifecycle == "spot" else lifecycle.HARDWARE_FAILURE
        lifecycle.terminate(world, instance, reason, at_once=True)
    else:
        raise Ec2Error("BadRequest", "outcome is 'terminated' or 'impaired'")
    return {"instance_id": instance.id, "outcome": outcome}


def _spot_instance(world: World, instance_id: str) -> Instance:
    instance = world.instance(instance_id)
    if instance.lifecycle != "spot":
        raise Ec2Error("Conflict", f"{instance_id} is on-demand: it is never interrupted. Use kill.", 409)
    if not instance.alive:
        raise Ec2Error("Conflict", f"{instance_id} is {instance.state}", 409)
    return instance
