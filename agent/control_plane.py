"""The control plane's API as the agent uses it: register, heartbeat, notice, prices.

ControlPlaneError
    ControlPlaneUnreachable     no answer, or 5xx, or 429      -> try again; a rescue goes on without it
    ControlPlaneRefusal         401, 403, 404 or another 4xx   -> says what the owner has to do
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from agent import __version__
from agent.http_call import call, open_client
from agent.imds import Identity
from domain.host import Notice

TIMEOUT_S = 5.0
ADVICE = {
    401: "the token is not valid (any more): give SPOT_TOKEN a current token of the client that owns this server",
    403: "the token may not register this instance: use a token of the client that owns this server",
    404: "the control plane does not know this instance (yet): adopt it, unless it is just being launched",
}


class ControlPlaneError(Exception):
    """A call to the control plane did not succeed."""


class ControlPlaneUnreachable(ControlPlaneError):
    """No answer, or an answer that says to try again."""


class ControlPlaneRefusal(ControlPlaneError):
    """The control plane refused. `status` is HTTP's."""

    def __init__(self, what: str, status: int, detail: str) -> None:
        super().__init__(f"{what} was refused with {status}: {ADVICE.get(status, detail or 'no reason given')}")
        self.status = status


@dataclass(frozen=True)
class Registration:
    """What the control plane gives to an agent that it accepts."""

    instance_token: str = field(repr=False)
    expires_at: datetime
    task_queue: str
    temporal_address: str
    temporal_namespace: str
    server_id: str
    heartbeat_interval_s: float


class ControlPlane:
    """One thread's connection. A slow answer to one thread delays no other."""

    def __init__(self, url: str) -> None:
        self._client = open_client(url, TIMEOUT_S)

    def register(self, identity: Identity, client_token: str, booted_at: datetime) -> Registration:
        body = {
            "identity_document": identity.document,
            "signature": identity.signature,
            "agent_version": __version__,
            "booted_at": booted_at.isoformat(),
        }
        said = self._post("/api/agents/register", client_token, body, "registration")
        try:
            return _read_registration(said.json())
        except (ValueError, KeyError, TypeError) as error:
            raise ControlPlaneUnreachable(f"the answer to the registration cannot be read: {error!r}") from error

    def heartbeat(self, instance_id: str, token: str, now: datetime) -> float | None:
        """Seconds until the next heartbeat is due; None when the control plane does not say."""
        body = {"instance_id": instance_id, "agent_version": __version__, "at": now.isoformat()}
        answer = self._post("/api/agents/heartbeat", token, body, "the heartbeat")
        try:
            said = float(answer.json()["next_in_s"])
        except (ValueError, KeyError, TypeError):
            return None
        return said if 0 < said < math.inf else None

    def notice(self, notice: Notice, token: str) -> None:
        body = {
            "instance_id": notice.instance_id,
            "kind": notice.kind.value,
            "source": notice.source.value,
            "seen_at": notice.seen_at.isoformat(),
            "action": notice.action,
            "deadline": notice.deadline.isoformat() if notice.deadline else None,
        }
        self._post("/api/agents/notice", token, body, "the notice")

    def prices(self, prices: Sequence[Mapping[str, object]], token: str) -> None:
        self._post("/api/agents/prices", token, {"prices": list(prices)}, "the prices")

    def _post(self, path: str, token: str, body: Mapping[str, object], what: str) -> httpx.Response:
        try:
            answer = call(self._client, "POST", path, {"Authorization": f"Bearer {token}"}, body)
        except httpx.HTTPError as error:
            raise ControlPlaneUnreachable(
                f"cannot reach the control plane for {what}: {error or type(error).__name__}"
            ) from error
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise ControlPlaneUnreachable(f"the control plane answered {answer.status_code} to {what}")
        if not answer.is_success:
            raise ControlPlaneRefusal(what, answer.status_code, answer.text[:300])
        return answer


def _read_registration(said: dict[str, object]) -> Registration:
    return Registration(
        instance_token=str(said["instance_token"]),
        expires_at=datetime.fromisoformat(str(said["expires_at"])),
        task_queue=str(said["task_queue"]),
        temporal_address=str(said["temporal_address"]),
        temporal_namespace=str(said["temporal_namespace"]),
        server_id=str(said["server_id"]),
        heartbeat_interval_s=float(str(said["heartbeat_interval_s"])),
    )
