"""Messages signed as Standard Webhooks has it (standardwebhooks.com, specification 1.0, symmetric).

The receiver checks that `webhook-signature` holds `v1,` and the base64 of HMAC-SHA256, under its secret, over
`webhook-id.webhook-timestamp.body`; refuses timestamps that lie minutes back; and carries out each ID once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def message_id(webhook_id: str, event_seq: int) -> str:
    """The same event is the same message to a webhook, in whichever attempt."""
    return f"msg_{hashlib.sha256(f'{webhook_id}/{event_seq}'.encode()).hexdigest()[:32]}"


def body_of(event_type: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    message = {"type": event_type, "timestamp": at.isoformat(), "data": data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def headers(secret: str, message: str, at: datetime, body: bytes) -> dict[str, str]:
    """What goes with the body, of an attempt at that time."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature(secret, message, timestamp, body)}",
    }


def signature(secret: str, message: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join((message.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
