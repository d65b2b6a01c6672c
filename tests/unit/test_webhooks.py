"""Webhooks: what is told, how it is signed, where it may go, and when it comes again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from activities.webhooks import sender as sending
from activities.webhooks.sender import WebhookSender
from db.webhooks.delivery_slots import AT_ONCE_OF_CLIENT
from db.webhooks.secret_sealing import Sealer, SecretUnreadable
from domain.webhooks.allowed_urls import is_public, why_url_refused
from domain.webhooks.contract import DELAYS_S, is_delivered, next_delay
from domain.webhooks.event_kinds import WebhookKind, kinds_of
from domain.webhooks.signing import body_of, headers, message_id, new_secret, signature
from worker import WEBHOOK_SLOTS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "k" * 32


# --- what is told


@pytest.mark.parametrize(
    ("event_type", "payload", "kinds"),
    [
        ("notice.interruption", {}, (WebhookKind.NOTICE,)),
        ("notice.rebalance", {}, (WebhookKind.NOTICE,)),
        ("operation.queued", {"kind": "failover"}, (WebhookKind.FAILOVER,)),
        ("operation.queued", {"kind": "switch"}, ()),
        ("operation.committed", {"kind": "failover"}, (WebhookKind.FAILOVER,)),
        ("operation.committed", {"kind": "switch"}, ()),
        ("operation.step", {"kind": "failover"}, ()),
        ("operation.attention", {"kind": "switch"}, (WebhookKind.ATTENTION,)),
        ("operation.needs_attention", {"kind": "failover"}, (WebhookKind.ATTENTION, WebhookKind.FAILOVER)),
        ("decision.proposed", {}, (WebhookKind.DECISION,)),
        ("decision.asked", {}, ()),
        ("summary.weekly", {}, (WebhookKind.SUMMARY,)),
        ("token.created", {}, ()),
        ("webhook.disabled", {}, ()),
    ],
)
def test_an_event_is_told_as_what_it_is(
    event_type: str, payload: dict[str, str], kinds: tuple[WebhookKind, ...]
) -> None:
    assert kinds_of(event_type, payload) == kinds


# --- signing


def test_a_message_is_signed_as_the_standard_says() -> None:
    """The example of the specification of Standard Webhooks."""
    secret, message, timestamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
    body = b'{"test": 2432232314}'
    assert signature(secret, message, timestamp, body) == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_check_a_message() -> None:
    secret, body = new_secret(), body_of("notice.rebalance", NOW, {"payload": {"why": "ü"}})
    sent = headers(secret, "msg_1", NOW, body)
    assert sent["webhook-timestamp"] == str(int(NOW.timestamp()))
    version, signed = sent["webhook-signature"].split(",")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    assert (version, base64.b64decode(signed)) == ("v1", hmac.new(key, content, hashlib.sha256).digest())
    assert json.loads(body)["data"] == {"payload": {"why": "ü"}}


def test_secrets_are_long_and_never_the_same() -> None:
    assert len({new_secret() for _ in range(50)}) == 50
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


def test_an_event_is_one_message_to_a_webhook() -> None:
    assert message_id("whk-1", 7) == message_id("whk-1", 7)
    assert len({message_id("whk-1", 7), message_id("whk-2", 7), message_id("whk-1", 8)}) == 3


def test_a_sealed_secret_opens_for_its_owner_and_key_alone() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal("whsec_x", "whk-1")
    assert "whsec" not in sealed
    assert sealed != sealer.seal("whsec_x", "whk-1")
    assert Sealer(KEY).open(sealed, "whk-1") == "whsec_x"
    tampered = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")
    for other, text, owner in [
        (sealer, sealed, "whk-2"),
        (Sealer("o" * 32), sealed, "whk-1"),
        (sealer, tampered, "whk-1"),
        (sealer, "not base64!", "whk-1"),
        (sealer, "", "whk-1"),
    ]:
        with pytest.raises(SecretUnreadable) as caught:
            other.open(text, owner)
        assert "whsec" not in str(caught.value)


# --- where it may go


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/x",
        "ftp://hooks.example.com/x",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com/with space",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/\nx: y",
        "https://ho\u00f6ks.example.com/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://172.16.0.1/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://" + "a" * 2000 + ".example.com/",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_url_that_leads_inwards_or_is_none_is_refused(url: str) -> None:
    assert why_url_refused(url, private=False)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/a?b=c", "https://8.8.8.8/", "https://hooks.example.com:8443/"]
)
def test_a_public_url_is_taken(url: str) -> None:
    assert why_url_refused(url, private=False) == ""


def test_a_setting_opens_private_addresses_and_http_and_nothing_else() -> None:
    assert why_url_refused("http://127.0.0.1:9000/hook", private=True) == ""
    assert why_url_refused("ftp://127.0.0.1/", private=True)
    assert why_url_refused("http://a:b@127.0.0.1/", private=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("2002:7f00:0001::", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:8.8.8.8", True),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::1", False),
        ("::ffff:0:169.254.169.254", False),
        ("::127.0.0.1", False),
        ("4000::1", False),
        ("::", False),
    ],
)
def test_an_address_is_looked_at_for_what_it_stands_for(address: str, public: bool) -> None:
    assert is_public(address) is public


# --- sending


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A receiver on a port of its own."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(status: str, seen: list[bytes], more: bytes = b"") -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        seen.append(head + await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {status}\r\n".encode() + more + b"content-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    return answer


async def test_a_message_is_posted_with_its_headers() -> None:
    seen: list[bytes] = []
    async with receiver(answering("204 No Content", seen)) as port:
        result = await WebhookSender(private=True).send(
            f"http://127.0.0.1:{port}/hook?a=b", {"webhook-id": "msg_1"}, b'{"x":1}'
        )
    assert (result.code, result.error) == (204, "")
    head, body = seen[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=b HTTP/1.1")
    assert b"webhook-id: msg_1" in head
    assert f"host: 127.0.0.1:{port}".encode() in head.lower()
    assert body == b'{"x":1}'


async def test_no_redirect_is_followed() -> None:
    seen: list[bytes] = []
    there = b"location: http://169.254.169.254/latest/meta-data/\r\n"
    async with receiver(answering("302 Found", seen, there)) as port:
        result = await WebhookSender(private=True).send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert (result.code, len(seen)) == (302, 1)
    assert not is_delivered(result.code)


async def test_what_a_name_leads_to_is_looked_at_when_a_message_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    """The name was fine when the webhook was made; today it leads to the metadata service.

    Which address it is stays with us: the tenant would learn what our resolver says of our own network.
    """
    asked: list[tuple[str, int]] = []

    async def lead(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["93.184.216.34", "169.254.169.254"]

    result = await WebhookSender(private=False, resolve=lead).send("https://hooks.example.com/x", {}, b"{}")
    assert result.code is None
    assert result.error == "refused: hooks.example.com leads to no public address"
    assert "hooks.example.com leads to 169.254.169.254" in caplog.text
    assert asked == [("hooks.example.com", 443)]


async def test_a_number_that_stands_for_an_address_is_found_out() -> None:
    result = await WebhookSender(private=False).send("https://2130706433/", {}, b"{}")
    assert result.code is None
    assert "no public address" in result.error or "gaierror" in result.error


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    both, alone = folder / "both.pem", folder / "certificate.pem"
    alone.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(private + alone.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, str(alone)


async def test_the_certificate_is_checked_against_the_name_and_the_connection_goes_to_the_address(
    tmp_path: Path,
) -> None:
    tls, trusted = _certificate(tmp_path, "hooks.example.com")

    async def here(_: str, __: int) -> list[str]:
        return ["127.0.0.1"]

    seen: list[bytes] = []
    trust = ssl.create_default_context(cafile=trusted)
    async with receiver(answering("200 OK", seen), tls) as port:
        sender = WebhookSender(private=True, resolve=here, verify=trust)
        good = await sender.send(f"https://hooks.example.com:{port}/", {}, b"{}")
        bad = await sender.send(f"https://other.example.com:{port}/", {}, b"{}")
    assert good.code == 200, good.error
    assert f"host: hooks.example.com:{port}".encode() in seen[0].lower()
    assert bad.code is None
    assert "certificate" in bad.error.lower()
    assert len(seen) == 1


async def test_an_answer_that_never_ends_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TOTAL_S", 0.5)
    stop = asyncio.Event()

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not stop.is_set():
            writer.write(b"x-more: y\r\n")
            await asyncio.sleep(0.05)
        writer.close()

    async with receiver(trickle) as port:
        result = await WebhookSender(private=True).send(f"http://127.0.0.1:{port}/", {}, b"{}")
        stop.set()
    assert result.code is None
    assert result.error.startswith("no answer within")


async def test_a_large_answer_is_not_read() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with receiver(flood) as port:
        result = await WebhookSender(private=True).send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert result.code == 200


async def test_nobody_there_is_an_error_in_words() -> None:
    async with receiver(answering("200 OK", [])) as port:
        pass
    result = await WebhookSender(private=True).send(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert (result.code, result.error.split(":")[0]) == (None, "ConnectError")


def test_two_clients_whose_receivers_do_not_answer_leave_slots_to_the_others() -> None:
    assert 2 * AT_ONCE_OF_CLIENT < WEBHOOK_SLOTS


# --- trying again


def test_attempts_lie_further_and_further_apart_and_end_after_days() -> None:
    delays = [next_delay(n) for n in range(1, len(DELAYS_S) + 1)]
    assert delays == sorted(delays, key=lambda one: one or timedelta())
    assert timedelta(days=2) < timedelta(seconds=sum(DELAYS_S)) < timedelta(days=5)
    assert next_delay(len(DELAYS_S) + 1) is None


@pytest.mark.parametrize(
    ("code", "good"), [(200, True), (204, True), (301, False), (404, False), (500, False), (None, False)]
)
def test_only_a_success_is_one(code: int | None, good: bool) -> None:
    assert is_delivered(code) is good
