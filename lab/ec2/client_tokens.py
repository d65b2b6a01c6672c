"""Client tokens: the same call with the same token is one call, and with other parameters it is refused."""

from __future__ import annotations

import json
from typing import Any

from lab.ec2.errors import Ec2Error, invalid_value
from lab.ec2.records import Params
from lab.ec2.world import World


def fingerprint(params: Params) -> str:
    return json.dumps({k: v for k, v in params.items() if k != "DryRun"}, sort_keys=True, default=str)


def result_of_token(world: World, name: str, token: str, params: Params) -> Any:
    """What this token made before, or None. The same token with other parameters is refused."""
    if len(token) > 64 or not token.isascii():
        raise invalid_value(f"Value ({token}) for parameter clientToken is invalid. Token length exceeds 64.")
    known = world.tokens.get((name, token)) if token else None
    if known is None:
        return None
    if known[0] != fingerprint(params):
        raise Ec2Error(
            "IdempotentParameterMismatch",
            f"The client token {token} was used before with different parameters.",
        )
    return known[1]
