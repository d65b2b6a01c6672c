"""One API call inside the lab, and the table of what the lab answers itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.ec2.world import World

Answer = Mapping[str, Any]
Handler = Callable[["World", Mapping[str, Any]], Answer | None]


@dataclass(frozen=True)
class Call:
    """What came over the wire."""

    service: str
    action: str
    params: Mapping[str, Any]
    region: str
    access_key: str


HANDLERS: dict[str, Handler] = {}


def action(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of an EC2 action. A handler that returns None leaves the call to moto."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register
