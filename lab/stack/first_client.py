"""The first client of a new stack, and the lab's machine image that carries its token."""

from __future__ import annotations

import httpx

from lab.stack.credentials import Credentials
from lab.stack.processes import StartFailed

NAME = "demo"


def ensure_client(api: httpx.Client, known: Credentials) -> Credentials:
    """The client of the last start when its token still works; else a new one, made with the admin's token."""
    if known.client_token and api.get("/api/servers", headers=_bearer(known.client_token)).is_success:
        return known
    admin = _bearer(known.admin_token)
    client_id = known.client_id
    if not client_id or not api.get(f"/api/clients/{client_id}", headers=admin).is_success:
        client_id = str(_created(api, "/api/clients", {"name": NAME}, admin)["id"])
    token = _created(api, f"/api/clients/{client_id}/tokens", {"label": "stack"}, admin)["token"]
    return known.with_client(client_id, str(token))


def _created(api: httpx.Client, path: str, body: dict[str, str], headers: dict[str, str]) -> dict[str, object]:
    answer = api.post(path, json=body, headers=headers)
    if not answer.is_success:
        raise StartFailed(f"POST {path} of {NAME!r}: HTTP {answer.status_code} {answer.text[:500]}")
    made: dict[str, object] = answer.json()
    return made


def bake_image(lab: httpx.Client, control_url: str, token: str, temporal_address: str, namespace: str) -> None:
    """Every host that the lab boots from now on starts an agent of this client."""
    image = {
        "control_url": control_url,
        "token": token,
        "temporal_address": temporal_address,
        "temporal_namespace": namespace,
    }
    answer = lab.post("/_lab/images/agent", json=image)
    if not answer.is_success:
        raise StartFailed(f"the lab did not take the agent's image: HTTP {answer.status_code} {answer.text[:500]}")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
