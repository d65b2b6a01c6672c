"""Spot requests. Every spot launch has one, and it decides what may be done with the instance."""

from __future__ import annotations

import logging
from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, combination, invalid_value
from lab.ec2.filters import page, select
from lab.ec2.records import Instance, Params, SpotRequest, api_tags, new_id, tags_for, utc
from lab.ec2.world import World

log = logging.getLogger("lab.spot")
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
        _relaunch_later(world, request)


def _relaunch_later(world: World, request: SpotRequest) -> None:
    delay = world.profile.launch_s * RELAUNCH_AFTER_LAUNCHES
    world.after(delay, lambda: _relaunch(world, request))


def _relaunch(world: World, request: SpotRequest) -> None:
    if request.state != "open":
        return
    from lab.ec2.launch import launch  # the two call each other: a launch opens a request, which may launch

    single = {**request.params, "MinCount": 1, "MaxCount": 1}
    try:
        launch(world, single, "", request.id)
    except Ec2Error as error:
        log.info("persistent request %s stays open: %s", request.id, error)
        request.become("open", "capacity-not-available", error.message)
        _relaunch_later(world, request)


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


PATHS = {
    "spot-instance-request-id": "SpotInstanceRequestId",
    "state": "State",
    "status-code": "Status.Code",
    "instance-id": "InstanceId",
    "type": "Type",
    "launched-availability-zone": "LaunchedAvailabilityZone",
    "launch.instance-type": "LaunchSpecification.InstanceType",
    "spot-price": "SpotPrice",
}


def api_shape(request: SpotRequest) -> dict[str, Any]:
    return {
        "SpotInstanceRequestId": request.id,
        "CreateTime": utc(request.created),
        "InstanceId": request.instance_id,
        "InstanceInterruptionBehavior": request.interruption,
        "LaunchedAvailabilityZone": request.zone,
        "LaunchSpecification": {
            "ImageId": request.params.get("ImageId"),
            "InstanceType": request.instance_type,
            "SubnetId": request.params.get("SubnetId"),
            "KeyName": request.params.get("KeyName"),
            "Placement": {"AvailabilityZone": request.zone},
        },
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": f"{request.max_price:.6f}",
        "State": request.state,
        "Status": {"Code": request.code, "Message": request.message, "UpdateTime": utc(request.updated)},
        "Type": request.kind,
        "Tags": api_tags(request.tags),
    }


def find(world: World, request_id: str) -> SpotRequest:
    found = world.spot_requests.get(request_id)
    if found is None:
        raise Ec2Error(
            "InvalidSpotInstanceRequestID.NotFound",
            f"The spot instance request ID '{request_id}' does not exist",
        )
    return found


@action("DescribeSpotInstanceRequests")
def describe_spot_instance_requests(world: World, params: Params) -> ActionResponse:
    ids = params.get("SpotInstanceRequestIds")
    requests = [find(world, i) for i in ids] if ids else list(world.spot_requests.values())
    rows, token = page(select([api_shape(r) for r in requests], params.get("Filters"), PATHS), params)
    return {"SpotInstanceRequests": rows, "NextToken": token}


@action("CancelSpotInstanceRequests")
def cancel_spot_instance_requests(world: World, params: Params) -> ActionResponse:
    """The instance keeps running, except that a stopped one of a disabled request is terminated."""
    from lab.ec2 import lifecycle

    requests = [find(world, i) for i in params.get("SpotInstanceRequestIds") or ()]
    for request in requests:
        instance = world.instances.get(request.instance_id or "")
        if request.state in ("closed", "cancelled"):
            continue
        running = instance is not None and instance.alive
        code = "request-canceled-and-instance-running" if running else "canceled-before-fulfillment"
        stopped = request.state == "disabled"
        request.become("cancelled", code, "Your Spot request was canceled.")
        if stopped and instance is not None:
            lifecycle.terminate(world, instance, lifecycle.USER_INITIATED)
    rows = [{"SpotInstanceRequestId": r.id, "State": r.state} for r in requests]
    return {"CancelledSpotInstanceRequests": rows}
