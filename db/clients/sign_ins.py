"""Sign-ins: opened with a token, found by the digest of a cookie, ended by their owner, their token or time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from db.tables import Client, SignIn, Token

BOOTSTRAP = "bootstrap"  # the admin's token of the environment, which has no row
IDLE = timedelta(hours=12)  # without a request or an open stream
LIFETIME = timedelta(days=7)  # whatever happens
SEEN_EVERY = timedelta(minutes=1)
_SWEPT_AT_ONCE = 100


@dataclass(frozen=True)
class CurrentSignIn:
    """Who a cookie stands for. `client_id` empty: an admin."""

    sign_in: SignIn
    client_id: str

    @property
    def ends_at(self) -> datetime:
        """If nothing comes any more."""
        return min(self.sign_in.expires_at, self.sign_in.seen_at + IDLE)


def open_sign_in(session: Session, digest: str, kind: str, token_id: str, secret_hash: str, now: datetime) -> SignIn:
    """A new one; those that have expired are swept on the way."""
    _sweep(session, now)
    made = SignIn(
        id=digest,
        kind=kind,
        token_id=token_id,
        secret_hash=secret_hash,
        created_at=now,
        seen_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(made)
    session.flush()
    return made


def find_sign_in(session: Session, digest: str, now: datetime, admin_hash: str) -> CurrentSignIn | None:
    """Whose cookie it is; None when it has ended, in whichever way. `admin_hash`: the environment's admin token."""
    stands = or_(
        and_(SignIn.token_id == BOOTSTRAP, SignIn.secret_hash == admin_hash),
        and_(
            Token.id.is_not(None),
            Token.revoked_at.is_(None),
            Token.secret_hash == SignIn.secret_hash,
            or_(Token.client_id.is_(None), and_(Client.id.is_not(None), Client.deleted_at.is_(None))),
        ),
    )
    query = (
        select(SignIn, Token.client_id)
        .outerjoin(Token, Token.id == SignIn.token_id)
        .outerjoin(Client, Client.id == Token.client_id)
        .where(SignIn.id == digest, SignIn.expires_at > now, SignIn.seen_at > now - IDLE, stands)
    )
    found = session.execute(query).one_or_none()
    return None if found is None else CurrentSignIn(found[0], found[1] or "")


def sign_in_seen(session: Session, digest: str, now: datetime) -> None:
    """It is in use: one write a minute at most."""
    mine = update(SignIn).where(SignIn.id == digest, SignIn.seen_at < now - SEEN_EVERY)
    session.execute(mine.values(seen_at=now), execution_options={"synchronize_session": False})


def end_sign_in(session: Session, digest: str) -> bool:
    """Sign out; the cookie is worth nothing any more, wherever it was copied to."""
    result = session.execute(delete(SignIn).where(SignIn.id == digest))
    assert isinstance(result, CursorResult)
    return result.rowcount > 0


def _sweep(session: Session, now: datetime) -> None:
    ended = session.scalars(select(SignIn.id).where(SignIn.expires_at <= now).limit(_SWEPT_AT_ONCE)).all()
    if ended:
        session.execute(delete(SignIn).where(SignIn.id.in_(ended)))
