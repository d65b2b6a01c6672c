"""The SQS queue of EventBridge's warnings, and the tags by which an instance's server is found."""

from __future__ import annotations

from urllib.parse import urlparse

from activities.ec2 import describe
from activities.ec2.clients import Clients
from activities.ec2.describe import tag_dict
from activities.ec2.errors import Ec2Failure, doing
from activities.notice_reader import NoticeQueue
from domain.errors import Failure

_MOST_MESSAGES = 10  # SQS gives no more at once
_LONGEST_WAIT_S = 20
_DEFAULT_REGION = "us-east-1"


def open_queue(clients: Clients, url: str, region: str) -> NoticeQueue:
    """The queue for `activities.notice_reader`. `region`: of the queue, and of a notice that names none."""
    return NoticeQueue(
        receive=lambda wait_s: receive(clients, url, wait_s, region),
        delete=lambda handle: delete(clients, url, handle, region),
        tags=lambda found_in, instance_id: instance_tags(clients, found_in or region, instance_id),
    )


def receive(clients: Clients, queue_url: str, wait_s: int, region: str = "") -> list[tuple[str, str]]:
    """(receipt handle, body) of up to ten messages. Waits for up to `wait_s`, at most 20 s.

    Raises `Ec2Failure`. `region`: the queue's, where its URL does not show it.
    """
    with doing(f"reading the queue {queue_url}"):
        answer = clients.sqs(region or region_of(queue_url)).receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=_MOST_MESSAGES, WaitTimeSeconds=min(wait_s, _LONGEST_WAIT_S)
        )
    return [(m.get("ReceiptHandle", ""), m.get("Body", "")) for m in answer.get("Messages", [])]


def delete(clients: Clients, queue_url: str, receipt_handle: str, region: str = "") -> None:
    with doing(f"deleting a message from {queue_url}"):
        clients.sqs(region or region_of(queue_url)).delete_message(QueueUrl=queue_url, ReceiptHandle=receipt_handle)


def instance_tags(clients: Clients, region: str, instance_id: str) -> dict[str, str]:
    """All tags of the instance. Empty when EC2 does not know it (any more)."""
    try:
        return tag_dict(describe.instance(clients.ec2(region), instance_id).get("Tags"))
    except Ec2Failure as failed:
        if failed.failure is Failure.GONE:
            return {}
        raise


def region_of(queue_url: str) -> str:
    """`https://sqs.eu-west-1.amazonaws.com/…` -> `eu-west-1`; another host (the lab's): us-east-1."""
    host = (urlparse(queue_url).hostname or "").split(".")
    return host[1] if host[:1] == ["sqs"] and len(host) > 2 else _DEFAULT_REGION
