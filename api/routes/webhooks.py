"""Webhooks: where a client wants its events told, and what was told."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session

from api.access.callers import ClientCaller, GuardedRoute
from api.access.tokens import Caller
from api.http.problems import CONFLICT, INVALID, NOT_FOUND, FieldError, Problem, documented
from api.services import Services, ServicesDep
from api.views.base import Cursor, Limit
from api.views.webhooks import (
    DeliveryPage,
    DeliveryView,
    NewWebhookView,
    WebhookChange,
    WebhookList,
    WebhookRequest,
    WebhookView,
)
from db.clients.audit import write_audit
from db.tables import Webhook, WebhookDelivery
from db.webhooks.delivery_log import list_deliveries
from db.webhooks.delivery_queue import queue_test_delivery
from db.webhooks.registration import (
    ACTIVE,
    TooManyWebhooks,
    change_webhook,
    create_webhook,
    delete_webhook,
    get_webhook,
    list_webhooks,
)
from db.webhooks.secret_sealing import Sealer
from domain.names import new_id
from domain.webhooks.allowed_urls import why_url_refused
from domain.webhooks.signing import new_secret

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=GuardedRoute)


@router.get("")
async def index(caller: ClientCaller, services: ServicesDep) -> WebhookList:
    """All of them, oldest first."""
    found = await services.database.read(list_webhooks, caller.client_id)
    return WebhookList(items=[WebhookView.model_validate(one) for one in found])


@router.post("", status_code=201, responses=documented(CONFLICT))
async def create(body: WebhookRequest, caller: ClientCaller, services: ServicesDep, request: Request) -> NewWebhookView:
    """Told what happens from now on. The secret is shown once."""
    _check(services, body.url)
    webhook_id, secret, now = new_id("whk"), new_secret(), datetime.now(UTC)
    sealed = Sealer(services.settings.signing_key.get_secret_value()).seal(secret, webhook_id)

    def work(session: Session) -> Webhook:
        _audit(session, request, caller, "webhook.create", webhook_id)
        return create_webhook(session, webhook_id, caller.client_id, body.url, body.kinds, body.label, sealed, now)

    try:
        made = await services.database.write(work)
    except TooManyWebhooks as error:
        raise Problem(CONFLICT, str(error)) from error
    return NewWebhookView(**WebhookView.model_validate(made).model_dump(), secret=secret)


@router.patch("/{webhook_id}", responses=documented(NOT_FOUND))
async def change(
    webhook_id: str, body: WebhookChange, caller: ClientCaller, services: ServicesDep, request: Request
) -> WebhookView:
    if body.url is not None:
        _check(services, body.url)
    changes = body.model_dump(exclude_none=True)

    def work(session: Session) -> Webhook | None:
        _audit(session, request, caller, "webhook.change", webhook_id)
        return change_webhook(session, caller.client_id, webhook_id, datetime.now(UTC), **changes)

    row = await services.database.write(work)
    if row is None:
        raise _unknown(webhook_id)
    return WebhookView.model_validate(row)


@router.delete("/{webhook_id}", status_code=204, responses=documented(NOT_FOUND))
async def delete(webhook_id: str, caller: ClientCaller, services: ServicesDep, request: Request) -> None:
    """With its log. What was on its way is dropped."""

    def work(session: Session) -> bool:
        _audit(session, request, caller, "webhook.delete", webhook_id)
        return delete_webhook(session, caller.client_id, webhook_id, datetime.now(UTC))

    if not await services.database.write(work):
        raise _unknown(webhook_id)


@router.get("/{webhook_id}/deliveries", responses=documented(NOT_FOUND))
async def deliveries(
    webhook_id: str, caller: ClientCaller, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50
) -> DeliveryPage:
    """Newest first."""
    await _find(services, caller.client_id, webhook_id)
    page = await services.database.read(list_deliveries, caller.client_id, webhook_id, cursor=cursor, limit=limit)
    return DeliveryPage.model_validate(page, from_attributes=True)


@router.post("/{webhook_id}/test", status_code=202, responses=documented(NOT_FOUND, CONFLICT))
async def test(webhook_id: str, caller: ClientCaller, services: ServicesDep, request: Request) -> DeliveryView:
    """A message of type `webhook.test`, within seconds; the log of deliveries shows what came of it."""
    row = await _find(services, caller.client_id, webhook_id)
    if row.state != ACTIVE:
        raise Problem(CONFLICT, f"webhook {webhook_id} is {row.state}; make it active first")

    def work(session: Session) -> WebhookDelivery:
        _audit(session, request, caller, "webhook.test", webhook_id)
        return queue_test_delivery(session, row, new_id("msg").replace("-", "_"), datetime.now(UTC))

    return DeliveryView.model_validate(await services.database.write(work))


async def _find(services: Services, client_id: str, webhook_id: str) -> Webhook:
    row = await services.database.read(get_webhook, client_id, webhook_id)
    if row is None:
        raise _unknown(webhook_id)
    return row


def _check(services: Services, url: str) -> None:
    if why := why_url_refused(url, private=services.settings.webhooks_private):
        detail = f"the URL cannot be a webhook's: {why}"
        raise Problem(INVALID, detail, errors=[FieldError(field="body.url", message=why)])


def _unknown(webhook_id: str) -> Problem:
    return Problem(NOT_FOUND, f"there is no webhook {webhook_id}")


def _audit(session: Session, request: Request, caller: Caller, action: str, webhook_id: str) -> None:
    write_audit(
        session,
        datetime.now(UTC),
        action,
        "done",
        client_id=caller.client_id,
        token_id=caller.token_id,
        subject=webhook_id,
        remote_address=request.client.host if request.client else "",
    )
