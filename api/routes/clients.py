"""Tenants and their tokens."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session

from api.access.callers import AdminCaller, GuardedRoute, ReadingCaller
from api.access.tokens import Caller, IssuedToken, TokenKind, issue_token
from api.http.problems import CONFLICT, CONTRADICTION, NOT_FOUND, Problem, documented
from api.requests.policies import change_client_policy as change_policies
from api.services import ServicesDep
from api.views.autopilot import ClientChange
from api.views.base import Cursor, Limit
from api.views.clients import ClientPage, ClientRequest, ClientView, NewTokenView, TokenList, TokenRequest, TokenView
from db.clients.audit import write_audit
from db.clients.clients import ClientHasServers, create_client, delete_client, get_client, list_clients
from db.clients.tokens import create_token, list_tokens, revoke_token
from db.tables import Client, Token
from domain.names import new_id

ME = "me"  # the client of the token
router = APIRouter(prefix="/clients", tags=["clients"], route_class=GuardedRoute)


@router.post("", status_code=201)
async def create(body: ClientRequest, caller: AdminCaller, services: ServicesDep, request: Request) -> ClientView:
    client_id, now = new_id("cli"), datetime.now(UTC)

    def work(session: Session) -> Client:
        _audit(session, request, caller, "client.create", client_id, client_id)
        return create_client(session, client_id, body.name, now)

    return ClientView.model_validate(await services.database.write(work))


@router.get("")
async def index(caller: AdminCaller, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50) -> ClientPage:
    page = await services.database.read(list_clients, cursor, limit)
    return ClientPage.model_validate(page)


@router.get("/{client_id}")
async def show(client_id: str, caller: ReadingCaller, services: ServicesDep) -> ClientView:
    """An admin sees any client, a client itself, also as `me`."""
    return ClientView.model_validate(await _client(services, caller, client_id))


@router.patch("/{client_id}", responses=documented(NOT_FOUND, CONTRADICTION))
async def change(
    client_id: str, body: ClientChange, caller: ReadingCaller, services: ServicesDep, request: Request
) -> ClientView:
    """What holds for all servers that do not say otherwise. Refused when a server would contradict itself by it."""
    client_id = (await _client(services, caller, client_id)).id

    def work(session: Session) -> Client:
        _audit(session, request, caller, "client.policy", client_id, client_id)
        return change_policies(session, client_id, body)

    return ClientView.model_validate(await services.database.write(work))


@router.delete("/{client_id}", status_code=204)
async def delete(client_id: str, caller: AdminCaller, services: ServicesDep, request: Request) -> None:
    """Revokes the client's tokens too. Refused while it has servers."""

    def work(session: Session) -> bool:
        _audit(session, request, caller, "client.delete", client_id, client_id)
        return delete_client(session, client_id, datetime.now(UTC))

    await _client(services, caller, client_id)
    try:
        await services.database.write(work)
    except ClientHasServers as error:
        raise Problem(CONFLICT, str(error)) from error


@router.post("/{client_id}/tokens", status_code=201)
async def add_token(
    client_id: str, body: TokenRequest, caller: ReadingCaller, services: ServicesDep, request: Request
) -> NewTokenView:
    """A new token, shown once. To rotate: make a new one, use it, revoke the old one."""
    await _client(services, caller, client_id)
    issued, now = issue_token(TokenKind.CLIENT), datetime.now(UTC)

    def work(session: Session) -> Token:
        _audit(session, request, caller, "token.create", issued.token_id, client_id)
        return create_token(session, issued.token_id, issued.digest, now, client_id=client_id, label=body.label)

    return _shown_once(await services.database.write(work), issued)


@router.get("/{client_id}/tokens")
async def tokens(client_id: str, caller: ReadingCaller, services: ServicesDep) -> TokenList:
    await _client(services, caller, client_id)
    found = await services.database.read(list_tokens, client_id)
    return TokenList(items=[TokenView.model_validate(token) for token in found])


@router.delete("/{client_id}/tokens/{token_id}", status_code=204)
async def revoke(client_id: str, token_id: str, caller: ReadingCaller, services: ServicesDep, request: Request) -> None:
    await _client(services, caller, client_id)

    def work(session: Session) -> bool:
        _audit(session, request, caller, "token.revoke", token_id, client_id)
        return revoke_token(session, client_id, token_id, datetime.now(UTC))

    if not await services.database.write(work):
        raise Problem(NOT_FOUND, f"client {client_id} has no token {token_id} that could be revoked")


def _resolve_me(caller: Caller, client_id: str) -> str:
    return caller.scope or client_id if client_id == ME else client_id


async def _client(services: ServicesDep, caller: Caller, client_id: str) -> Client:
    """The client, if it is the caller's own or the caller is an admin. `me`: the token's own."""
    client_id = _resolve_me(caller, client_id)
    mine = caller.scope in (None, client_id)
    client = await services.database.read(get_client, client_id) if mine else None
    if client is None:
        raise Problem(NOT_FOUND, f"there is no client {client_id}")
    return client


def _shown_once(token: Token, issued: IssuedToken) -> NewTokenView:
    view = TokenView.model_validate(token)
    return NewTokenView(**view.model_dump(), token=issued.text)


def _audit(session: Session, request: Request, caller: Caller, action: str, subject: str, client_id: str) -> None:
    write_audit(
        session,
        datetime.now(UTC),
        action,
        "done",
        client_id=client_id,
        token_id=caller.token_id,
        subject=subject,
        remote_address=request.client.host if request.client else "",
    )
