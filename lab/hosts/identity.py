"""The signed identity document, by which an instance proves who it is.

AWS signs with a key per region and publishes the certificate. The lab makes a key of its own, once per
state directory.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

VALID_DAYS = 3650


class Signer:
    """RSA with SHA-256 (PKCS #1 v1.5) over the document's bytes, as `instance-identity/signature`."""

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / "identity-key.pem"
        if not path.exists():
            _make_key(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path} is not an RSA key: remove it, and another is made")
        self._key = key
        self._certificate = _certificate(key)

    def sign(self, document: str) -> str:
        signature = self._key.sign(document.encode(), padding.PKCS1v15(), hashes.SHA256())
        return base64.encodebytes(signature).decode().rstrip("\n")

    def certificate_pem(self) -> str:
        return self._certificate


def identity_document(facts: Mapping[str, object]) -> str:
    """The document as AWS lays it out. The same facts give the same bytes."""
    empty = ("billingProducts", "devpayProductCodes", "kernelId", "marketplaceProductCodes", "ramdiskId")
    named = {key: facts.get(key) for key in DOCUMENT_KEYS} | dict.fromkeys(empty)
    document = named | {"architecture": facts.get("architecture") or "x86_64", "version": "2017-09-30"}
    return json.dumps(document, indent=2, sort_keys=True, separators=(",", " : "))


DOCUMENT_KEYS = (
    "accountId",
    "availabilityZone",
    "imageId",
    "instanceId",
    "instanceType",
    "pendingTime",
    "privateIp",
    "region",
)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


def _certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Spot Optimizer lab")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
