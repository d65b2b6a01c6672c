"""Who may call what. Nothing under /api is reachable without a declared kind of token.

A route names its callers in its signature (`ClientCaller`, …); a `GuardedRoute` without one cannot be made.
401: no valid token. 403: a valid token of the wrong kind. What belongs to another client is 404: queries see to
that, by the caller's scope. A cookie stands for the token it was made with, on every route but the agents'
(see api.access.cookies for what else a request with a cookie has to show).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.access.authentication import authenticate, authenticate_cookie
from api.access.cookies import check_csrf, check_origin, cookie_of
from api.access.tokens import Caller, TokenKind
from api.http.problems import FORBIDDEN, NOT_FOUND, TOO_MANY, UNAUTHENTICATED, Problem
from api.services import Services, ServicesDep
from api.views.clients import SignInRequest
from db.clients.clients import get_client

_bearer = HTTPBearer(auto_error=False, description="`spt_…` of an admin or a client, or an instance's JWT")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
ForClient = Annotated[
    str | None, Header(alias="X-Spot-Client", max_length=64, description="The client that an admin acts for")
]


class Requires:
    """A dependency: the caller, if its token is of one of these kinds.

    An admin passes as a client when it names one in X-Spot-Client; `acts` false: it stays an admin.
    `cookies` false: only a token counts. `rescue`: a caller that is remembered does not wait for the database.
    """

    def __init__(self, *kinds: TokenKind, cookies: bool = True, acts: bool = True, rescue: bool = False) -> None:
        self.kinds = frozenset(kinds)
        self._rescue = rescue
        self._cookies = cookies
        self._acts = acts

    async def __call__(
        self, services: ServicesDep, request: Request, credentials: Credentials, for_client: ForClient = None
    ) -> Caller:
        caller = await self._caller(services, request, credentials)
        if self._acts and caller.kind is TokenKind.ADMIN and for_client and TokenKind.CLIENT in self.kinds:
            return await _acting_for(services, caller, for_client)
        return self._let_in(caller)

    async def _caller(
        self, services: Services, request: Request, credentials: HTTPAuthorizationCredentials | None
    ) -> Caller:
        """The token's caller, if a token was sent; the cookie is then ignored."""
        cookie = cookie_of(request, services.settings) if self._cookies and credentials is None else None
        if cookie is None:
            return await authenticate(services, credentials, rescue=self._rescue)
        caller = await authenticate_cookie(services, cookie, rescue=self._rescue)
        check_csrf(request, services.settings, cookie)
        return caller

    def _let_in(self, caller: Caller) -> Caller:
        if caller.kind not in self.kinds:
            raise Problem(FORBIDDEN, self._why(caller))
        return caller

    def _why(self, caller: Caller) -> str:
        wanted = " or ".join(sorted(kind.value for kind in self.kinds))
        hint = (
            "; name the client in X-Spot-Client"
            if caller.kind is TokenKind.ADMIN and TokenKind.CLIENT in self.kinds
            else ""
        )
        return f"this needs a token of kind {wanted}, yours is of kind {caller.kind.value}{hint}"


AdminCaller = Annotated[Caller, Depends(Requires(TokenKind.ADMIN))]
ClientCaller = Annotated[Caller, Depends(Requires(TokenKind.CLIENT))]
ReadingCaller = Annotated[Caller, Depends(Requires(TokenKind.CLIENT, TokenKind.ADMIN))]
RescuingCaller = Annotated[Caller, Depends(Requires(TokenKind.CLIENT, rescue=True))]
InstanceCaller = Annotated[Caller, Depends(Requires(TokenKind.INSTANCE, cookies=False))]
RegisteringCaller = Annotated[Caller, Depends(Requires(TokenKind.CLIENT, cookies=False))]


class RequiresSignInToken(Requires):
    """The caller by a token in the body, or as a bearer's; never by a cookie.

    Failures are counted by address, and only failures are limited: a right token is let in, however many others
    have failed from the same address.
    """

    async def __call__(  # type: ignore[override]  # another signature is what FastAPI reads
        self,
        services: ServicesDep,
        request: Request,
        credentials: Credentials,
        body: SignInRequest | None = None,
    ) -> Caller:
        check_origin(request, services.settings)
        if body is not None:
            credentials = HTTPAuthorizationCredentials(scheme="Bearer", credentials=body.token.strip())
        try:
            return self._let_in(await authenticate(services, credentials))
        except Problem as problem:
            if problem.kind is UNAUTHENTICATED:
                _count_failure(services, request)
            raise


def _count_failure(services: Services, request: Request) -> None:
    address = request.client.host if request.client else ""
    if wait_s := services.failed_sign_ins.wait_s(address):
        raise Problem(TOO_MANY, f"try again in {wait_s} s", headers={"Retry-After": str(wait_s)})
    services.failed_sign_ins.failed(address)


class RequiresNamedClient(Requires):
    """For streams: browsers' EventSource sets no header, so an admin may name its client in the address."""

    async def __call__(
        self,
        services: ServicesDep,
        request: Request,
        credentials: Credentials,
        for_client: ForClient = None,
        client_id: Annotated[
            str | None, Query(max_length=64, description="Instead of X-Spot-Client, where headers cannot be set")
        ] = None,
    ) -> Caller:
        return await super().__call__(services, request, credentials, for_client or client_id)


StreamingCaller = Annotated[Caller, Depends(RequiresNamedClient(TokenKind.CLIENT))]


class GuardedRoute(APIRoute):
    """A route that cannot be made without naming its callers."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if not token_kinds_of(self.dependant):
            raise TypeError(
                f"{endpoint.__name__} ({path}) declares no caller; take one of api.access.callers's *Caller"
            )


def token_kinds_of(dependant: Dependant) -> frozenset[TokenKind]:
    """The kinds of token that a route accepts; empty: none was declared."""
    declared = [d.call for d in _dependants(dependant) if isinstance(d.call, Requires)]
    return frozenset().union(*(requires.kinds for requires in declared))


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for child in dependant.dependencies:
        yield from _dependants(child)


async def _acting_for(services: Services, admin: Caller, client_id: str) -> Caller:
    if await services.database.read(get_client, client_id) is None:
        raise Problem(NOT_FOUND, f"there is no client {client_id}")
    return replace(admin, kind=TokenKind.CLIENT, client_id=client_id)
