"""Contract of the webhooks' activities and workflows: names, inputs, outputs. No secret is in them."""

from __future__ import annotations

from dataclasses import dataclass, field

COLLECT_EVENTS = "webhooks_collect"  # Collect -> Collected; Unavailable
MARK_HANDED_OVER = "webhooks_handed"  # Handed -> None; Unavailable
DELIVER = "webhooks_deliver"  # Deliver -> Delivered; Unavailable: comes again when it is due

DISPATCH_WORKFLOW = "DispatchWebhooksWorkflow"
DELIVER_WORKFLOW = "DeliverWebhookWorkflow"


def delivery_workflow_id(delivery_id: str) -> str:
    """A delivery has one workflow, ever."""
    return f"webhook/{delivery_id}"


@dataclass(frozen=True)
class CollectEventsInput:
    """New events become deliveries; those that wait for their workflow are named, `limit` at most."""

    limit: int = 200


@dataclass(frozen=True)
class DeliverInput:
    """`client_id`: clients take turns where there are too many to be sent at once."""

    delivery_id: str
    client_id: str = ""


@dataclass(frozen=True)
class CollectEventsResult:
    made: int = 0
    waiting: list[DeliverInput] = field(default_factory=list)


@dataclass(frozen=True)
class MarkHandedOverInput:
    """They have their workflows now."""

    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DeliverResult:
    """`state`: how it ended."""

    state: str = ""
    attempts: int = 0
