"""What the policy would have done: with a folder of history here, or with your own servers over the API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from cli import tables
from cli.api_client import CliError
from cli.session import Session, exit_on_error
from domain.backtest.contract import BacktestError

ENDED = frozenset({"done", "failed", "cancelled"})
POLL_S = 1.0
OUT = Path("var/backtest/report.json")


@exit_on_error
def backtest(
    context: typer.Context,
    data: Annotated[Path | None, typer.Argument(help="Folder with traces_*.csv, prices_*.csv, ondemand.csv")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A folder: few windows, few groups")] = False,
    out: Annotated[Path, typer.Option("--out", help="A folder: where its report goes")] = OUT,
    server: Annotated[list[str] | None, typer.Option("--server", help="Name or ID; again for more. None: all")] = None,
    days: Annotated[float, typer.Option(help="The last so many days")] = 30.0,
    policy: Annotated[list[str] | None, typer.Option(help="field=value, over the servers' own; again for more")] = None,
    model: Annotated[str, typer.Option(help="ID of a model to replay beside the policy")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it has ended")] = True,
    key: Annotated[str, typer.Option("--key", help="Idempotency-Key: the same key again is the same backtest")] = "",
) -> None:
    """Replay history through the decision policy: a folder's, here, or your servers' own."""
    if data is not None:
        _folder(data, quick, out)
        return
    session: Session = context.obj
    body = {"servers": server or [], "days": days, "policy": _policy(policy or []), "model_id": model}
    found = session.api.post("/api/backtests", body, key=key)
    while wait and found["state"] not in ENDED:
        time.sleep(POLL_S)
        found = session.api.get(f"/api/backtests/{found['id']}")
    session.print(found, _backtest)
    if found["state"] in ("failed", "cancelled"):
        raise typer.Exit(1)


def _folder(data: Path, quick: bool, out: Path) -> None:
    """Research is no part of the product: it is imported only here, when somebody asks for it."""
    try:
        from research.backtest.command import replay_folder
    except ModuleNotFoundError as error:
        raise CliError(
            f"a folder is replayed by the package `research`, and {error.name} is not installed here; "
            "run this in a checkout of the repository, after `make setup`"
        ) from error
    try:
        replay_folder(data, quick=quick, out=out)
    except BacktestError as error:
        raise CliError(str(error)) from error


def _policy(said: list[str]) -> dict[str, Any]:
    """Values are JSON where they can be read so, and words otherwise: tolerance=strict, min_saving=0.1."""
    found: dict[str, Any] = {}
    for one in said:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise CliError(f"{one!r} is no field=value, such as tolerance=strict")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _backtest(item: Mapping[str, Any]) -> RenderableType:
    facts = [
        ("backtest", item["id"]),
        ("state", item["state"]),
        ("from", tables.when(item["from_at"])),
        ("until", tables.when(item["until_at"])),
        ("problem", item["problem"]),
        *((name, value) for name, value in item["asked"].items()),
    ]
    parts: list[RenderableType] = [tables.table("", ("", ""), [fact for fact in facts if fact[1] not in (None, "")])]
    if result := item.get("result"):
        parts += ["", _outcomes(f"{len(result['servers'])} servers together", result["policies"])]
        parts += [
            "",
            *(_outcomes(f"{one['name']}, from {one['start_pool']}", one["outcomes"]) for one in result["servers"]),
        ]
        parts += [f"{server_id} was left out: {why}" for server_id, why in result["skipped"].items()]
        parts += [f"{server_id} is reckoned without {what}" for server_id, what in result["left_out"].items()]
    return Group(*parts)


def _outcomes(title: str, outcomes: list[Mapping[str, Any]]) -> RenderableType:
    columns = (
        "policy",
        "$ paid",
        "$ of it snapshots",
        "moves",
        "interruptions",
        "outage min",
        "of moves",
        "$ with the outage's cost",
    )
    rows = (
        [
            one["policy"],
            f"{one['money_usd']:.2f}",
            f"{one['snapshot_usd']:.2f}",
            one["moves"],
            one["interruptions"],
            f"{one['outage_minutes']:.1f}",
            f"{one['move_outage_minutes']:.1f}",
            f"{one['cost_usd']:.2f}",
        ]
        for one in outcomes
    )
    return tables.table(title, columns, rows)
