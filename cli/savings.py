"""What was saved, in tables or as CSV, and the fleet at a glance."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from cli import tables
from cli.api_client import CliError
from cli.session import Session, exit_on_error

_MONEY = ("saved_usd", "on_demand_usd", "cost_usd", "primary_usd", "replica_usd", "overlap_usd", "snapshot_usd")
_HEADS = ("$ saved", "$ on-demand", "$ cost", "$ primary", "$ replica", "$ overlap", "$ snapshots")

Since = Annotated[str, typer.Option("--from", help="2026-11-01, or with the time: 2026-11-01T10:00Z")]
Until = Annotated[str, typer.Option("--to", help="The same; default: now")]


@exit_on_error
def savings(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="hour, day, month or server")] = "day",
    server: Annotated[str, typer.Option("--server", help="Name or ID of a server")] = "",
    since: Since = "",
    until: Until = "",
    csv: Annotated[bool, typer.Option("--csv", help="CSV, all columns")] = False,
) -> None:
    """Show what was saved against on-demand of the type each server came with."""
    session: Session = context.obj
    asked: dict[str, Any] = {"from": _instant(since), "to": _instant(until)}
    asked["server_id"] = session.server_id(server) if server else None
    if csv:
        sys.stdout.write(session.api.text("/api/savings.csv", by=by, **asked))
    elif by == "server":
        session.print(session.api.get("/api/savings/servers", **asked), _servers)
    else:
        session.print(session.api.get("/api/savings", by=by, **asked), _periods)


@exit_on_error
def summary(context: typer.Context) -> None:
    """Show the fleet at a glance: servers, money so far, the last 30 days, and what waits for you."""
    session: Session = context.obj
    session.print(session.api.get("/api/summary"), _summary)


def _instant(text: str) -> str | None:
    """A day is its midnight in UTC, as the ledger's days are."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"{text!r} is no time; write 2026-11-01 or 2026-11-01T10:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def _periods(found: Mapping[str, Any]) -> RenderableType:
    cut = {"hour": 16, "day": 10, "month": 7}[found["by"]]
    rows = [[one["start"][:cut].replace("T", " "), *_money(one)] for one in found["items"]]
    return tables.table(
        _until(found), (f"{found['by']} (UTC)", *_HEADS, "said"), [*rows, ["total", *_money(found["total"])]]
    )


def _servers(found: Mapping[str, Any]) -> RenderableType:
    rows = [[one["name"] or one["server_id"], *_money(one)] for one in found["items"]]
    return tables.table(_until(found), ("server", *_HEADS, "said"), [*rows, ["total", *_money(found["total"])]])


def _until(found: Mapping[str, Any]) -> str:
    until = found["accrued_until"]
    return f"booked up to {tables.when(until)}" if until else "nothing is booked yet"


def _money(one: Mapping[str, Any]) -> list[str]:
    """With six decimals, so that every column adds up."""
    return [*(f"{one[name]:.6f}" for name in _MONEY), _said(one)]


def _said(one: Mapping[str, Any]) -> str:
    unpriced, filled = one["unpriced_minutes"], one["filled_minutes"]
    words = [f"{unpriced:.0f} min without a price"] if unpriced else []
    return ", ".join([*words, f"{filled:.0f} min at a carried-on price"] if filled else words)


def _summary(found: Mapping[str, Any]) -> RenderableType:
    rate = found["switch_success_rate"]
    rows = [
        ("servers", ", ".join(f"{count} {state}" for state, count in found["servers_by_state"].items()) or "none"),
        ("agents online", f"{found['agents_online']} of {found['instances']}"),
        *((f"$ saved this {unit}", f"{found['saved'][unit]['saved_usd']:.6f}") for unit in ("hour", "day", "month")),
        ("switches, 30 days", f"{found['switches']}" + (f", {rate:.1%} committed" if rate is not None else "")),
        ("failovers, 30 days", found["failovers"]),
        ("outage minutes, 30 days", found["outage_minutes"]),
        ("operations in progress", found["operations_in_progress"]),
        ("needs attention", found["needs_attention"]),
        ("decisions waiting for you", found["decisions_waiting"]),
    ]
    return tables.table("", ("", ""), rows)
