"""Models that forecast: registered, looked at, and allowed to decide (changes need an admin's token)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from cli import tables
from cli.api_client import CliError
from cli.session import Session, exit_on_error

models = typer.Typer(help="Models that forecast risk and price.", no_args_is_help=True)

ModelId = Annotated[str, typer.Argument(help="ID of the model")]
ForClient = Annotated[str, typer.Option("--for", help="ID of the client whose decisions it informs")]


@models.command("register")
@exit_on_error
def register(
    context: typer.Context,
    about: Annotated[Path, typer.Argument(help="JSON with name, features, sha256, report; the .onnx lies beside it")],
) -> None:
    """Register a model: it is checked, tried out, and then runs in shadow."""
    session: Session = context.obj
    body, content = _read(about)
    body["onnx"] = base64.b64encode(content).decode()
    session.print(session.api.post("/api/models", body), _line)


@models.command("list")
@exit_on_error
def list_models(context: typer.Context) -> None:
    session: Session = context.obj
    found = session.api.get("/api/models")
    rows = [[m["id"], m["name"], m["state"], tables.when(m["registered_at"]), m["size"]] for m in found["items"]]
    session.print(found, lambda _: tables.table("", ("id", "name", "state", "since", "bytes"), rows))


@models.command("show")
@exit_on_error
def show_model(context: typer.Context, model_id: ModelId) -> None:
    """Show a model: for whom it decides, and how its decisions compare."""
    session: Session = context.obj
    session.print(session.api.get(f"/api/models/{model_id}"), _model)


@models.command("activate")
@exit_on_error
def activate(
    context: typer.Context,
    model_id: ModelId,
    client: ForClient,
    force: Annotated[bool, typer.Option("--force", help="Though no backtest speaks for it; needs --why")] = False,
    why: Annotated[str, typer.Option(help="For the record")] = "",
) -> None:
    """Let its forecasts inform a client's decisions."""
    session: Session = context.obj
    body = {"client_id": client, "force": force, "why": why}
    session.print(session.api.post(f"/api/models/{model_id}/activate", body), _use)


@models.command("roll-back")
@exit_on_error
def roll_back(context: typer.Context, model_id: ModelId, client: ForClient) -> None:
    """Go back to what decided before it."""
    session: Session = context.obj
    session.print(session.api.post(f"/api/models/{model_id}/rollback", {"client_id": client}), _use)


@models.command("retire")
@exit_on_error
def retire(context: typer.Context, model_id: ModelId) -> None:
    """Run it no more, for nobody."""
    session: Session = context.obj
    session.print(session.api.post(f"/api/models/{model_id}/retire", {}), _line)


def _read(about: Path) -> tuple[dict[str, Any], bytes]:
    try:
        said = json.loads(about.read_text(encoding="utf-8"))
        body = {name: said[name] for name in ("name", "features", "sha256", "report")}
        return body, about.with_suffix(".onnx").read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CliError(f"{about} cannot be registered: {type(error).__name__}: {error}") from error


def _line(item: Mapping[str, Any]) -> RenderableType:
    return tables.table("", ("", ""), [(name, item[name]) for name in ("id", "name", "state", "sha256")])


def _use(item: Mapping[str, Any]) -> RenderableType:
    return tables.table("", ("", ""), [(name, value) for name, value in item.items() if value not in (None, "")])


def _model(item: Mapping[str, Any]) -> RenderableType:
    compared = (
        [one["client_id"], one["decisions"], one["agreed"], one["fell_back"], *_means(one)] for one in item["compared"]
    )
    uses = (
        [use["client_id"], tables.when(use["began_at"]), tables.when(use["ended_at"]), use["backtest_id"], use["why"]]
        for use in item["uses"]
    )
    columns = ("client", "decisions", "agreed", "fell back", "$/h and server", "$/h built in")
    return Group(
        _line(item),
        "",
        tables.table("beside the built-in policy", columns, compared),
        "",
        tables.table("decided for", ("client", "from", "until", "backtest", "why"), uses),
    )


def _means(one: Mapping[str, Any]) -> list[str]:
    count = one["decisions"] or 1
    return [f"{one['cost_usd'] / count:.4f}", f"{one['built_in_cost_usd'] / count:.4f}"]
