"""Signing in at the page: a token once, a cookie after that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.access.callers import GuardedRoute, Requires, RequiresSignInToken
from api.access.cookies import csrf_token, give_cookie, new_cookie, take_cookie
from api.access.tokens import Caller, TokenKind, digest_of
from api.http.problems import CROSS_SITE, FORBIDDEN, TOO_MANY, documented
from api.services import Services, ServicesDep
from api.views.clients import SessionView
from db.clients.audit import write_audit
from db.clients.clients import get_client
from db.clients.sign_ins import CurrentSignIn, end_sign_in, open_sign_in
from db.tables import SignIn

router = APIRouter(prefix="/session", tags=["session"], route_class=GuardedRoute)

SigningIn = Annotated[Caller, Depends(RequiresSignInToken(TokenKind.CLIENT, TokenKind.ADMIN))]
# The caller itself, not the client it acts for.
AnyPerson = Annotated[Caller, Depends(Requires(TokenKind.CLIENT, TokenKind.ADMIN, acts=False))]


@router.post("", status_code=201, responses=documented(FORBIDDEN, CROSS_SITE, TOO_MANY))
async def sign_in(caller: SigningIn, services: ServicesDep, request: Request, response: Response) -> SessionView:
    """Give a token once and get a cookie, HttpOnly and SameSite=Strict. It ends with the token, or after a while."""
    cookie, now = new_cookie(), datetime.now(UTC)

    def work(session: Session) -> SignIn:
        write_audit(
            session,
            now,
            "session.open",
            "done",
            client_id=caller.scope,
            token_id=caller.token_id,
            remote_address=request.client.host if request.client else "",
        )
        return open_sign_in(session, digest_of(cookie), caller.kind.value, caller.token_id, caller.token_digest, now)

    known = CurrentSignIn(await services.database.write(work), caller.client_id)
    give_cookie(request, response, services.settings, cookie)
    response.headers["Cache-Control"] = "no-store"
    return await _view(services, caller, known.ends_at, csrf_token(services.settings, cookie))


@router.get("")
async def show(caller: AnyPerson, services: ServicesDep, response: Response) -> SessionView:
    """Who am I, with the word for X-CSRF-Token."""
    response.headers["Cache-Control"] = "no-store"
    return await _view(services, caller, caller.ends_at, csrf_token(services.settings, caller.cookie))


@router.delete("", status_code=204, responses=documented(CROSS_SITE))
async def sign_out(caller: AnyPerson, services: ServicesDep, request: Request, response: Response) -> None:
    """The cookie is worth nothing any more, wherever it was copied to."""
    if caller.cookie:
        await services.database.write(end_sign_in, digest_of(caller.cookie))
        services.tokens.forget(caller.cookie)
    take_cookie(request, response, services.settings)


async def _view(services: Services, caller: Caller, ends_at: datetime | None, csrf: str) -> SessionView:
    client = await services.database.read(get_client, caller.client_id) if caller.client_id else None
    return SessionView(
        kind="admin" if caller.kind is TokenKind.ADMIN else "client",
        client_id=caller.client_id,
        client_name=client.name if client else "",
        token_id=caller.token_id,
        expires_at=ends_at,
        csrf_token=csrf,
    )
