"""The market: what pools cost, how risky they look, and what the autopilot sees for a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from cli import tables
from cli.autopilot import candidate_table
from cli.session import Session, exit_on_error

From = Annotated[str, typer.Option("--from", help="ISO 8601 with its offset, 2026-11-24T00:00:00Z")]
To = Annotated[str, typer.Option("--to", help="Likewise; default: now")]


@exit_on_error
def pools(
    context: typer.Context,
    region: Annotated[str, typer.Option(envvar="AWS_REGION", help="Only this region's")] = "",
    instance_type: Annotated[str, typer.Option("--type", help="Only this type's")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)] = 500,
) -> None:
    """List pools: price, on-demand price, cool-down, what happened there, how risky they look."""
    session: Session = context.obj
    wanted = {"region": region, "instance_type": instance_type}
    found = list(session.api.pages("/api/pools", limit, **{name: value for name, value in wanted.items() if value}))
    session.print({"items": found}, lambda page: _pools(page["items"]))


@exit_on_error
def prices(
    context: typer.Context,
    pool: Annotated[str, typer.Argument(help="zone/type/spot")],
    from_at: From = "",
    to_at: To = "",
    points: Annotated[int, typer.Option(help="Steps at most; neighbours are put together", min=1, max=10_000)] = 60,
) -> None:
    """Show what a spot pool cost, by default in the last week: each step observed or filled."""
    session: Session = context.obj
    times = {name: value for name, value in (("from", from_at), ("to", to_at)) if value}
    found = session.api.get(f"/api/pools/{pool}/prices", max_points=points, **times)
    session.print(found, _prices)


@exit_on_error
def candidates(
    context: typer.Context,
    server: Annotated[str, typer.Argument(help="Name or ID of the server")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = 20,
) -> None:
    """Show what the autopilot sees for a server now: its pool and the best others, with risk and cost."""
    session: Session = context.obj
    found = session.api.get(f"/api/servers/{session.server_id(server)}/candidates", limit=limit)
    session.print(found, _candidates)


def _pools(items: list[Mapping[str, Any]]) -> RenderableType:
    columns = ("pool", "$/h", "$ on demand", "score", "losses/h", "failures, notices 24 h", "7 d", "passed over until")
    rows = (
        [
            item["id"],
            tables.money(item["usd_per_hour"]),
            tables.money(item["on_demand_usd_per_hour"]),
            item["placement_score"],
            None if item["losses_per_hour"] is None else f"{item['losses_per_hour']:.5f}",
            _happened(item["last_day"]),
            _happened(item["last_week"]),
            tables.when(item["cool_down_until"]),
        ]
        for item in items
    )
    return tables.table("", columns, rows)


def _happened(lived: Mapping[str, Any]) -> str:
    return f"{lived['capacity_failures']}, {lived['notices'] + lived['lost']}"


def _prices(item: Mapping[str, Any]) -> RenderableType:
    dear = item["on_demand_usd_per_hour"]
    rows = (
        [
            tables.when(point["from_at"]),
            tables.money(point["usd_per_hour"]),
            tables.money(point["min_usd_per_hour"]),
            tables.money(point["max_usd_per_hour"]),
            f"{point['usd_per_hour'] / dear:.0%}" if dear else "",
            point["kind"],
            f"{point['confidence']:.2f}",
        ]
        for point in item["points"]
    )
    columns = ("from", "$/h", "$ lowest", "$ highest", "of on-demand", "", "confidence")
    return tables.table(f"{item['pool']}, on-demand {tables.money(dear) or 'not known'}", columns, rows)


def _candidates(item: Mapping[str, Any]) -> RenderableType:
    facts = [
        ("would", f"{item['kind']} {item['to_pool']}"),
        ("because", item["reason"]),
        ("held by", item["held_by"]),
        ("on-demand $/h", tables.money(item["figures"]["on_demand_usd_per_h"])),
        ("one loss costs $", tables.money(item["figures"]["loss_usd"])),
    ]
    return Group(tables.table("", ("", ""), [fact for fact in facts if fact[1]]), "", candidate_table(item["figures"]))
