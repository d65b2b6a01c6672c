"""Who calls: what a token or a cookie stands for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from api.access.tokens import TokenKind


@dataclass(frozen=True)
class Caller:
    """Who asks. `client_id` is empty for an admin that does not act for a client."""

    kind: TokenKind
    token_id: str
    client_id: str = ""
    instance_id: str = ""
    server_id: str = ""
    token_digest: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)  # came with this one and not with the token itself
    ends_at: datetime | None = None  # the cookie, if it is not used any more
    remembered: bool = False  # the database was away and could not be asked

    @property
    def scope(self) -> str | None:
        """The client whose things the caller sees; None: everybody's."""
        return self.client_id or None
