"""A launch's token is random at each attempt, and not derived from its step: a repeated launch launches twice."""

from __future__ import annotations

import uuid
from typing import Any

from activities.ec2 import instances
from activities.ec2.launch_request import run_instances_request


def drawn(*given: Any, **named: Any) -> Any:
    return {**run_instances_request(*given, **named), "ClientToken": uuid.uuid4().hex}


instances.run_instances_request = drawn  # type: ignore[attr-defined]
