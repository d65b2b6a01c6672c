"""Spot requests and interruptions of the lab."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.lab_ec2 import PATIENCE_S, PERSISTENT, SPOT, Lab, ec2, lab, wait_for

__all__ = ["ec2", "lab"]  # fixtures


def request(ec2: Any, request_id: str) -> dict[str, Any]:
    found = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request_id])
    return dict(found["SpotInstanceRequests"][0])


def test_a_one_time_request_lives_and_closes_with_its_instance(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running(**SPOT)
    shown = lab.instance(instance_id)
    assert shown["InstanceLifecycle"] == "spot"
    found = request(ec2, shown["SpotInstanceRequestId"])
    assert (found["State"], found["Status"]["Code"], found["InstanceId"]) == ("active", "fulfilled", instance_id)
    ec2.terminate_instances(InstanceIds=[instance_id])
    lab.wait_state(instance_id, "terminated")
    assert request(ec2, shown["SpotInstanceRequestId"])["State"] == "closed"


def test_a_persistent_request_launches_again_until_it_is_cancelled(lab: Lab, ec2: Any) -> None:
    first = lab.running(InstanceType="c6i.large", **PERSISTENT)
    request_id = lab.instance(first)["SpotInstanceRequestId"]
    ec2.terminate_instances(InstanceIds=[first])
    wait_for(lambda: request(ec2, request_id).get("InstanceId") not in (None, first))
    second = str(request(ec2, request_id)["InstanceId"])
    lab.wait_state(second, "running")
    ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
    ec2.terminate_instances(InstanceIds=[second])
    lab.wait_state(second, "terminated")
    assert request(ec2, request_id)["State"] == "cancelled"


def test_an_interruption_is_noticed_in_both_ways_and_then_carried_out(lab: Lab) -> None:
    instance_id = lab.running(**SPOT)
    queue, url = lab.client("sqs"), lab.world["queue_url"]
    lab.post(f"/instances/{instance_id}/interrupt", notice_seconds=1)
    received = queue.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
    event = json.loads(received["Body"])
    assert event["detail-type"] == "EC2 Spot Instance Interruption Warning"
    assert event["detail"] == {"instance-id": instance_id, "instance-action": "terminate"}
    queue.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
    assert lab.get("/truth")["hosts"]["notices"][instance_id] == "terminate"
    assert lab.wait_state(instance_id, "terminated")["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_long_poll_ends_as_soon_as_a_notice_comes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still for the queue, so only the notice can end the poll."""
    instance_id, now = lab.running(**SPOT), time.time()
    queue, url = lab.client("sqs"), lab.world["queue_url"]
    monkeypatch.setattr("moto.sqs.models.unix_time", lambda: now)
    since = lab.get("/calls")["calls"][-1]["seq"]
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(queue.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        wait_for(lambda: "ReceiveMessage" in [call["action"] for call in lab.get(f"/calls?since={since}")["calls"]])
        assert not poll.done()
        lab.post(f"/instances/{instance_id}/rebalance", via=["sqs"])
        received = poll.result(PATIENCE_S)["Messages"][0]
    assert json.loads(received["Body"])["detail-type"] == "EC2 Instance Rebalance Recommendation"
    queue.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
