"""Secrets that have to be readable again: encrypted with a key derived from SPOT_SIGNING_KEY, bound to their owner.

AES-256-GCM with a random nonce; the key by HKDF-SHA256 with a purpose of its own, so that the keys for
instance tokens and for secrets are independent.
"""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12
_PURPOSE = b"spot-optimizer/webhook-secrets/1"


class SecretUnreadable(Exception):
    """The secret was sealed with another SPOT_SIGNING_KEY, for another owner, or is damaged."""


class Sealer:
    def __init__(self, signing_key: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(signing_key.encode())
        self._cipher = AESGCM(derived)

    def seal(self, secret: str, owner: str) -> str:
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret.encode(), owner.encode())).decode()

    def open(self, sealed: str, owner: str) -> str:
        """Raise SecretUnreadable."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], owner.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error):
            message = f"the secret of {owner} cannot be opened: was it sealed under another SPOT_SIGNING_KEY?"
            raise SecretUnreadable(message) from None
