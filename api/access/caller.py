"""Who calls: what a token or a cookie stands for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from api.access.tokens import TokenKind


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
