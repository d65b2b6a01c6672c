"""From a request to its answer: which service and action it is, and whether the lab or moto answers it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.datastructures import MultiDict

from lab.ec2 import attributes, catalog, images, json_services, launch, load_balancers, snapshots, tags, volumes
from lab.ec2.calls import ACTION_FUNCTIONS, Call
from lab.ec2.errors import DryRunSucceeded, Ec2Error
from lab.ec2.wire import answer_ec2, error_ec2, error_query, parse_ec2, request_id
from lab.ec2.world import World

ACTION_MODULES = (
    attributes,
    catalog,
    images,
    launch,
    snapshots,
    tags,
    volumes,
)  # importing them fills ACTION_FUNCTIONS

# What moto would answer about resources that the lab does not have.
UNSUPPORTED = frozenset(
    {
        "CopyImage",
        "CopySnapshot",
        "CreateFleet",
        "CreateReplaceRootVolumeTask",
        "DescribeFleets",
        "ModifySpotFleetRequest",
        "RegisterImage",
        "RequestSpotFleet",
        "RequestSpotInstances",
        "ResetInstanceAttribute",
    }
)
SERVICES = {
    "elasticloadbalancing": "elbv2",
    "servicequotas": "service-quotas",
    "api.pricing": "pricing",
}


WARM_CALLS = (
    ("ec2", "DescribeVpcs"),
    ("elasticloadbalancing", "DescribeTargetGroups&Version=2015-12-01"),
    ("sqs", "ListQueues"),
    ("sts", "GetCallerIdentity"),
)


@dataclass
class HttpResponse:
    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    code: str | None = None  # the error's code


def read_call(environ: Mapping[str, Any], body: bytes) -> Call:
    """Reads service, region and key from the signature's scope. The signature is not checked."""
    key, region, service = _scope(str(environ.get("HTTP_AUTHORIZATION") or ""))
    target = str(environ.get("HTTP_X_AMZ_TARGET") or "")
    if target:
        prefix, _, name = target.partition(".")
        service = {"AmazonSQS": "sqs", "AWSPriceListService": "pricing"}.get(prefix, service)
        params = json.loads(body or b"{}")
        return Call(service, name, params, region, key)
    text = body.decode() or str(environ.get("QUERY_STRING") or "")
    flat = dict(parse_qsl(text, keep_blank_values=True))
    name = flat.get("Action", "")
    if service == "ec2" and name:
        return Call(service, name, parse_ec2(name, text), region, key)
    if service == "elbv2" and name:
        return Call(service, name, _parse_query("elbv2", name, text), region, key)
    return Call(service, name, {k: v for k, v in flat.items() if k != "Action"}, region, key)


def _scope(header: str) -> tuple[str, str, str]:
    _, found, rest = header.partition("Credential=")
    parts = rest.split(",")[0].split("/")
    if not found or len(parts) < 5:
        return "", "us-east-1", "ec2"
    return parts[0], parts[2], SERVICES.get(parts[3], parts[3])


def _parse_query(service: str, name: str, text: str) -> dict[str, Any]:
    model = get_service_model(service)
    if name not in model.operation_names:
        raise Ec2Error("InvalidAction", f"The action {name} is not valid for this web service.")
    request: Any = {"values": MultiDict(parse_qsl(text, keep_blank_values=True))}
    parsed: dict[str, Any] = PROTOCOL_PARSERS["query"](model.operation_model(name)).parse(request)
    return parsed


