"""The API of spot requests: describe and cancel."""

from __future__ import annotations

from typing import Any

from lab.ec2 import lifecycle
from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error
from lab.ec2.filters import page, select
from lab.ec2.records import Params, SpotRequest, api_tags, utc
from lab.ec2.world import World

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
