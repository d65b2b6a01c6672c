"""`spot`: Spot Optimizer from the command line, over its API."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from cli import clients, market, tables
from cli.api_client import ApiClient, CliError
from cli.autopilot import autopilot
from cli.backtest import backtest
from cli.doctor import doctor
from cli.event_stream import follow
from cli.forecast_models import models
from cli.savings import savings, summary
from cli.session import Session, exit_on_error
from cli.webhooks import webhooks


class JsonAnywhere(TyperGroup):
    """`--json` is understood before the command and after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = [arg for arg in args if arg != "--json"]
        return super().parse_args(ctx, ["--json", *rest] if len(rest) < len(args) else args)


app = typer.Typer(
    cls=JsonAnywhere,
    help="Keeps long-running EC2 servers on the cheapest capacity that is safe for them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
replica = typer.Typer(help="A server's warm replica.", no_args_is_help=True)
app.add_typer(replica, name="replica")
app.add_typer(autopilot, name="autopilot")
app.add_typer(webhooks, name="webhooks")
app.command()(savings)
app.command()(summary)
app.command("backtest")(backtest)
app.add_typer(models, name="models")
app.add_typer(clients.clients, name="clients")
app.add_typer(clients.tokens, name="tokens")
app.command()(market.pools)
app.command()(market.prices)
app.command()(market.candidates)

app.command("doctor")(doctor)

Server = Annotated[str, typer.Argument(help="Name or ID of the server")]
PoolOption = Annotated[str, typer.Option("--pool", help="zone/type/lifecycle; default: the best")]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Show its events until it is over")]
Queue = Annotated[bool, typer.Option("--wait/--no-wait", help="Queue behind a running operation, or be refused")]
Key = Annotated[str, typer.Option("--key", help="Idempotency-Key: the same key again is the same operation")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)]


@app.callback()
def connect(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="SPOT_URL", help="Where the API is")] = "http://127.0.0.1:8080",
    token: Annotated[str, typer.Option(envvar="SPOT_TOKEN", help="Your token", show_default=False)] = "",
    client: Annotated[str, typer.Option(envvar="SPOT_CLIENT", help="Admins: the client to act for")] = "",
    json: Annotated[bool, typer.Option("--json", help="JSON instead of tables")] = False,
) -> None:
    # A pipe has no width: without one, rich would fold tables at 80 columns.
    console = Console()
    context.obj = Session(ApiClient(url, token, client), json, console if console.is_terminal else Console(width=200))


@app.command()
@exit_on_error
def servers(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--all", help="Ended ones too")] = False,
    limit: Limit = 500,
) -> None:
    """List servers: where they run, what they cost, what is being done to them."""
    session: Session = context.obj
    found = list(session.api.pages("/api/servers", limit, state="any" if ended else "active"))
    session.print({"items": found}, lambda page: tables.servers(page["items"]))


@app.command()
@exit_on_error
def server(context: typer.Context, server: Server) -> None:
    """Show one server."""
    session: Session = context.obj
    session.print(session.api.get(f"/api/servers/{session.server_id(server)}"), tables.server)


