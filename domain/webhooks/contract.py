"""Contract of the webhooks' activities and workflows: names, inputs, outputs, without secrets; and when to retry."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

COLLECT_EVENTS = "webhooks_collect"  # CollectEventsInput -> CollectEventsResult; Unavailable
MARK_HANDED_OVER = "webhooks_handed"  # MarkHandedOverInput -> None; Unavailable
DELIVER = "webhooks_deliver"  # DeliverInput -> DeliverResult; Unavailable: tried again when it is due

DISPATCH_WORKFLOW = "DispatchWebhooksWorkflow"
DELIVER_WORKFLOW = "DeliverWebhookWorkflow"


def delivery_workflow_id(delivery_id: str) -> str:
    """One workflow for each delivery."""
    return f"webhook/{delivery_id}"


@dataclass(frozen=True)
class CollectEventsInput:
    """Turn new events into deliveries, and name those that have no workflow yet, `limit` at most."""

    limit: int = 200


@dataclass(frozen=True)
class DeliverInput:
    """`client_id`: clients take turns when there are too many deliveries for all at once."""

    delivery_id: str
    client_id: str = ""


@dataclass(frozen=True)
class CollectEventsResult:
    made: int = 0
    waiting: list[DeliverInput] = field(default_factory=list)


@dataclass(frozen=True)
class MarkHandedOverInput:
    """IDs of deliveries whose workflows have been started."""

    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DeliverResult:
    """`state`: a DeliveryState, how the delivery ended."""

    state: str = ""
    attempts: int = 0


# Seconds to wait after each failed attempt; about three days in all.
DELAYS_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800, 43200, 43200, 43200, 43200)
DISABLE_AFTER = timedelta(days=5)  # in which every delivery failed
GONE = 410  # the receiver wants no deliveries any more


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up after the last attempt
    DROPPED = "dropped"  # its webhook was paused, disabled or deleted


def is_delivered(code: int | None) -> bool:
    return code is not None and 200 <= code < 300


def next_delay(attempts: int) -> timedelta | None:
    """Time until the next attempt, after so many failed ones; None: no further attempt."""
    return timedelta(seconds=DELAYS_S[attempts - 1]) if attempts <= len(DELAYS_S) else None
