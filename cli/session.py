"""What all commands share: the connection, printing, and finding IDs by names."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

import typer
from rich.console import Console, RenderableType

from cli import tables
from cli.api_client import ApiClient, CliError
from cli.event_stream import StreamedEvent, follow

P = ParamSpec("P")
FINAL = frozenset({"committed", "rolled_back", "cancelled", "needs_attention"})


@dataclass
class Session:
    """Made once for a command, from the global options."""

    api: ApiClient
    json: bool
    console: Console

    def print(self, found: Mapping[str, Any], view: Callable[[Mapping[str, Any]], RenderableType]) -> None:
        if self.json:
            self.print_json(found)
        else:
            self.console.print(view(found))

    def print_json(self, found: object) -> None:
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()

    def server_id(self, name_or_id: str) -> str:
        """A server's ID is taken as it is; a name is looked up."""
        if name_or_id.startswith("srv-"):
            return name_or_id
        found = self.api.get("/api/servers", name=name_or_id)["items"]
        if not found:
            raise CliError(f"there is no server called {name_or_id}; `spot servers` lists them")
        return str(found[0]["id"])

    def accepted(self, answer: Mapping[str, Any], follow_it: bool) -> None:
        """Say which operation it is and, if asked, follow it to its end: exit code 1 unless it commits."""
        operation_id = str(answer["operation_id"])
        if not follow_it:
            self.print(answer, lambda found: f"{found['operation_id']} {found['status']}; `spot operation` shows it")
            return
        self.follow_operation(operation_id)
        done = self.api.get(f"/api/operations/{operation_id}")
        self.print(done, tables.operation)
        if done["status"] != "committed":
            raise typer.Exit(1)

    def follow_operation(self, operation_id: str) -> None:
        """Print its events until it is over."""
        for event in follow(self.api, f"/api/operations/{operation_id}/stream", over=_is_over):
            if not self.json and event.type != "snapshot":
                tables.event_line(self.console, event.data)


def _is_over(event: StreamedEvent) -> bool:
    status = event.data.get("status") if event.type == "snapshot" else event.type.removeprefix("operation.")
    return status in FINAL


def exit_on_error(command: Callable[P, None]) -> Callable[P, None]:
    """End a command with the error's message and exit code 1, without a traceback."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CliError as error:
            sys.stderr.write(f"{error}\n")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error

    return guarded
