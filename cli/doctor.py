"""`spot doctor`: EC2 is compared with the ledger, and what differs is explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from cli import tables
from cli.api_client import ApiProblem
from cli.session import Session, exit_on_error

_FORBIDDEN = 403


@exit_on_error
def doctor(
    context: typer.Context,
    look: Annotated[bool, typer.Option("--look/--no-look", help="Look at EC2 now, or tell what was found last")] = True,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)] = 200,
) -> None:
    """Compare EC2 with the ledger and explain each difference; exit code 1 if there is any.

    To look now needs an admin's token; without it you are told what the last scheduled look found.
    """
    session: Session = context.obj
    looked, why_not = _check_now(session) if look else (None, "")
    found = list(session.api.pages("/api/drift", limit, state="open"))
    session.print({"look": looked, "why_not": why_not, "items": found}, _report)
    if found or (looked and looked["problems"]):
        raise typer.Exit(1)


def _check_now(session: Session) -> tuple[dict[str, Any] | None, str]:
    try:
        return session.api.post("/api/drift/checks", {}), ""
    except ApiProblem as problem:
        if problem.status != _FORBIDDEN:
            raise
        return None, "EC2 was not looked at: that needs an admin's token. This is what the last look found."


def _report(answer: Mapping[str, Any]) -> RenderableType:
    parts: list[RenderableType] = []
    if answer["why_not"]:
        parts.append(answer["why_not"])
    if looked := answer["look"]:
        parts += _check_lines(looked)
    parts += ["no difference between EC2 and the ledger is known" if not answer["items"] else ""]
    for item in answer["items"]:
        parts += [_finding(item), ""]
    return Group(*parts)


def _check_lines(looked: Mapping[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [
        f"looked at {looked['resources']} resources: {looked['found']} new differences, {looked['open']} in all, "
        f"{looked['resolved']} gone by themselves, {looked['done']} settled now"
    ]
    parts += [f"could not look: {problem}" for problem in looked["problems"]]
    parts += [f"left for now: {key}: {why}" for key, why in sorted(looked["left"].items())]
    return parts


def _finding(item: Mapping[str, Any]) -> RenderableType:
    subject = " ".join(part for part in (item["resource_type"], item["resource_id"]) if part)
    details = [(name.replace("_", " "), value) for name, value in sorted(item["details"].items())]
    rows = [
        ("what", item["what"]),
        ("server", item["server_id"]),
        ("why it matters", item["matters"]),
        ("what will happen", item["then"]),
        ("what to do", item["todo"]),
        ("since", tables.when(item["first_seen_at"])),
        ("last try", item["outcome"]),
        *details,
    ]
    title = f"{item['kind']}: {subject}" if subject else item["kind"]
    return tables.table(title, ("", ""), [row for row in rows if row[1]])
