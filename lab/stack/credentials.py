"""The stack's secrets: made at random on the first start, kept in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Credentials:
    admin_token: str
    signing_key: str
    client_id: str = ""
    client_token: str = ""

    @classmethod
    def make(cls) -> Self:
        token_id = secrets.token_hex(8)
        return cls(f"spt_admin_{token_id}_{secrets.token_hex(32)}", secrets.token_hex(32))

    def with_client(self, client_id: str, token: str) -> Self:
        return replace(self, client_id=client_id, client_token=token)


def path_in(var: Path) -> Path:
    return var / "credentials.json"


def load_or_make(var: Path) -> Credentials:
    path = path_in(var)
    if path.exists():
        return Credentials(**json.loads(path.read_text()))
    made = Credentials.make()
    save(var, made)
    return made


def save(var: Path, credentials: Credentials) -> None:
    """Written whole or not at all."""
    var.mkdir(parents=True, exist_ok=True)
    path = path_in(var)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(credentials), file, indent=2)
    beside.replace(path)
