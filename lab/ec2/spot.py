"""Spot requests. Every spot launch has one, and it decides what may be done with the instance."""

from __future__ import annotations

from typing import Any

from lab.ec2.errors import Ec2Error, combination, invalid_value
from lab.ec2.records import Instance, Params, SpotRequest, new_id, tags_for
from lab.ec2.world import World

RELAUNCH_AFTER_LAUNCHES = 2.0  # a persistent request launches again after this many launch times


def options(params: Params) -> dict[str, Any]:
    return dict((params.get("InstanceMarketOptions") or {}).get("SpotOptions") or {})


def is_spot_launch(params: Params) -> bool:
    kind = (params.get("InstanceMarketOptions") or {}).get("MarketType")
    if kind not in (None, "spot"):
        raise invalid_value(f"Invalid value '{kind}' for MarketType.")
    return kind == "spot"


def check(world: World, params: Params, zone: str, kind: str) -> None:
    """Raise what EC2 raises for an invalid spot launch."""
    price = world.market.spot_price(zone, kind)
    if price is None:
        raise Ec2Error("Unsupported", f"The instance type '{kind}' is not offered as spot in {zone}.")
    asked = options(params)
    limit = asked.get("MaxPrice")
    if limit is not None and _price(limit) < price:
        raise Ec2Error(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {limit} is lower than the minimum required Spot request"
            f" fulfillment price of {price:.6f}.",
        )
    if params.get("DisableApiTermination"):
        raise combination("You cannot enable termination protection for Spot Instances.")
    if (params.get("Placement") or {}).get("Tenancy") == "host":
        raise combination("Spot Instances do not support the tenancy 'host'.")
    behaviour = asked.get("InstanceInterruptionBehavior") or "terminate"
    if behaviour != "terminate" and asked.get("SpotInstanceType") != "persistent":
        raise combination(f"The interruption behavior '{behaviour}' requires a persistent Spot request.")


def _price(value: object) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise invalid_value(f"Invalid value '{value}' for SpotPrice.") from error


def open_request(world: World, params: Params, instance: Instance, again: str | None) -> str:
    """One request for each instance; `again` names the persistent one that launches this instance."""
    if again is not None:
        known = world.spot_requests[again]
        known.instance_id = instance.id
        known.become("active", "fulfilled", "Your spot request is fulfilled.")
        return again
    asked = options(params)
    ceiling = world.market.on_demand.get(instance.instance_type, 0.0)
    request = SpotRequest(
        id=new_id("sir").replace("sir-0", "sir-", 1)[:12],
        kind=str(asked.get("SpotInstanceType") or "one-time"),
        params=params,
        zone=instance.zone,
        instance_type=instance.instance_type,
        max_price=float(asked.get("MaxPrice") or ceiling),
        instance_id=instance.id,
        interruption=str(asked.get("InstanceInterruptionBehavior") or "terminate"),
        tags=tags_for(params, "spot-instances-request"),
    )
    world.spot_requests[request.id] = request
    return request.id


def request_of(world: World, instance: Instance) -> SpotRequest | None:
    return world.spot_requests.get(instance.spot_request_id or "")


def check_stop(world: World, instance: Instance) -> None:
    request = request_of(world, instance)
    if request is not None and request.kind != "persistent":
        raise Ec2Error(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot"
            " Instance request. You can only stop Spot Instances associated with persistent Spot Instance"
            " requests.",
        )


def instance_ended(world: World, instance: Instance) -> None:
    """A one-time request closes with its instance; a persistent one that is open launches another."""
    request = request_of(world, instance)
    if request is None or request.instance_id != instance.id:
        return
    interrupted = (instance.state_reason or ("",))[0] == "Server.SpotInstanceTermination"
    code = "instance-terminated-no-capacity" if interrupted else "instance-terminated-by-user"
    if request.state == "cancelled":
        request.become("cancelled", code, "Your Spot Instance was terminated.")
    elif request.kind == "one-time":
        request.become("closed", code, "Your Spot Instance was terminated.")
    else:
        request.become("open", "pending-evaluation", "Your Spot request has been submitted for review.")
        launch_later(world, request)


def launch_later(world: World, request: SpotRequest) -> None:
    delay = world.profile.launch_s * RELAUNCH_AFTER_LAUNCHES
    world.after(delay, lambda: world.launch_again(request))


def instance_stopped(world: World, instance: Instance) -> None:
    request = request_of(world, instance)
    if request is not None and request.state == "active":
        request.become("disabled", "instance-stopped-by-user", "Your Spot Instance was stopped.")


def instance_started(world: World, instance: Instance) -> None:
    request = request_of(world, instance)
    if request is not None and request.state == "disabled":
        request.become("active", "fulfilled", "Your spot request is fulfilled.")


def mark_for_interruption(world: World, instance: Instance, action_name: str) -> None:
    """Record that a notice was given."""
    request = request_of(world, instance)
    if request is not None and request.state == "active":
        code = "marked-for-termination" if action_name == "terminate" else "marked-for-stop"
        request.become("active", code, "Your Spot Instance is marked for interruption.")