class Dispatcher:
    def __init__(self, world: World) -> None:
        self.world = world
        self._moto = DomainDispatcherApplication(create_backend_app)

    def warm(self) -> None:
        """Load models and moto's applications now, not during the first call."""
        for service, name in WARM_CALLS:
            scope = f"AWS4-HMAC-SHA256 Credential=lab/20260101/{self.world.region}/{service}/aws4_request"
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": str(self.world.settings.port),
                "wsgi.url_scheme": "http",
                "HTTP_AUTHORIZATION": scope,
                "CONTENT_TYPE": "application/x-www-form-urlencoded",
            }
            self._from_moto(environ, f"Action={name}".encode())

    def answer(self, call: Call, environ: Mapping[str, Any], body: bytes) -> HttpResponse:
        try:
            if call.service == "ec2":
                return self._ec2(call, environ, body)
            if call.service == "elbv2":
                return self._elbv2(call, environ, body)
            target = str(environ.get("HTTP_X_AMZ_TARGET") or "")
            if target in json_services.ANSWERS:
                result = json_services.ANSWERS[target](self.world, call.params)
                return _json(200, result)
            if call.service in ("sts", "sqs"):
                return self._from_moto(environ, body)
            raise Ec2Error("UnknownOperationException", f"The lab does not know {call.service} {call.action}")
        except Ec2Error as error:
            return error_reply(call, error)

    def _ec2(self, call: Call, environ: Mapping[str, Any], body: bytes) -> HttpResponse:
        if call.params.get("DryRun"):
            raise DryRunSucceeded
        if call.region != self.world.region:
            if not call.action.startswith("Describe"):
                raise Ec2Error("UnsupportedOperation", f"The lab is {self.world.region} alone; {call.region} is empty.")
            return self._from_moto(environ, body)
        if call.action in UNSUPPORTED:
            raise Ec2Error("UnsupportedOperation", f"The lab does not know {call.action}.")
        handler = ACTION_FUNCTIONS.get(call.action)
        result = None
        if handler is not None:
            try:
                result = self.world.transact(lambda: handler(self.world, call.params))
            except KeyError as error:
                raise Ec2Error("MissingParameter", f"The request must contain the parameter {error}") from error
        if result is None:
            with self.world.lock:
                return self._from_moto(environ, body)
        text = answer_ec2(call.action, result)
        return HttpResponse(200, text.encode(), [("Content-Type", "text/xml;charset=UTF-8")])

    def _elbv2(self, call: Call, environ: Mapping[str, Any], body: bytes) -> HttpResponse:
        world, own = self.world, load_balancers.LOCAL_ACTIONS.get(call.action)
        if own is not None:
            result = world.transact(lambda: own(world, call.params))
            operation = get_service_model("elbv2").operation_model(call.action)
            found = get_serializer_class("elbv2", "query")(operation, SerializationContext(request_id())).serialize(
                result
            )
            return HttpResponse(200, str(found["body"]).encode(), [("Content-Type", "text/xml")])

        def through_moto() -> HttpResponse:
            reply = self._from_moto(environ, body)
            if reply.status < 300:
                text = load_balancers.after_moto(world, call.action, call.params, reply.body.decode())
                reply.body = text.encode()
            return reply

        return world.transact(through_moto)

    def _from_moto(self, environ: Mapping[str, Any], body: bytes) -> HttpResponse:
        reply = HttpResponse(200, b"")

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> object:
            reply.status, reply.headers = int(status.split()[0]), headers
            return lambda _data: None

        fresh = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks: Iterable[bytes] = self._moto(fresh, start_response)
        reply.body = b"".join(chunks)
        dropped = ("content-length", "connection", "date", "server")
        reply.headers = [(k, v) for k, v in reply.headers if k.lower() not in dropped]
        if reply.status >= 400:
            reply.code = _error_code(reply.body)
        return reply


def _error_code(body: bytes) -> str | None:
    text = body.decode(errors="replace")
    if "<Code>" in text:
        return text.partition("<Code>")[2].partition("</Code>")[0]
    if '"__type"' in text:
        return str(json.loads(text).get("__type", "")).rpartition("#")[2]
    return None


def _json(status: int, content: Mapping[str, Any], code: str | None = None) -> HttpResponse:
    headers = [("Content-Type", "application/x-amz-json-1.1")]
    if code:
        headers.append(("x-amzn-ErrorType", code))
    return HttpResponse(status, json.dumps(content).encode(), headers, code)


def error_reply(call: Call, error: Ec2Error) -> HttpResponse:
    """An error in the format of the called service."""
    if call.service == "ec2":
        return HttpResponse(
            error.status, error_ec2(error).encode(), [("Content-Type", "text/xml;charset=UTF-8")], error.code
        )
    if call.service in ("elbv2", "sts"):
        return HttpResponse(error.status, error_query(error).encode(), [("Content-Type", "text/xml")], error.code)
    return _json(error.status, {"__type": error.code, "message": error.message}, error.code)
