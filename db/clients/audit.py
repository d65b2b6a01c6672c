"""The audit: who did what, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.tables import Audit

ADDRESS_LENGTH = 64  # an IPv6 address with its zone fits


def write_audit(
    session: Session,
    now: datetime,
    action: str,
    outcome: str,
    *,
    client_id: str | None = None,
    token_id: str | None = None,
    subject: str = "",
    request_id: str | None = None,
    remote_address: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Write who did what. `details` holds no secret; `remote_address` may be anything that a proxy passed on."""
    session.add(
        Audit(
            at=now,
            client_id=client_id,
            token_id=token_id,
            action=action,
            subject=subject,
            request_id=request_id,
            outcome=outcome,
            remote_address=remote_address.encode("ascii", "replace").decode("ascii")[:ADDRESS_LENGTH],
            details=details or {},
        )
    )
    session.flush()
