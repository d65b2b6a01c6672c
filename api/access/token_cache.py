"""Tokens verified a moment ago: what lets a rescue through while the database is down.

Never asked while the database answers, so a revoked token ends at once; without the database a token lives
on for a minute at most.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from api.access.tokens import TokenKind, digest_of

CACHE_S = 60.0
SIZE = 10_000


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


class TokenCache:
    """Holds digests, not tokens."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def learn(self, text: str, caller: Caller) -> None:
        digest = digest_of(text)
        self._known[digest] = (self._clock() + CACHE_S, caller)
        self._known.move_to_end(digest)
        if len(self._known) > SIZE:
            self._known.popitem(last=False)

    def forget(self, text: str) -> None:
        self._known.pop(digest_of(text), None)

    def find(self, text: str) -> Caller | None:
        until, caller = self._known.get(digest_of(text), (0.0, None))
        return caller if self._clock() < until else None
