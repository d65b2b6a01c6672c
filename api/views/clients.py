"""Clients, their tokens, and who is signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.views.base import Name, Request, View
from domain.autopilot.crowding import FleetLimits
from domain.autopilot.policy import AutopilotPreferences


class ClientRequest(Request):
    name: Name


class ClientView(View):
    id: str
    name: str
    created_at: datetime
    deleted_at: datetime | None = None
    autopilot: AutopilotPreferences | None = None
    limits: FleetLimits | None = None


class ClientPage(View):
    items: list[ClientView]
    next_cursor: str | None = None


class TokenRequest(Request):
    label: Annotated[str, Field(max_length=100)] = ""


class TokenView(View):
    id: str
    client_id: str | None
    kind: Literal["admin", "client"]
    label: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewTokenView(TokenView):
    token: str = Field(description="Shown once; only a digest of it is kept")


class TokenList(View):
    items: list[TokenView]


class SignInRequest(Request):
    token: Annotated[str, Field(max_length=500, description="A client's or an admin's")]


class SessionView(View):
    """`csrf_token` goes into X-CSRF-Token of every request that changes something; empty with a bearer token.

    `client_id` empty: an admin, who names a client in X-Spot-Client. `expires_at`: if nothing is asked any more.
    """

    kind: Literal["admin", "client"]
    client_id: str
    client_name: str
    token_id: str
    expires_at: datetime | None
    csrf_token: str
