"""A small HTTP/1.1 server: threads, keep-alive, and a stop that finishes the requests in flight.

The standard library's server takes longer to import than a workload may take to start.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    Handler = Callable[["Request"], tuple[int, object]]

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict"}
MAX_BODY = 1 << 20


class Request:
    """One request: method, path without query, query as a dict, body."""

    __slots__ = ("body", "keep_alive", "method", "path", "query")

    def __init__(self, method: str, target: str, body: bytes, keep_alive: bool) -> None:
        self.method = method
        self.path, _, query = target.partition("?")
        self.query = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        self.body = body
        self.keep_alive = keep_alive


class Server:
    """Listens from the start. `serve` answers until SIGTERM, and returns once every request is answered."""

    def __init__(self, address: str, port: int, handler: Handler) -> None:
        self.handler = handler
        self.stopping = False
        self._idle: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((address, port), backlog=1024)
        self._listener.setblocking(False)

    def serve(self, drain_s: float) -> None:
        self._wait_for_term()
        with self._lock:
            self.stopping = True
        self._accept_all()  # clients that have connected are still served
        self._listener.close()
        self._finish(time.monotonic() + drain_s)

    def _wait_for_term(self) -> None:
        """The wake-up pipe gets the signal's number, also when the signal arrives between two calls."""
        wake, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        poll = select.poll()
        for fd in (wake, self._listener.fileno()):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if wake in ready and signal.SIGTERM in os.read(wake, 64):
                return
            self._accept_all()

    def _accept_all(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            connection.setblocking(True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while self._answer_one(connection, stream):
                    continue
        except (OSError, ValueError):
            return  # the peer went away, or does not speak HTTP: there is nobody to answer
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _answer_one(self, connection: socket.socket, stream: BinaryIO) -> bool:
        self._set_idle(connection)
        first = stream.readline(65536)
        with self._lock:
            self._idle.discard(connection)
        if not first.strip():
            return False
        request = _read_request(first, stream)
        status, value = self.handler(request)
        keep = request.keep_alive and not self.stopping
        connection.sendall(_response(status, value, keep))
        return keep

    def _set_idle(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle.add(connection)
            if self.stopping:
                _end_reading(connection)

    def _finish(self, deadline: float) -> None:
        with self._lock:
            for connection in self._idle:
                _end_reading(connection)
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _end_reading(connection: socket.socket) -> None:
    """Let the reader get what has arrived, and then the end."""
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return  # already closed by its own thread


def _read_request(first: bytes, stream: BinaryIO) -> Request:
    method, target, version = first.decode("latin-1").split()
    headers: dict[str, str] = {}
    while line := stream.readline(65536).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= MAX_BODY:
        raise ValueError("body too long")
    body = stream.read(length)
    if len(body) < length:
        raise ValueError("body cut short")
    wanted = headers.get("connection", "keep-alive" if version == "HTTP/1.1" else "close")
    return Request(method, target, body, wanted.lower() != "close")


def _response(status: int, value: object, keep: bool) -> bytes:
    body = json.dumps(value).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + body
