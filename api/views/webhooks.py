"""Webhooks and their log as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from api.views.base import Request, View
from domain.webhooks.allowed_urls import MAX_URL
from domain.webhooks.contract import DeliveryState
from domain.webhooks.event_kinds import CHOICES, WebhookKind

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL, examples=["https://hooks.example.com/spot"])]
Label = Annotated[str, Field(max_length=200)]
Kinds = Annotated[list[WebhookKind], Field(min_length=1, max_length=len(CHOICES))]


def _can_be_chosen(kinds: list[WebhookKind] | None) -> list[WebhookKind] | None:
    if kinds is not None and not set(kinds) <= set(CHOICES):
        raise ValueError(f"the kinds are {', '.join(CHOICES)}; a test goes to every webhook")
    return kinds


def _every() -> list[WebhookKind]:
    return list(CHOICES)


class WebhookRequest(Request):
    url: Url
    kinds: Kinds = Field(default_factory=_every)
    label: Label = ""

    _kinds = field_validator("kinds")(_can_be_chosen)


class WebhookChange(Request):
    """What is not named stays. Made active again it is told what comes from then on."""

    url: Url | None = None
    kinds: Kinds | None = None
    label: Label | None = None
    active: bool | None = None

    _kinds = field_validator("kinds")(_can_be_chosen)


class WebhookView(View):
    """`disabled`: by us, after days of nothing but failures; `why` says so."""

    id: str
    client_id: str
    url: str
    label: str
    kinds: list[str]
    state: Literal["active", "paused", "disabled"]
    why: str
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class NewWebhookView(WebhookView):
    secret: str = Field(description="Signs the messages. Shown once")


class WebhookList(View):
    items: list[WebhookView]


class DeliveryView(View):
    """`id` goes with every attempt as `webhook-id`. `duration_ms`, `response_code`, `error`: of the last attempt."""

    id: str
    webhook_id: str
    event_seq: int | None
    kind: str
    type: str
    state: DeliveryState
    attempts: int
    response_code: int | None
    duration_ms: int | None
    error: str
    created_at: datetime
    next_try_at: datetime | None
    finished_at: datetime | None


class DeliveryPage(View):
    items: list[DeliveryView]
    next_cursor: str | None = None