@app.command()
@exit_on_error
def adopt(
    context: typer.Context,
    instance_id: Annotated[str, typer.Argument(help="A running EC2 instance")],
    name: Annotated[str, typer.Option(help="What the server is called")],
    region: Annotated[str, typer.Option(envvar="AWS_REGION")],
    handoff: Annotated[str, typer.Option(help="stateless, volumes or snapshot")] = "stateless",
    accept: Annotated[list[str] | None, typer.Option(help="Code of a finding that you accept")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look what it would mean; change nothing")] = False,
    key: Key = "",
) -> None:
    """Make a server of a running instance; refused with the reason if anything would be lost."""
    session: Session = context.obj
    body = {
        "name": name,
        "region": region,
        "instance_id": instance_id,
        "policy": {"handoff": handoff},
        "accept": accept or [],
        "dry_run": dry_run,
    }
    session.print(session.api.post("/api/servers", body, key=key), tables.adoption)


@app.command()
@exit_on_error
def plan(context: typer.Context, server: Server, pool: PoolOption = "") -> None:
    """Show what a switch would do, step by step. Changes nothing; exit code 1 if it could not be done."""
    session: Session = context.obj
    found = session.api.post(f"/api/servers/{session.server_id(server)}/plan", {"pool": pool or None})
    session.print(found, tables.plan)
    if not found["executable"]:
        raise typer.Exit(1)


@app.command()
@exit_on_error
def switch(
    context: typer.Context,
    server: Server,
    pool: PoolOption = "",
    wait: Queue = True,
    follow: Follow = False,
    key: Key = "",
) -> None:
    """Move the server to a pool, or to the best."""
    _ask(context, server, "switch", {"pool": pool or None, "wait": wait}, follow, key)


@app.command()
@exit_on_error
def failover(context: typer.Context, server: Server, follow: Follow = False, key: Key = "") -> None:
    """Rescue the server now, ahead of everything else."""
    _ask(context, server, "failover", {}, follow, key)


@app.command()
@exit_on_error
def promote(context: typer.Context, server: Server, wait: Queue = True, follow: Follow = False, key: Key = "") -> None:
    """Make the replica the primary."""
    _ask(context, server, "promote", {"wait": wait}, follow, key)


@app.command()
@exit_on_error
def resume(
    context: typer.Context,
    server: Server,
    accept: Annotated[list[str] | None, typer.Option(help="Code of a finding that you accept")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look whether it could be; change nothing")] = False,
    let_go: Annotated[
        bool, typer.Option("--let-go", help="No instance of it is left: it ends, its name is free")
    ] = False,
    key: Key = "",
) -> None:
    """Bring back a server whose workflow Temporal has lost; with --dry-run, exit code 1 if something is in the way."""
    session: Session = context.obj
    body = {"accept": accept or [], "dry_run": dry_run, "let_go": let_go}
    found = session.api.post(f"/api/servers/{session.server_id(server)}/resume", body, key=key)
    session.print(found, tables.resumption)
    if not (found["resumed"] or found["let_go"]) and found["findings"]:
        raise typer.Exit(1)


@app.command()
@exit_on_error
def release(context: typer.Context, server: Server, follow: Follow = False) -> None:
    """Let the server go: its instance keeps running, and is ours no longer."""
    session: Session = context.obj
    session.accepted(session.api.delete(f"/api/servers/{session.server_id(server)}"), follow)


@app.command()
@exit_on_error
def terminate(
    context: typer.Context,
    instance_id: str,
    confirm: Annotated[str, typer.Option(help="The server's name, if this is its primary: the server ends")] = "",
    follow: Follow = False,
) -> None:
    """Terminate a replica, or a primary and its server with it."""
    session: Session = context.obj
    answer = session.api.post(f"/api/instances/{instance_id}/terminate", {"confirm": confirm})
    session.accepted(answer, follow)


@replica.command("create")
@exit_on_error
def create_replica(
    context: typer.Context, server: Server, pool: PoolOption = "", follow: Follow = False, key: Key = ""
) -> None:
    """Keep a warm replica."""
    _ask(context, server, "replica", {"pool": pool or None}, follow, key)


@replica.command("drop")
@exit_on_error
def drop_replica(context: typer.Context, server: Server, follow: Follow = False) -> None:
    """Terminate the replica."""
    session: Session = context.obj
    session.accepted(session.api.delete(f"/api/servers/{session.server_id(server)}/replica"), follow)


@app.command()
@exit_on_error
def operations(
    context: typer.Context,
    server: Annotated[str, typer.Option("--server", help="Name or ID of a server")] = "",
    status: Annotated[str, typer.Option(help="queued, running, committed, …")] = "",
    limit: Limit = 30,
) -> None:
    """List operations, newest first."""
    session: Session = context.obj
    server_id = session.server_id(server) if server else None
    found = list(session.api.pages("/api/operations", limit, server_id=server_id, status=status or None))
    session.print({"items": found}, lambda page: tables.operations(page["items"]))


@app.command()
@exit_on_error
def operation(context: typer.Context, operation_id: str, follow: Follow = False) -> None:
    """Show an operation: its steps and, when it is over, its receipt."""
    session: Session = context.obj
    if follow:
        session.follow_operation(operation_id)
    session.print(session.api.get(f"/api/operations/{operation_id}"), tables.operation)


@app.command()
@exit_on_error
def cancel(context: typer.Context, operation_id: str) -> None:
    """Stop an operation, if it has not committed."""
    session: Session = context.obj
    answer = session.api.post(f"/api/operations/{operation_id}/cancel")
    session.print(answer, lambda found: f"{found['operation_id']}: asked to stop")


@app.command()
@exit_on_error
def events(
    context: typer.Context,
    follow_them: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes")] = False,
    after: Annotated[int | None, typer.Option(help="The last seq that you have")] = None,
    limit: Limit = 50,
) -> None:
    """Show the latest events; with --follow, everything from then on, without a miss."""
    session: Session = context.obj
    last = _recent(session, after, limit)
    if follow_them:
        for event in follow(session.api, "/api/events/stream", str(last)):
            if event.type == "reset":
                raise CliError(f"events before {event.data['oldest']} have expired; start with --after")
            _print_event(session, event.data)


def _recent(session: Session, after: int | None, limit: int) -> int:
    """Print what there is; return the last number printed."""
    if after is None:
        latest = session.api.get("/api/events", after=0, limit=1)["latest_seq"]
        after = max(0, latest - limit)
    page = session.api.get("/api/events", after=after, limit=min(limit, 500))
    for event in page["items"]:
        _print_event(session, event)
    return int(page["items"][-1]["seq"]) if page["items"] else int(page["latest_seq"])


def _print_event(session: Session, event: dict[str, object]) -> None:
    if session.json:
        session.print_json(event)
    else:
        tables.event_line(session.console, event)


def _ask(context: typer.Context, server: str, what: str, body: dict[str, object], follow_it: bool, key: str) -> None:
    session: Session = context.obj
    answer = session.api.post(f"/api/servers/{session.server_id(server)}/{what}", body, key=key)
    session.accepted(answer, follow_it)


if __name__ == "__main__":
    app()
