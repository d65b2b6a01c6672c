"""AWS's wire format: EC2's query protocol in, XML out, by botocore's model of the service."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import MultiDict

from lab.ec2.errors import Ec2Error

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15"


@cache
def operation(action: str) -> OperationModel:
    model = get_service_model("ec2")
    if action not in model.operation_names:
        raise Ec2Error("InvalidAction", f"The action {action} is not valid for this web service.")
    found: OperationModel = model.operation_model(action)
    return found


def parse_ec2(action: str, body: str) -> dict[str, Any]:
    """The call's parameters with the names and shapes of the API reference."""
    request: Any = {"values": MultiDict(parse_qsl(body, keep_blank_values=True))}
    try:
        parsed: dict[str, Any] = PROTOCOL_PARSERS["ec2"](operation(action)).parse(request)
    except (TypeError, ValueError) as error:
        raise Ec2Error("InvalidParameterValue", f"A parameter cannot be read: {error}") from error
    return parsed


def request_id() -> str:
    raw = secrets.token_hex(16)
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"


def answer_ec2(action: str, result: Mapping[str, Any]) -> str:
    shape = operation(action).output_shape
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{NAMESPACE}">']
    parts.append(f"<requestId>{request_id()}</requestId>")
    if shape is None:
        parts.append("<return>true</return>")
    else:
        _members(parts, shape, result)
    parts.append(f"</{action}Response>")
    return "".join(parts)


def error_ec2(error: Ec2Error) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id()}</RequestID></Response>"
    )


def error_query(error: Ec2Error) -> str:
    """The shape of STS's and Elastic Load Balancing's errors."""
    return (
        "<ErrorResponse><Error><Type>Sender</Type>"
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{request_id()}</RequestId></ErrorResponse>"
    )


def _members(parts: list[str], shape: Any, value: Mapping[str, Any]) -> None:
    for name, member, tag in _tags(shape):
        item = value.get(name)
        if item is not None:
            parts.append(f"<{tag}>")
            _value(parts, member, item)
            parts.append(f"</{tag}>")


_TAGS: dict[str, list[tuple[str, Any, str]]] = {}


def _tags(shape: Any) -> list[tuple[str, Any, str]]:
    known = _TAGS.get(shape.name)
    if known is None:
        known = [(name, m, m.serialization.get("name", name)) for name, m in shape.members.items()]
        _TAGS[shape.name] = known
    return known


def _value(parts: list[str], shape: Any, value: Any) -> None:
    if shape.type_name == "structure":
        _members(parts, shape, value)
    elif shape.type_name == "list":
        for item in value:
            parts.append("<item>")
            _value(parts, shape.member, item)
            parts.append("</item>")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, datetime):
        parts.append(value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    else:
        parts.append(escape(str(value)))
