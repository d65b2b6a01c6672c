"""The lab's HTTP side: AWS's endpoint and `/_lab/` on one port of 127.0.0.1."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from lab.call_log import CallLog
from lab.control_api import ControlApi
from lab.dispatch import Dispatcher, HttpResponse, error_reply, read_call
from lab.ec2.calls import Call
from lab.ec2.errors import Ec2Error, denied, throttled
from lab.ec2.world import World
from lab.faults import Fault, Faults, Permissions, Throttle

log = logging.getLogger("lab.app")
NEVER_THROTTLED = ("sqs", "sts")


class App:
    """Answers AWS calls. Each is logged, and may meet a fault, the throttle or a missing permission."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls = CallLog(world.settings.access_log)
        self.faults = Faults()
        self.throttle = Throttle()
        self.permissions = Permissions()
        self.dispatcher = Dispatcher(world)
        self.control = ControlApi(world, self.calls, self.faults, self.throttle, self.permissions)

    def respond(self, environ: Mapping[str, Any], body: bytes) -> HttpResponse | None:
        """The answer; None drops the connection without one."""
        path = str(environ.get("PATH_INFO") or "/")
        try:
            if path.startswith("/_lab"):
                return self.control.answer(environ, path, body)
            return self._aws(environ, body)
        except Exception as error:
            log.exception("a request failed inside the lab")
            return HttpResponse(500, json.dumps({"error": f"the lab failed: {error!r}"}).encode())

    def _aws(self, environ: Mapping[str, Any], body: bytes) -> HttpResponse | None:
        started = time.perf_counter()
        try:
            call = read_call(environ, body)
        except Ec2Error as error:
            return error_reply(Call("ec2", "", {}, "", ""), error)
        agent = str(environ.get("HTTP_USER_AGENT") or "")
        entry = self.calls.arrived(call.service, call.action, call.params, call.region, agent)
        fault = self.faults.fault_for_call(call.action, call.params)
        if fault is not None:
            entry["fault"] = fault.kind
        held = fault if fault is not None and fault.kind == "hold" else None
        if held is not None and held.when == "before":
            self.faults.hold(held)
            self.calls.answered(entry, 0, "(never arrived)", (time.perf_counter() - started) * 1000)
            return None
        reply = self._met(fault, call, environ, body)
        if held is not None:
            self.faults.hold(held)
        lost = fault is not None and fault.kind in ("lose", "hold")
        code = "(answer lost)" if lost else reply.code
        self.calls.answered(entry, reply.status, code, (time.perf_counter() - started) * 1000)
        return None if lost else reply

    def _met(self, fault: Fault | None, call: Call, environ: Mapping[str, Any], body: bytes) -> HttpResponse:
        if fault is not None and fault.kind == "fail":
            return error_reply(call, Ec2Error(fault.code, fault.message, fault.status))
        if fault is not None and fault.kind == "throttle":
            return error_reply(call, throttled())
        if fault is not None and fault.kind == "delay":
            time.sleep(fault.seconds)
        if call.service not in NEVER_THROTTLED and not self.throttle.allow():
            return error_reply(call, throttled())
        name = f"{'elasticloadbalancing' if call.service == 'elbv2' else call.service}:{call.action}"
        if self.permissions.denied(name, call.access_key):
            error = denied(name)
            if call.service != "ec2":
                error.code = "AccessDenied" if call.service in ("elbv2", "sts") else "AccessDeniedException"
            return error_reply(call, error)
        return self.dispatcher.answer(call, environ, body)


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return "Unknown"


class Handler(WSGIRequestHandler):
    """Keep-alive without Nagle, and one write for each answer: a call takes a few milliseconds."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log(self, type: str, message: str, *args: object) -> None:
        """Calls are logged by the lab itself."""

    def run_wsgi(self) -> None:
        """Replaces werkzeug's, which closes the connection after each answer."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        environ = self.make_environ()
        stream, size = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
        body = stream.read() if environ.get("wsgi.input_terminated") else stream.read(size)
        server: Any = self.server
        reply: HttpResponse | None = server.lab.respond(environ, body)
        if reply is None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        try:
            self.send_response(reply.status, _phrase(reply.status))
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has gone

    def version_string(self) -> str:
        return "spot-optimizer-lab (not AWS)"


def _no_wsgi(environ: object, start_response: object) -> Iterable[bytes]:
    raise NotImplementedError  # the handler calls the lab directly


class Server(ThreadedWSGIServer):
    request_queue_size = 512
    daemon_threads = True

    def __init__(self, app: App, port: int) -> None:
        super().__init__("127.0.0.1", port, _no_wsgi, Handler)
        self.lab = app
