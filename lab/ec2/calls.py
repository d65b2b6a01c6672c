"""One API call inside the lab, and the table of what the lab answers itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.ec2.world import World

ActionResponse = Mapping[str, Any]
ActionFunction = Callable[["World", Mapping[str, Any]], ActionResponse | None]


@dataclass(frozen=True)
class Call:
    """What came over the wire."""

    service: str
    action: str
    params: Mapping[str, Any]
    region: str
    access_key: str


ACTION_FUNCTIONS: dict[str, ActionFunction] = {}


def action(name: str) -> Callable[[ActionFunction], ActionFunction]:
    """Register the handler of an EC2 action. A handler that returns None leaves the call to moto."""

    def register(handler: ActionFunction) -> ActionFunction:
        ACTION_FUNCTIONS[name] = handler
        return handler

    return register
