"""Who sits at the page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.views.base import Request, View


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
