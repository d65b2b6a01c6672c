"""Webhooks: where your events are told, and what became of each message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from cli import tables
from cli.api_client import CliError
from cli.session import Session, exit_on_error

webhooks = typer.Typer(help="Where your events are told: signed messages over HTTPS.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(help="ID of the webhook")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="notice, failover, attention, decision or summary")]


@webhooks.command("create")
@exit_on_error
def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="https://…")],
    kind: Kinds = None,
    label: Annotated[str, typer.Option(help="For people")] = "",
) -> None:
    """Make a webhook of all kinds, or of those named; its secret is shown once."""
    session: Session = context.obj
    body: dict[str, Any] = {"url": url, "label": label} | ({"kinds": kind} if kind else {})
    session.print(session.api.post("/api/webhooks", body), _one)


@webhooks.command("list")
@exit_on_error
def list_(context: typer.Context) -> None:
    session: Session = context.obj
    session.print(session.api.get("/api/webhooks"), _all)


@webhooks.command("set")
@exit_on_error
def change(
    context: typer.Context,
    webhook_id: WebhookId,
    url: Annotated[str | None, typer.Option(help="https://…")] = None,
    kind: Kinds = None,
    label: Annotated[str | None, typer.Option(help="For people")] = None,
    active: Annotated[bool | None, typer.Option("--resume/--pause", help="Told from now on, or not")] = None,
) -> None:
    """Change a webhook. What is not named stays."""
    session: Session = context.obj
    given = {"url": url, "kinds": kind or None, "label": label, "active": active}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise CliError("nothing to change: name at least one option, for example --pause")
    session.print(session.api.patch(f"/api/webhooks/{webhook_id}", changes), _one)


@webhooks.command("delete")
@exit_on_error
def delete(context: typer.Context, webhook_id: WebhookId) -> None:
    """Delete a webhook and its log."""
    session: Session = context.obj
    session.api.delete(f"/api/webhooks/{webhook_id}")
    session.print({"deleted": webhook_id}, lambda _: f"{webhook_id} deleted")


@webhooks.command("test")
@exit_on_error
def test(context: typer.Context, webhook_id: WebhookId) -> None:
    """Send a message of type webhook.test."""
    session: Session = context.obj
    made = session.api.post(f"/api/webhooks/{webhook_id}/test")
    session.print(made, lambda one: f"{one['id']} is on its way; `spot webhooks deliveries {webhook_id}` shows it")


@webhooks.command("deliveries")
@exit_on_error
def deliveries(
    context: typer.Context,
    webhook_id: WebhookId,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)] = 30,
) -> None:
    """List what was sent, newest first."""
    session: Session = context.obj
    found = list(session.api.pages(f"/api/webhooks/{webhook_id}/deliveries", limit))
    session.print({"items": found}, lambda page: _log(page["items"]))


def _all(found: Mapping[str, Any]) -> RenderableType:
    columns = ("id", "state", "kinds", "url", "label", "why")
    rows = [
        [one["id"], one["state"], ", ".join(one["kinds"]), one["url"], one["label"], one["why"]]
        for one in found["items"]
    ]
    return tables.table("", columns, rows)


def _one(item: Mapping[str, Any]) -> RenderableType:
    facts = [(name, item[name]) for name in ("id", "state", "url", "label", "why") if item[name]]
    facts.append(("kinds", ", ".join(item["kinds"])))
    if "secret" in item:
        facts.append(("secret (shown once)", item["secret"]))
    return tables.table("", ("", ""), facts)


def _log(items: list[Mapping[str, Any]]) -> RenderableType:
    columns = ("at", "type", "state", "tries", "code", "ms", "next try", "error", "id")
    rows = [
        [
            tables.when(one["created_at"]),
            one["type"],
            one["state"],
            one["attempts"],
            one["response_code"],
            one["duration_ms"],
            tables.when(one["next_try_at"]),
            one["error"],
            one["id"],
        ]
        for one in items
    ]
    return tables.table("", columns, rows)
