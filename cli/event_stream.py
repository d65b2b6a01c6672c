"""Following a stream of events across broken connections: no event is missed, none comes twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from cli.api_client import ApiClient, ApiProblem

RETRY_S = 1.0


@dataclass(frozen=True)
class StreamedEvent:
    id: str
    type: str
    data: dict[str, Any]


def parse(lines: Iterable[str]) -> Iterator[StreamedEvent]:
    """Events of a Server-Sent Events stream; comments and an unfinished last event are dropped."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            data = json.loads("\n".join(fields["data"]))
            yield StreamedEvent(fields.get("id", [""])[-1], fields.get("event", ["message"])[-1], data)
        fields = {}


def follow(
    api: ApiClient,
    path: str,
    last_id: str = "",
    *,
    over: Callable[[StreamedEvent], bool] = lambda event: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[StreamedEvent]:
    """Events as they come, until `over` says that one was the last. It reconnects until then."""
    while True:
        try:
            for event in parse(api.stream(path, last_id)):
                last_id = event.id or last_id
                yield event
                if over(event):
                    return
        except httpx.TransportError:
            pass  # the connection broke, or was silent for too long: go on after last_id
        except ApiProblem as problem:
            if problem.status < 500:
                raise
        sleep(RETRY_S)
