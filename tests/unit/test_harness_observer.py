"""The observer notes what a client sees, over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.loop_thread import loop_thread
from proof.harness.observer import Endpoint, Observer, parse_response, request_once
from proof.harness.waiting import ScenarioFailed, until

PATIENCE_S = 60.0


class Service:
    """A workload as far as its clients go; `moods` decides what becomes of each write."""

    def __init__(self) -> None:
        self.disk: list[int] = []
        self.received: list[int] = []
        self.mood: Callable[[int], str] = lambda n: "ok"
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = {"numbers": service.disk} if self.path.startswith("/writes") else {"instance": "i-1"}
                self.answer(200, body)

            def do_POST(self) -> None:
                n = int(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["n"])
                service.received.append(n)
                mood = service.mood(n)
                if mood in ("ok", "cut"):
                    service.disk.append(n)
                if mood == "cut":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.answer(503 if mood == "refuse" else 200, {"n": n, "instance": "i-1"})

            def answer(self, status: int, body: object) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def endpoint(self, *, writes: bool) -> Endpoint:
        return Endpoint("orders", "127.0.0.1", self.server.server_port, writes)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def observer() -> Iterator[Observer]:
    with loop_thread("test") as portal:
        yield Observer(portal)


def seen(observer: Observer, count: int) -> bool | None:
    return True if len(observer.samples("orders")[0]) >= count else None


def test_a_write_is_sent_again_until_it_is_acknowledged(service: Service, observer: Observer) -> None:
    service.mood = lambda n: "refuse" if n == 3 and service.received.count(3) < 3 else "ok"
    observer.watch(service.endpoint(writes=True))
    until("writes go on", PATIENCE_S, lambda: True if 5 in service.disk else None)
    observer.stop()
    assert service.received[:6] == [1, 2, 3, 3, 3, 4]
    [samples] = observer.samples("orders")
    assert [sample.ok for sample in samples[:6]] == [True, True, False, False, True, True]
    assert samples[2].error == "HTTP 503"


def test_a_write_that_was_acknowledged_and_is_not_on_disk_is_lost(service: Service, observer: Observer) -> None:
    service.mood = lambda n: "forget" if n == 2 else "ok"
    observer.watch(service.endpoint(writes=True))
    until("writes go on", PATIENCE_S, lambda: seen(observer, 4))
    observer.stop()
    writes = observer.count_writes("orders")
    assert len(writes.acknowledged) == len(observer.samples("orders")[0])
    assert len(writes.lost) == 1


def test_a_write_whose_answer_was_cut_off_is_no_acknowledged_one(service: Service, observer: Observer) -> None:
    service.mood = lambda n: "cut" if service.received.count(n) == 1 and n == 2 else "ok"
    observer.watch(service.endpoint(writes=True))
    until("writes go on", PATIENCE_S, lambda: seen(observer, 4))
    observer.stop()
    assert not observer.samples("orders")[0][1].ok
    assert not observer.count_writes("orders").lost


def test_reads_tell_who_answered_and_count_no_writes(service: Service, observer: Observer) -> None:
    observer.watch(service.endpoint(writes=False), clients=2)
    until("reads go on", PATIENCE_S, lambda: seen(observer, 3))
    observer.stop()
    assert all(samples[0].instance == "i-1" for samples in observer.samples("orders"))
    assert observer.count_writes("orders").acknowledged == []


def test_nothing_is_asked_after_stop(service: Service, observer: Observer) -> None:
    observer.watch(service.endpoint(writes=True))
    until("writes go on", PATIENCE_S, lambda: seen(observer, 2))
    observer.stop()
    count = len(service.received)
    observer.count_writes("orders")
    assert len(service.received) == count


async def test_a_refused_connection_is_a_failed_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sample = await request_once(Endpoint("web", "127.0.0.1", port, False), "web-1", 0)
    assert not sample.ok
    assert "Refused" in sample.error


async def test_a_service_that_does_not_answer_in_time_is_a_failed_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proof.harness.observer.TIMEOUT_S", 0.05)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sample = await request_once(Endpoint("web", "127.0.0.1", port, False), "web-1", 0)
    assert not sample.ok
    assert sample.ended - sample.started >= 0.05


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"n": 1', b"junk\r\n\r\n"]
)
def test_an_answer_that_was_cut_short_is_none(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"no answer|cut short"):
        parse_response(answer)


def test_an_endpoint_that_never_answers_stops_the_demo(monkeypatch: pytest.MonkeyPatch, observer: Observer) -> None:
    monkeypatch.setattr("proof.harness.observer._ANSWERS_S", 0.2)
    with pytest.raises(ScenarioFailed, match=r"orders answers at http://127\.0\.0\.1:9: not within 0\.2 s"):
        observer.watch(Endpoint("orders", "127.0.0.1", 9, True))
