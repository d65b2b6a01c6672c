"""What a rescue goes by while the database is down: tokens verified a moment ago, and whose server is whose.

While the database answers, no token is looked up here: a revoked one ends at once. Without the database a token
counts for a minute at most.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from api.access.tokens import Caller, digest_of
from domain.servers import ServerRef

CACHE_S = 60.0
SIZE = 10_000
CACHED_SERVERS = 10_000


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


class ServerOwners:
    """Whose server is whose, as last read. A server never changes hands, so this does not go stale."""

    def __init__(self, size: int = CACHED_SERVERS) -> None:
        self._size = size
        self._servers: OrderedDict[str, ServerRef] = OrderedDict()

    def learn(self, server: ServerRef) -> None:
        self._servers[server.server_id] = server
        self._servers.move_to_end(server.server_id)
        if len(self._servers) > self._size:
            self._servers.popitem(last=False)

    def find(self, server_id: str) -> ServerRef | None:
        return self._servers.get(server_id)
