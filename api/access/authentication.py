"""Where tokens and cookies are checked: a secret comes in, the caller it stands for comes out.

Tokens of admins and clients, and cookies, are looked up in the database. An instance's token is checked by its
signature alone. While the database is down, a secret that was verified a moment ago still counts (invariant 6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from fastapi.security import HTTPAuthorizationCredentials
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.access.tokens import Caller, TokenKind, digest_of, read_instance, same_digest, token_id_of
from api.database import within_rescue_time
from api.http.problems import UNAUTHENTICATED, Problem
from api.services import Services
from api.streams.event_stream import StreamPermission
from db.clients.sign_ins import BOOTSTRAP, SEEN_EVERY, CurrentSignIn, find_sign_in, sign_in_seen
from db.clients.tokens import find_token, token_used
from db.engine.session import is_unreachable

log = logging.getLogger(__name__)


async def authenticate(
    services: Services, credentials: HTTPAuthorizationCredentials | None, *, rescue: bool = False
) -> Caller:
    """The caller of a bearer token; raise the Problem `unauthenticated` without a valid one."""
    if credentials is None:
        raise _unauthenticated("send `Authorization: Bearer <token>`", "")
    text = credentials.credentials
    if _is_bootstrap_admin(services, text):
        return Caller(TokenKind.ADMIN, BOOTSTRAP, token_digest=digest_of(text))
    by_database = text.startswith("spt_")
    caller = await _by_database(services, text, rescue) if by_database else _by_signature(services, text)
    if caller is None:
        raise _unauthenticated("the token is wrong, has expired or was revoked", 'error="invalid_token"')
    return caller


def _is_bootstrap_admin(services: Services, text: str) -> bool:
    admin = services.settings.admin_digest
    # Digests are compared, not tokens: they are of one length, so the time tells nothing of the token.
    return bool(admin) and same_digest(text, admin)


def _by_signature(services: Services, text: str) -> Caller | None:
    identity = read_instance(services.settings.signing_key.get_secret_value(), text)
    if identity is None:
        return None
    who = identity.instance_id
    return Caller(TokenKind.INSTANCE, who, identity.client_id, who, identity.server_id)


async def _by_database(services: Services, text: str, rescue: bool) -> Caller | None:
    claimed = token_id_of(text)
    if claimed is None:
        return None
    kind, token_id = claimed
    try:
        async with within_rescue_time(rescue and services.tokens.find(text) is not None):
            token = await services.database.read(find_token, token_id)
    except (DBAPIError, PoolTimeout) as error:
        return _remembered(services, text, error)
    if token is None or token.kind != kind or not same_digest(text, token.secret_hash):
        services.tokens.forget(text)
        return None
    caller = Caller(kind, token.id, token.client_id or "", token_digest=token.secret_hash)
    services.tokens.learn(text, caller)
    if token.last_used_at is None or (datetime.now(UTC) - token.last_used_at).total_seconds() > 60:
        await _in_passing(services, rescue, token_used, token.id, datetime.now(UTC))
    return caller


async def authenticate_cookie(services: Services, cookie: str, *, rescue: bool = False) -> Caller:
    digest, admin = digest_of(cookie), services.settings.admin_digest
    try:
        async with within_rescue_time(rescue and services.tokens.find(cookie) is not None):
            known = await services.database.read(find_sign_in, digest, datetime.now(UTC), admin)
    except (DBAPIError, PoolTimeout) as error:
        return _remembered(services, cookie, error)
    if known is None:
        services.tokens.forget(cookie)
        raise _unauthenticated("the session has ended: sign in again", 'error="invalid_token"')
    caller = _signed_in(known, cookie)
    services.tokens.learn(cookie, caller)
    now = datetime.now(UTC)
    if now - known.sign_in.seen_at > SEEN_EVERY:
        await _in_passing(services, rescue, sign_in_seen, digest, now)
    return caller


def _signed_in(known: CurrentSignIn, cookie: str) -> Caller:
    row = known.sign_in
    return Caller(
        TokenKind(row.kind),
        row.token_id,
        known.client_id,
        token_digest=row.secret_hash,
        cookie=cookie,
        ends_at=known.ends_at,
    )


def stream_permission(services: Services, caller: Caller) -> StreamPermission:
    """Whether the caller may go on reading a stream. It may while the database cannot be asked."""

    async def holds() -> bool:
        try:
            if caller.cookie:
                await authenticate_cookie(services, caller.cookie)  # an open page counts as use of the sign-in
            elif caller.token_id != BOOTSTRAP:
                token = await services.database.read(find_token, caller.token_id)
                return token is not None and token.secret_hash == caller.token_digest
        except Problem:
            return False
        except (DBAPIError, PoolTimeout) as error:
            log.info("a stream goes on although its permission could not be checked: %s", error)
        return True

    return StreamPermission(caller.token_id, holds)


def _remembered(services: Services, secret: str, error: DBAPIError | PoolTimeout) -> Caller:
    """The caller as it was verified a moment ago, if the database is down (invariant 6); else raise the error."""
    away = isinstance(error, PoolTimeout) or is_unreachable(error)
    if away and (caller := services.tokens.find(secret)):
        log.warning("database down: token %s counts as it was verified a moment ago", caller.token_id)
        return replace(caller, remembered=True)
    raise error


async def _in_passing(
    services: Services, rescue: bool, command: Callable[[Session, str, datetime], object], which: str, now: datetime
) -> None:
    """Write that a token or sign-in was used. No request fails because this could not be written."""
    try:
        async with within_rescue_time(rescue):
            await services.database.write(command, which, now)
    except (DBAPIError, PoolTimeout) as error:
        log.warning("the use of a token could not be written: %s", error)


def _unauthenticated(detail: str, error: str) -> Problem:
    challenge = 'Bearer realm="spot-optimizer"' + (f", {error}" if error else "")
    return Problem(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})
