"""The host half's pure parts, and the workload's data file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.hosts import journal
from lab.hosts.identity import Signer, identity_document
from lab.hosts.metadata import Notices, fact_paths, listing, notice_paths
from lab.hosts.shims.command import split
from lab.hosts.write_log import VolumeInUse, WriteLog

FACTS = {
    "instanceId": "i-1",
    "privateIp": "127.20.1.10",
    "region": "us-east-1",
    "tags": {"Name": "orders-db"},
    "networkInterfaces": [{"mac": "02:00:00:00:00:01", "privateIps": ["127.20.1.10"], "subnetId": "subnet-1"}],
}


def test_tags_are_in_the_metadata_only_when_enabled() -> None:
    hidden = fact_paths(FACTS, str.upper)
    shown = fact_paths(FACTS | {"metadataOptions": {"InstanceMetadataTags": "enabled"}}, str.upper)
    assert set(shown) - set(hidden) == {"meta-data/tags/instance/Name"}


def test_a_folder_lists_what_is_directly_beneath_it() -> None:
    paths = fact_paths(FACTS, str.upper)
    assert listing(paths, "meta-data/network/interfaces/macs") == "02:00:00:00:00:01/"
    assert listing(paths, "meta-data/spot/") is None


def test_only_a_termination_has_a_termination_time() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    assert set(notice_paths(Notices().with_action("stop", at))) == {"meta-data/spot/instance-action"}
    assert "meta-data/spot/termination-time" in notice_paths(Notices().with_action("terminate", at))
    assert notice_paths(Notices()) == {}


def test_a_signature_is_of_the_document_s_very_bytes(tmp_path: Path) -> None:
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    document = identity_document(FACTS)
    signature = base64.b64decode(Signer(tmp_path).sign(document))
    # Another start of the lab in the same state directory has the same key.
    key = x509.load_pem_x509_certificate(Signer(tmp_path).certificate_pem().encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, document.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_runs_that_overlap_on_a_volume_are_found(tmp_path: Path) -> None:
    for event, instance, pid in (("start", "i-1", 1), ("start", "i-2", 2), ("stop", "i-1", 1)):
        journal.record(str(tmp_path), event, instance, pid, "vol-1", "volume")
    assert [(a["instance"], b["instance"]) for a, b in journal.overlaps(str(tmp_path))] == [("i-1", "i-2")]
    assert [run["instance"] for run in journal.open_runs(str(tmp_path))] == ["i-2"]


def test_a_torn_last_line_is_forgotten_and_the_rest_kept(tmp_path: Path) -> None:
    (tmp_path / "writes.log").write_text("1 a i-1 1.0\n2 a i-1 1.1\n3 a i-")
    log = WriteLog(str(tmp_path), "i-2")
    log.write("a", 3)
    log.write("a", 2)
    assert log.on_disk("a") == {"a": [1, 2, 3]}
    with pytest.raises(VolumeInUse):
        WriteLog(str(tmp_path), "i-3")
    log.close()
    log.release()
    WriteLog(str(tmp_path), "i-3").release()


def test_options_are_read_as_getopt_reads_them() -> None:
    options, operands = split(["-rn", "-oTARGET", "--types=xfs", "-t", "ext4", "--real", "/data"], ("-o", "-t"))
    assert options == {"-r": "", "-n": "", "-o": "TARGET", "--types": "xfs", "-t": "ext4", "--real": ""}
    assert operands == ["/data"]
