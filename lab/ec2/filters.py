"""`Filters` of the describe calls, applied to answers in the API's shape; and paging."""

from __future__ import annotations

import base64
import binascii
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from lab.ec2.errors import Ec2Error

ApiShape = dict[str, Any]


def select(
    items: Iterable[ApiShape], filters: Sequence[Mapping[str, Any]] | None, paths: Mapping[str, str]
) -> list[ApiShape]:
    """Every filter must match; within a filter any value may; `*` and `?` are wildcards.

    `paths` says where in the answer a filter's value is (`State.Name`; every element of a list counts).
    """
    wanted = [_compiled(one, paths) for one in filters or ()]
    return [item for item in items if all(_matches(item, path, values) for path, values in wanted)]


def _compiled(one: Mapping[str, Any], paths: Mapping[str, str]) -> tuple[str, list[str]]:
    name, values = str(one.get("Name", "")), [str(v) for v in one.get("Values") or ()]
    if name.startswith("tag:"):
        return name, values
    if name == "tag-key":
        return "Tags.Key", values
    if name == "tag-value":
        return "Tags.Value", values
    if name not in paths:
        raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
    return paths[name], values


def _matches(item: ApiShape, path: str, values: list[str]) -> bool:
    if path.startswith("tag:"):
        key = path[4:]
        found = [str(t["Value"]) for t in item.get("Tags") or () if t["Key"] == key]
    else:
        found = [_text(v) for v in _walk(item, path.split("."))]
    return any(_like(text, pattern) for text in found for pattern in values)


def _like(text: str, pattern: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
    return text == pattern


def _walk(value: Any, path: Sequence[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for item in value for found in _walk(item, path)]
    if not path:
        return [] if value is None else [value]
    if not isinstance(value, Mapping) or path[0] not in value:
        return []
    return _walk(value[path[0]], path[1:])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(value)


def page(items: list[Any], params: Mapping[str, Any], default: int = 1000) -> tuple[list[Any], str | None]:
    """One page and the token of the next. Tokens are opaque, as EC2's are."""
    start = _offset(params.get("NextToken"))
    size = int(params.get("MaxResults") or 0) or default
    rest = start + size
    return items[start:rest], _token(rest) if rest < len(items) else None


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"lab:{offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("lab:"))
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise Ec2Error("InvalidNextToken", f"The token '{token}' is invalid") from error
