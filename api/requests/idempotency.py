"""Request IDs: the same one twice is the same operation (invariant 4)."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Annotated

from fastapi import Header, Request
from pydantic import BaseModel

from domain.names import new_id

_NAMESPACE = uuid.UUID("b7b1d9a8-2f0c-4d0e-9b5e-5f3c1f6a7e42")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key and body again are the same operation, whenever they are sent",
    ),
]


def request_id_of(key: str | None) -> str:
    return key or new_id("req")


def digest_of(request: Request, body: BaseModel | None) -> str:
    """SHA-256 over method, path and the body's values: the layout of the JSON does not matter."""
    values = body.model_dump(mode="json", exclude_unset=True) if body is not None else {}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    place = f"{request.method} {request.url.path}?{request.url.query}"
    return hashlib.sha256(f"{place}\n{canonical}".encode()).hexdigest()


def server_id_prefix(client_id: str, key: str) -> str:
    """The beginning of the ID of every server that was made with this key."""
    return f"srv-{uuid.uuid5(_NAMESPACE, f'{client_id}/{key}').hex[:20]}"


def adopted_server_id(client_id: str, key: str | None, digest: str) -> str:
    """An ID made of key and body: so adoption tells a repetition from a reused key without another record."""
    return server_id_prefix(client_id, key) + digest[:12] if key else new_id("srv")


def launched_server_id(client_id: str, key: str | None) -> str:
    """An ID made of the key alone: the launched server's workflow compares the digests."""
    return server_id_prefix(client_id, key) if key else new_id("srv")
