"""What agents send: registration, heartbeats, notices of AWS, spot prices."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from api.access.callers import GuardedRoute, InstanceCaller, RegisteringCaller
from api.access.instance_identity import IdentityDocument, IdentityRefused
from api.access.tokens import INSTANCE_TOKEN_TTL, Caller, InstanceIdentity, sign_instance
from api.http.problems import FORBIDDEN, IDENTITY_REFUSED, INSTANCE_NOT_KNOWN, INVALID, NOT_FOUND, Problem, documented
from api.services import Services, ServicesDep
from api.views.agents import (
    HeartbeatRequest,
    HeartbeatTaken,
    NoticeAccepted,
    NoticeRequest,
    PricesAccepted,
    PricesRequest,
    RegisteredView,
    RegisterRequest,
)
from db.fleet.agents import agent_seen, register_agent
from db.fleet.instances import get_instance
from db.fleet.servers import get_server
from db.market.incoming_prices import store_spot_prices
from db.market.on_demand import on_demand_prices
from db.market.tiers import BatchResult
from db.tables import Instance
from domain.instance_states import ENDED
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.names import instance_queue

log = logging.getLogger(__name__)
router = APIRouter(prefix="/agents", tags=["agents"], route_class=GuardedRoute)

CLOCK_SKEW = timedelta(minutes=5)


@router.post("/register", responses=documented(IDENTITY_REFUSED, INSTANCE_NOT_KNOWN))
async def register(body: RegisterRequest, caller: RegisteringCaller, services: ServicesDep) -> RegisteredView:
    """An agent proves which instance it is on and gets a token for that instance alone, for an hour."""
    document = _identity(services, body)
    instance = await services.database.read(_live_instance, caller.client_id, document)
    now = datetime.now(UTC)
    identity = {"region": document.region, "account_id": document.account_id} | _booted(body)
    interval_s = services.heartbeat_rate.interval_s
    await services.database.write(
        register_agent, caller.client_id, instance.id, body.agent_version, identity, now, interval_s
    )
    expires_at = now.replace(microsecond=0) + INSTANCE_TOKEN_TTL
    bearer = InstanceIdentity(instance.id, caller.client_id, instance.server_id, expires_at)
    return _registered(services, bearer, interval_s)


@router.post("/heartbeat", responses=documented(FORBIDDEN, INSTANCE_NOT_KNOWN))
async def heartbeat(body: HeartbeatRequest, caller: InstanceCaller, services: ServicesDep) -> HeartbeatTaken:
    _own_instance(caller, body.instance_id)
    now, interval_s = datetime.now(UTC), services.heartbeat_rate.interval_s
    known = await services.database.write(agent_seen, caller.client_id, caller.instance_id, now, interval_s)
    if not known:
        raise Problem(INSTANCE_NOT_KNOWN, f"{caller.instance_id} never registered; register again")
    return HeartbeatTaken(next_in_s=interval_s)


@router.post("/notice", status_code=202, responses=documented(FORBIDDEN))
async def notice(body: NoticeRequest, caller: InstanceCaller, services: ServicesDep) -> NoticeAccepted:
    """AWS's word, straight to the server's workflow: no database in between (invariant 6)."""
    _own_instance(caller, body.instance_id)
    heard = body.notice()
    await services.temporal.notice(caller.server_id, heard)
    log.warning(
        "notice passed on: %s",
        heard.kind.value,
        extra={"server": caller.server_id, "instance": caller.instance_id, "notice": heard.notice_id},
    )
    return NoticeAccepted(notice_id=heard.notice_id)


@router.post("/prices", status_code=202, responses=documented(INVALID))
async def prices(body: PricesRequest, caller: InstanceCaller, services: ServicesDep) -> PricesAccepted:
    """Spot prices that the agent saw, of its own region alone."""
    server = await services.database.read(get_server, caller.client_id, caller.server_id)
    if server is None:
        raise Problem(NOT_FOUND, f"there is no server {caller.server_id}")
    region, now = server.server.region, datetime.now(UTC)
    for seen in body.prices:
        if not seen.zone.startswith(region):
            raise Problem(INVALID, f"zone {seen.zone} is not in {region}, where this instance is")
        if seen.at > now + CLOCK_SKEW:
            raise Problem(INVALID, f"the price at {seen.at.isoformat()} lies in the future")
    said = [ReportedPrice(region, p.zone, p.instance_type, p.at, p.usd_per_hour) for p in body.prices]

    def work(session: Session) -> BatchResult:
        """A host that others got into shall not make a pool look dearer than any can be."""
        dear = {(region, name): usd for name, usd in on_demand_prices(session, region, now).items()}
        return store_spot_prices(session, said, PriceSource.AGENT, PriceBounds(now + CLOCK_SKEW, on_demand=dear), now)

    kept = await services.database.write(work)
    return PricesAccepted(recorded=len(said) - kept.set_aside, set_aside=kept.set_aside)


def _identity(services: Services, body: RegisterRequest) -> IdentityDocument:
    try:
        return services.identities.read(body.identity_document, body.signature)
    except IdentityRefused as error:
        raise Problem(IDENTITY_REFUSED, str(error)) from error


def _live_instance(session: Session, client_id: str, document: IdentityDocument) -> Instance:
    """The client's instance of the document. An instance of another client is answered as an unknown one."""
    instance = get_instance(session, client_id, document.instance_id)
    if instance is None or instance.state in ENDED or instance.region not in ("", document.region):
        raise Problem(
            INSTANCE_NOT_KNOWN,
            f"{document.instance_id} plays no server of this client yet; adopt it, and the agent gets in by itself",
        )
    return instance


def _booted(body: RegisterRequest) -> dict[str, Any]:
    return {"booted_at": body.booted_at.isoformat()} if body.booted_at else {}


def _registered(services: Services, bearer: InstanceIdentity, interval_s: float) -> RegisteredView:
    settings = services.settings
    return RegisteredView(
        instance_token=sign_instance(settings.signing_key.get_secret_value(), bearer),
        expires_at=bearer.expires_at,
        task_queue=instance_queue(bearer.instance_id),
        temporal_address=settings.agents_temporal_address,
        temporal_namespace=settings.temporal_namespace,
        server_id=bearer.server_id,
        heartbeat_interval_s=interval_s,
    )


def _own_instance(caller: Caller, instance_id: str) -> None:
    if instance_id != caller.instance_id:
        raise Problem(FORBIDDEN, f"this token is for {caller.instance_id} alone")
