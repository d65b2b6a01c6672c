"""EC2's instance identity document: what an instance says it is, with AWS's signature under it.

The signature is RSA PKCS #1 v1.5 over SHA-256 of the document's bytes, base64 (EC2 user guide, "Verify the
instance identity document using the base64-encoded signature"); AWS publishes a certificate per region.

    IdentityRefused          the document is not genuine, or cannot be read
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256


class IdentityRefused(Exception):
    """The document is not genuine or cannot be read; the message says why."""


@dataclass(frozen=True)
class IdentityDocument:
    instance_id: str
    region: str
    account_id: str


class IdentityVerifier:
    """Checks documents against a certificate; without one (`key` None) it only reads them."""

    def __init__(self, key: RSAPublicKey | None) -> None:
        self._key = key

    @classmethod
    def from_file(cls, certificate: Path | None) -> IdentityVerifier:
        """Raise ValueError or OSError when the file is not a PEM certificate with an RSA key."""
        if certificate is None:
            return cls(None)
        key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError(f"{certificate}: the certificate's key is not RSA")
        return cls(key)

    def read(self, document: str, signature: str) -> IdentityDocument:
        if self._key is not None:
            _verify(self._key, document, signature)
        return _parse(document)


def _verify(key: RSAPublicKey, document: str, signature: str) -> None:
    try:
        # IMDS breaks the signature into lines; line ends are not part of it.
        raw = base64.b64decode("".join(signature.split()), validate=True)
        key.verify(raw, document.encode(), PKCS1v15(), SHA256())
    except (binascii.Error, InvalidSignature) as error:
        raise IdentityRefused("the signature does not fit the document and AWS's certificate") from error


def _parse(document: str) -> IdentityDocument:
    try:
        content = json.loads(document)
        return IdentityDocument(
            instance_id=str(content["instanceId"]),
            region=str(content["region"]),
            account_id=str(content.get("accountId", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IdentityRefused("the identity document is not JSON with instanceId and region") from error
