"""Tokens, and the caller that one stands for: how they are made, written and verified; no I/O.

Admin and client tokens are `spt_<kind>_<id>_<secret>`, kept only as a SHA-256 digest: the secret has 256
random bits, so a slow hash would add nothing. An instance's token is a JWT (HS256): it is checked with the
signing key alone, so that an agent's notice gets through while the database is down (invariant 6).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import jwt

from domain.names import new_id

AUDIENCE = "spot-agent"
INSTANCE_TOKEN_TTL = timedelta(hours=1)
_ALGORITHM = "HS256"


class TokenKind(StrEnum):
    ADMIN = "admin"
    CLIENT = "client"
    INSTANCE = "instance"


@dataclass(frozen=True)
class IssuedToken:
    """A new token: `text` is shown once, `digest` is what is kept."""

    token_id: str
    text: str
    digest: str


@dataclass(frozen=True)
class InstanceIdentity:
    """What an instance's token says of its bearer."""

    instance_id: str
    client_id: str
    server_id: str
    expires_at: datetime


def issue_token(kind: TokenKind) -> IssuedToken:
    token_id = new_id("tok")
    text = f"spt_{kind.value}_{token_id}_{secrets.token_hex(32)}"
    return IssuedToken(token_id, text, digest_of(text))


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def same_digest(text: str, digest: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(digest_of(text), digest)


def token_id_of(text: str) -> tuple[TokenKind, str] | None:
    """Kind and ID that a token claims to be; None when it is not one of ours."""
    parts = text.split("_")
    if len(parts) != 4 or parts[0] != "spt" or parts[1] not in (TokenKind.ADMIN, TokenKind.CLIENT):
        return None
    return TokenKind(parts[1]), parts[2]


def sign_instance(key: str, identity: InstanceIdentity) -> str:
    claims = {
        "sub": identity.instance_id,
        "cid": identity.client_id,
        "sid": identity.server_id,
        "aud": AUDIENCE,
        "exp": identity.expires_at,
        "iat": datetime.now(UTC),
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def read_instance(key: str, text: str) -> InstanceIdentity | None:
    """Who the bearer is; None when the token is not ours, is altered, is for others, or has expired."""
    required = ["sub", "cid", "sid", "aud", "exp"]
    try:
        claims = jwt.decode(text, key, algorithms=[_ALGORITHM], audience=AUDIENCE, options={"require": required})
    except jwt.InvalidTokenError:
        return None
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    return InstanceIdentity(claims["sub"], str(claims["cid"]), str(claims["sid"]), expires_at)


@dataclass(frozen=True)
class Caller:
    """Who sent a request. `client_id` is empty for an admin that does not act for a client."""

    kind: TokenKind
    token_id: str
    client_id: str = ""
    instance_id: str = ""
    server_id: str = ""
    token_digest: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)  # the cookie that was sent instead of a token
    ends_at: datetime | None = None  # when the cookie ends if it is not used any more
    remembered: bool = False  # verified from memory: the database could not be asked

    @property
    def scope(self) -> str | None:
        """The client whose rows the caller sees; None: those of all clients."""
        return self.client_id or None
