"""Policies of servers and clients: checked for contradictions before they are stored."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.http.problems import CONTRADICTION, Problem
from api.views.autopilot import ClientChange
from db.clients.clients import change_client
from db.tables import Client, Server
from domain.autopilot.crowding import FleetLimits
from domain.autopilot.policy import AutopilotPreferences, Contradiction, check_policy, resolve_policy
from domain.servers import Retire, ServerPolicy

_WISH, _LIMITS = TypeAdapter(AutopilotPreferences), TypeAdapter(FleetLimits)
_POLICY = TypeAdapter(ServerPolicy)
_MOST_NAMED = 5


def wish_of(client: Client | None) -> AutopilotPreferences:
    return _WISH.validate_python((client.autopilot if client else None) or {})


def limits_of(client: Client | None) -> FleetLimits:
    return _LIMITS.validate_python((client.limits if client else None) or {})


def require_sound_policy(session: Session, client_id: str, policy: ServerPolicy) -> None:
    """Raise a Problem if the policy and the client's contradict each other; it says in what."""
    try:
        _check(policy, wish_of(session.get(Client, client_id)))
    except Contradiction as error:
        raise Problem(CONTRADICTION, str(error)) from error


def keep_old_seconds(session: Session, client_id: str, server_id: str) -> float:
    """How long the owner wants the old instance kept after a switch, seconds."""
    server = session.get(Server, server_id)
    if server is None:
        return 0.0
    wish = _POLICY.validate_python(server.policy).autopilot
    return resolve_policy(wish, wish_of(session.get(Client, client_id))).keep_old_s


def change_client_policy(session: Session, client_id: str, change: ClientChange) -> Client:
    """Change the client; raise a Problem if one of its servers would then contradict itself."""
    client = session.get_one(Client, client_id)
    wish, limits = wish_of(client), limits_of(client)
    if change.autopilot is not None:
        wish = change.autopilot.over(wish)
    if change.limits is not None:
        limits = _possible(change.limits.over(limits))
    _hold_for_all(session, client_id, wish)
    kept: dict[str, Any] = _WISH.dump_python(wish, mode="json", exclude_none=True)
    change_client(session, client_id, datetime.now(UTC), autopilot=kept, limits=asdict(limits))
    session.refresh(client)
    return client


def _possible(limits: FleetLimits) -> FleetLimits:
    if limits.most_per_pool > limits.most_per_zone:
        raise Problem(
            CONTRADICTION,
            f"most_per_pool {limits.most_per_pool:g} cannot exceed most_per_zone {limits.most_per_zone:g}: "
            "a pool lies in one zone",
        )
    return limits


def _hold_for_all(session: Session, client_id: str, wish: AutopilotPreferences) -> None:
    query = select(Server.name, Server.policy).where(Server.client_id == client_id, Server.active_name.is_not(None))
    broken: list[tuple[str, str]] = []
    try:
        _check(ServerPolicy(), wish)
    except Contradiction as error:
        raise Problem(CONTRADICTION, str(error)) from error
    for name, policy in session.execute(query).all():
        try:
            _check(_POLICY.validate_python(policy), wish)
        except Contradiction as error:
            broken.append((name, str(error)))
    if broken:
        names = ", ".join(name for name, _ in broken[:_MOST_NAMED])
        more = f" and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
        raise Problem(CONTRADICTION, f"with it {names}{more} would contradict themselves: {broken[0][1]}")


def _check(policy: ServerPolicy, client: AutopilotPreferences) -> None:
    if why := policy.contradiction():
        raise Contradiction(why)
    check_policy(resolve_policy(policy.autopilot, client), keeps_replica=policy.retire is Retire.KEEP_REPLICA)
