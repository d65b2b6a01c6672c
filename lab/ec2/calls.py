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
    """One call as it was received."""

    service: str
    action: str
    params: Mapping[str, Any]
    region: str
    access_key: str


ACTION_FUNCTIONS: dict[str, ActionFunction] = {}


def action(name: str) -> Callable[[ActionFunction], ActionFunction]:
    """Register the function of an EC2 action. When it returns None, moto answers the call."""

    def register(handler: ActionFunction) -> ActionFunction:
        ACTION_FUNCTIONS[name] = handler
        return handler

    return register
