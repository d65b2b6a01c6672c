"""IMDSv2: who this instance is, and what EC2 is about to do with it.

Source: EC2 user guide, "Use the Instance Metadata Service to access instance metadata". A session token is made by PUT
and lasts six hours at most. Each read carries it; 401 means that it has ended.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass

import httpx

from agent.http_call import Backoff, call, open_client

log = logging.getLogger(__name__)

TOKEN_TTL_S = 21_600
TIMEOUT_S = 1.0
DOCUMENT = "/latest/dynamic/instance-identity/document"
SIGNATURE = "/latest/dynamic/instance-identity/signature"


class ImdsError(Exception):
    """IMDS could not be reached, or gave an unexpected answer. Another try may help."""


@dataclass(frozen=True)
class Identity:
    """The identity document as AWS signed it, and the facts read from it."""

    instance_id: str
    region: str
    zone: str
    document: str
    signature: str


class Imds:
    """One reader with its own connection and session token; not shared between threads."""

    def __init__(self, endpoint: str) -> None:
        self._client = open_client(endpoint, TIMEOUT_S)
        self._token = ""
        self._renew_at = 0.0

    def read(self, path: str) -> str | None:
        """The text at a path; None where there is nothing (404)."""
        try:
            answer = self._get(path)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._renew_at = 0.0
                answer = self._get(path)
        except httpx.HTTPError as error:
            raise ImdsError(f"cannot read {path} from IMDS: {error or type(error).__name__}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise ImdsError(f"IMDS answered {answer.status_code} to {path}")
        return answer.text

    def identity(self) -> Identity:
        document, signature = self.read(DOCUMENT), self.read(SIGNATURE)
        try:
            facts = json.loads(document or "")
            return Identity(
                facts["instanceId"], facts["region"], facts["availabilityZone"], document or "", signature or ""
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ImdsError(f"IMDS has no usable identity document: {error!r}") from error

    def _get(self, path: str) -> httpx.Response:
        return call(self._client, "GET", path, {"X-aws-ec2-metadata-token": self._session_token()})

    def _session_token(self) -> str:
        if time.monotonic() >= self._renew_at:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
            answer = call(self._client, "PUT", "/latest/api/token", headers)
            if answer.status_code != httpx.codes.OK:
                raise ImdsError(f"IMDS answered {answer.status_code} to the request for a session token")
            self._token, self._renew_at = answer.text, time.monotonic() + 0.8 * TOKEN_TTL_S
        return self._token


def learn_identity(endpoint: str, stop: threading.Event) -> Identity | None:
    """Ask until IMDS answers: without an identity the agent can do nothing. None when `stop` is set."""
    imds, backoff = Imds(endpoint), Backoff(0.1, 5.0)
    while not stop.is_set():
        try:
            return imds.identity()
        except ImdsError as error:
            delay = backoff.next()
            fields = {"endpoint": endpoint, "retry_in_s": round(delay, 2)}
            log.warning("%s; is this an EC2 instance with IMDS enabled?", error, extra=fields)
            stop.wait(delay)
    return None
