"""Clients and their tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import tables
from cli.session import Session, exit_on_error

clients = typer.Typer(help="Tenants (needs an admin's token).", no_args_is_help=True)
tokens = typer.Typer(help="A client's tokens.", no_args_is_help=True)

ClientId = Annotated[str, typer.Argument(help="ID of the client", envvar="SPOT_CLIENT")]


@clients.command("create")
@exit_on_error
def create_client(context: typer.Context, name: str) -> None:
    """Make a client and its first token, which is shown once."""
    session: Session = context.obj
    client = session.api.post("/api/clients", {"name": name})
    token = session.api.post(f"/api/clients/{client['id']}/tokens", {"label": "first"})
    facts = [("client", client["id"]), ("name", client["name"]), ("token (shown once)", token["token"])]
    session.print({"client": client, "token": token}, lambda _: tables.table("", ("", ""), facts))


@clients.command("list")
@exit_on_error
def list_clients(context: typer.Context) -> None:
    session: Session = context.obj
    found = list(session.api.pages("/api/clients", 10_000))
    rows = [[client["id"], client["name"], tables.when(client["created_at"])] for client in found]
    session.print({"items": found}, lambda _: tables.table("", ("id", "name", "since"), rows))


@clients.command("delete")
@exit_on_error
def delete_client(context: typer.Context, client_id: str) -> None:
    """Delete a client that has no servers; its tokens end at once."""
    session: Session = context.obj
    session.api.delete(f"/api/clients/{client_id}")
    session.print({"deleted": client_id}, lambda _: f"{client_id} deleted")


@tokens.command("create")
@exit_on_error
def create_token(context: typer.Context, client_id: ClientId, label: str = "") -> None:
    """Make a token, shown once. To rotate: make a new one, use it, revoke the old one."""
    session: Session = context.obj
    token = session.api.post(f"/api/clients/{client_id}/tokens", {"label": label})
    facts = [("id", token["id"]), ("token (shown once)", token["token"])]
    session.print(token, lambda _: tables.table("", ("", ""), facts))


@tokens.command("list")
@exit_on_error
def list_tokens(context: typer.Context, client_id: ClientId) -> None:
    session: Session = context.obj
    found = session.api.get(f"/api/clients/{client_id}/tokens")
    rows = [
        [token["id"], token["label"], tables.when(token["created_at"]), tables.when(token["last_used_at"])]
        for token in found["items"]
    ]
    session.print(found, lambda _: tables.table("", ("id", "label", "since", "last used"), rows))


@tokens.command("revoke")
@exit_on_error
def revoke_token(context: typer.Context, client_id: ClientId, token_id: str) -> None:
    session: Session = context.obj
    session.api.delete(f"/api/clients/{client_id}/tokens/{token_id}")
    session.print({"revoked": token_id}, lambda _: f"{token_id} revoked")
