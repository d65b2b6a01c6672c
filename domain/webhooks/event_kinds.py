"""What a webhook can be told of, and which event is which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from domain.operations import OperationKind


class WebhookKind(StrEnum):
    NOTICE = "notice"
    FAILOVER = "failover"
    ATTENTION = "attention"
    DECISION = "decision"  # that waits for approval
    SUMMARY = "summary"  # of the week
    TEST = "test"  # sent when asked for, to a webhook of any kinds


CHOICES = tuple(kind for kind in WebhookKind if kind is not WebhookKind.TEST)
TEST_TYPE = "webhook.test"
_BY_TYPE = {
    "notice.interruption": WebhookKind.NOTICE,
    "notice.rebalance": WebhookKind.NOTICE,
    "decision.proposed": WebhookKind.DECISION,
    "summary.weekly": WebhookKind.SUMMARY,
}
_ATTENTION = frozenset({"operation.attention", "operation.needs_attention"})
# A failover is told when it is accepted and when it is over; its steps are for the stream.
_FAILOVER = frozenset(
    {
        "operation.queued",
        "operation.committed",
        "operation.rolled_back",
        "operation.cancelled",
        "operation.needs_attention",
    }
)


def kinds_of(event_type: str, payload: Mapping[str, Any]) -> tuple[WebhookKind, ...]:
    """All that the event is, the most telling first; mostly nothing."""
    found = [_BY_TYPE[event_type]] if event_type in _BY_TYPE else []
    if event_type in _ATTENTION:
        found.append(WebhookKind.ATTENTION)
    if event_type in _FAILOVER and payload.get("kind") == OperationKind.FAILOVER.value:
        found.append(WebhookKind.FAILOVER)
    return tuple(found)
