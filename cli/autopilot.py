"""The autopilot: its policy, its decisions and their reasons, and the approval of those that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from cli import tables
from cli.api_client import CliError
from cli.session import Session, exit_on_error

autopilot = typer.Typer(help="What is decided without you: how, why, and whether it may.", no_args_is_help=True)

DecisionId = Annotated[str, typer.Argument(help="ID of the decision")]


@autopilot.command("set")
@exit_on_error
def set_policy(
    context: typer.Context,
    server: Annotated[str, typer.Argument(help="Name or ID of the server; `client` for all that do not say otherwise")],
    auto_switch: Annotated[str | None, typer.Option(help="off, propose or on")] = None,
    replica: Annotated[str | None, typer.Option(help="none, on_risk or always")] = None,
    tolerance: Annotated[str | None, typer.Option(help="Of outages: relaxed, normal or strict")] = None,
    outage_cost: Annotated[float | None, typer.Option(help="USD per hour of outage, instead of a tolerance")] = None,
    min_saving: Annotated[float | None, typer.Option(help="Part of today's cost a move has to save, 0.05")] = None,
    moves_per_week: Annotated[int | None, typer.Option(help="Ordinary moves a week at most")] = None,
    minimum_stay: Annotated[float | None, typer.Option(help="Hours between ordinary moves")] = None,
    keep_old: Annotated[float | None, typer.Option(help="Seconds the old instance is kept after a switch")] = None,
    approval: Annotated[bool | None, typer.Option("--approval/--no-approval", help="Ordinary moves wait")] = None,
    frozen: Annotated[bool | None, typer.Option("--freeze/--thaw", help="Nothing is moved but in a rescue")] = None,
) -> None:
    """Change what the autopilot may do. What is not named stays."""
    session: Session = context.obj
    given = {
        "auto_switch": auto_switch,
        "replica": replica,
        "tolerance": tolerance,
        "outage_usd_per_hour": outage_cost,
        "min_saving": min_saving,
        "max_moves_per_week": moves_per_week,
        "minimum_stay_h": minimum_stay,
        "keep_old_s": keep_old,
        "approval_needed": approval,
        "frozen": frozen,
    }
    wish = {name: value for name, value in given.items() if value is not None}
    if not wish:
        raise CliError("nothing to change: name at least one option, for example --auto-switch propose")
    session.print(_change(session, server, wish), _wish)


@autopilot.command("limits")
@exit_on_error
def limits(
    context: typer.Context,
    most_per_pool: Annotated[float | None, typer.Option(help="Part of your servers in a pool at most, 0 to 1")] = None,
    most_per_zone: Annotated[float | None, typer.Option(help="Likewise in one zone")] = None,
    least_on_demand: Annotated[float | None, typer.Option(help="Part that stays on on-demand")] = None,
    moves_at_once: Annotated[int | None, typer.Option(help="Operations under way; 0: no limit of yours")] = None,
) -> None:
    """Keep your fleet from crowding. What is not named stays."""
    session: Session = context.obj
    given = {
        "most_per_pool": most_per_pool,
        "most_per_zone": most_per_zone,
        "least_on_demand": least_on_demand,
        "moves_at_once": moves_at_once,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        raise CliError("nothing to change: name at least one option, for example --most-per-pool 0.5")
    answer = session.api.patch("/api/clients/me", {"limits": wanted})
    session.print(answer, lambda found: tables.table("limits", ("", ""), list((found["limits"] or {}).items())))


@autopilot.command("decisions")
@exit_on_error
def decisions(
    context: typer.Context,
    server: Annotated[str, typer.Option(help="Name or ID of a server")] = "",
    state: Annotated[str, typer.Option(help="proposed: those that wait for approval")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)] = 50,
) -> None:
    """List decisions, newest first."""
    session: Session = context.obj
    wanted = {"state": state, "server_id": session.server_id(server) if server else ""}
    found = list(session.api.pages("/api/decisions", limit, **{k: v for k, v in wanted.items() if v}))
    session.print({"items": found}, lambda page: _table(page["items"]))


@autopilot.command("decision")
@exit_on_error
def decision(context: typer.Context, decision_id: DecisionId) -> None:
    """Show a decision with the figures it was made on."""
    session: Session = context.obj
    session.print(session.api.get(f"/api/decisions/{decision_id}"), _decision)


@autopilot.command("approve")
@exit_on_error
def approve(
    context: typer.Context,
    decision_id: DecisionId,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", "-f", help="Show its events until it is over")
    ] = False,
) -> None:
    """Let a decision that waits be carried out; the facts are read once more before it begins."""
    session: Session = context.obj
    session.accepted(session.api.post(f"/api/decisions/{decision_id}/approve", {}), follow)


@autopilot.command("reject")
@exit_on_error
def reject(
    context: typer.Context, decision_id: DecisionId, why: Annotated[str, typer.Option(help="For the record")] = ""
) -> None:
    """Turn a decision down; the same is not proposed again for a day."""
    session: Session = context.obj
    session.print(session.api.post(f"/api/decisions/{decision_id}/reject", {"why": why}), _decision)


@autopilot.command("run")
@exit_on_error
def run(context: typer.Context) -> None:
    """Decide now, for every client (needs an admin's token)."""
    session: Session = context.obj
    session.print(session.api.post("/api/decisions/rounds", {}), _round)


def _change(session: Session, server: str, wish: dict[str, Any]) -> dict[str, Any]:
    if server == "client":
        return session.api.patch("/api/clients/me", {"autopilot": wish})
    return session.api.patch(f"/api/servers/{session.server_id(server)}", {"policy": {"autopilot": wish}})


def _wish(item: Mapping[str, Any]) -> RenderableType:
    said = item["policy"]["autopilot"] if "policy" in item else item["autopilot"] or {}
    rows = [(name, value) for name, value in said.items() if value is not None]
    return tables.table(str(item.get("name", "")), ("autopilot", ""), rows)


def _table(items: list[Mapping[str, Any]]) -> RenderableType:
    columns = ("id", "server", "at", "decision", "because", "to", "state", "held by", "times")
    rows = (
        [
            item["id"],
            item["server_id"],
            tables.when(item["at"]),
            item["kind"],
            item["reason"],
            item["to_pool"],
            item["state"],
            item["held_by"],
            item["times"],
        ]
        for item in items
    )
    return tables.table("decisions", columns, rows)


def _decision(item: Mapping[str, Any]) -> RenderableType:
    figures = item["figures"]
    facts = [
        ("decision", item["id"]),
        ("what", f"{item['kind']} to {item['to_pool']}"),
        ("because", item["reason"]),
        ("held by", item["held_by"]),
        ("state", item["state"]),
        ("why", item["why"]),
        ("operation", item["operation_id"]),
        *((name, figures[name]) for name in _FIGURES if figures.get(name) is not None),
    ]
    return Group(
        tables.table("", ("", ""), [fact for fact in facts if fact[1] not in (None, "")]),
        "",
        candidate_table(figures),
    )


def candidate_table(figures: Mapping[str, Any]) -> RenderableType:
    """A server's own pool and the best others, as a decision saw them."""
    pools = ([figures["here"]] if "here" in figures else []) + figures.get("candidates", [])
    columns = ("pool", "$/h", "losses/h", "$/h with risk", "not entered because")
    return tables.table("pools: its own first", columns, [_candidate(one) for one in pools])


_FIGURES = (
    "cost_now_usd_per_h",
    "cost_then_usd_per_h",
    "gain_usd_per_h",
    "move_usd",
    "move_overlap_usd",
    "move_snapshot_usd",
    "move_outage_usd",
    "payback_h",
    "on_demand_usd_per_h",
    "outage_usd_per_h",
    "left_out",
)


def _candidate(one: Mapping[str, Any]) -> list[object]:
    return [
        one["pool"],
        tables.money(one.get("usd_per_h")),
        one.get("losses_per_h"),
        tables.money(one.get("cost_usd_per_h")),
        one.get("blocked"),
    ]


def _round(item: Mapping[str, Any]) -> RenderableType:
    counts = sorted(item["counts"].items())
    skipped = [(f"{region}: nothing decided", why) for region, why in item["skipped"].items()]
    rows = [("servers", item["servers"]), *counts, ("asked for", item["asked"]), ("proposed", item["proposed"])]
    return tables.table("", ("", ""), [*rows, *skipped])
